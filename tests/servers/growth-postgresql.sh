#!/bin/sh
# Runs are created, finished and purged, round after round, while somebody reads for a long time:
# the tables of PostgreSQL do not grow for ever.  KEDGE_TEST_LONG: 100,000 runs, else 8,000.
# shellcheck source=tests/support/long.sh
. "$KEDGE_SRCDIR/tests/support/long.sh"
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
# shellcheck source=tests/servers/figures.sh
. "$KEDGE_SRCDIR/tests/servers/figures.sh"
server postgresql p fsync=off autovacuum=off || exit 99
url=$(server url p)
rounds=10 runs=800
[ -z "${KEDGE_TEST_LONG-}" ] || runs=10000

# after N, for the command that is run after each round: the reader comes and goes, and what a
# vacuum can take back is taken back, as autovacuum would
cat >"$dir/mark" <<'end'
case $round in
2)
	mkfifo "$dir/reader"
	$server cli p -q <"$dir/reader" >"$dir/reading" 2>&1 &
	exec 9>"$dir/reader"
	echo 'begin isolation level repeatable read; select count(*) from kedge_toil.run;' >&9
	until grep -q '^[0-9]' "$dir/reading"; do :; done
	sleep 600 >"$dir/reader" 9>&- & # it stays open, until this is over
	echo $! >"$dir/holder"
	;;
5) kill "$(cat "$dir/holder")" && rm "$dir/reader" &&
	until [ "$($server cli p -c "select count(*) from pg_stat_activity where xact_start is not null
		and pid <> pg_backend_pid() and backend_type = 'client backend'")" = 0 ]; do :; done ;;
esac
$server cli p -qc vacuum &&
	$server cli p -c "select sum(pg_total_relation_size(oid)) from pg_class
		where relnamespace = 'kedge_toil'::regnamespace and relkind in ('r', 'S')" >"$dir/size-$round"
end
export dir
trap 'kill "$(cat "$dir/holder")" 2>/dev/null; servers_end; rm -rf "$dir"' EXIT
size() {
	cat "$dir/size-$1"
}
"$KEDGE_BUILDDIR/toil" "$url" churn $rounds $runs ". $dir/mark" >"$dir/out" 2>&1 || sed 's/^/# /' "$dir/out"
[ -s "$dir/size-9" ]
ok "$((rounds * runs)) runs were created, finished and purged"
for i in 0 1 2 3 4 5 6 7 8 9; do
	echo "# after round $i: $(size $i) bytes"
done
# The reader is there in rounds 3, 4 and 5, and when round 2 is cleaned up.
[ "$(size 1)" -le $(($(size 0) * 2)) ]
ok 'little grows without a reader'
[ "$(size 4)" -gt $(($(size 1) * 3 / 2)) ]
ok 'it does while one reads'
[ "$(size 9)" -le $(($(size 1) * 3)) ] && [ "$(size 9)" -le $(($(size 5) * 11 / 10)) ]
ok 'and no more when that is over'
plan
