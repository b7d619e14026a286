#!/bin/sh
# A PostgreSQL that does not wait for its log loses in a crash what it has acknowledged.  Whoever
# remembers more than is there is told so, and the journal goes on without a gap.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
server postgresql p synchronous_commit=off || exit 99

# The log's writer is stopped before, or it might have written by chance.
# shellcheck disable=SC2016 # what the commands name is theirs
mark='case $round in
0)
	$server cli p -qc checkpoint && kill -STOP "$($server cli p -c "
		select pid from pg_stat_activity where backend_type = '"'walwriter'"'")"
	;;
1) $server kill p && $server start p ;;
esac'

# lost URL WHAT
lost() {
	if "$KEDGE_BUILDDIR/toil" "$1" lost 5 "$mark" >"$dir/out" 2>&1 && grep -q '^lost 5$' "$dir/out"; then
		echo "ok - $2"
	else
		sed 's/^/# /' "$dir/out"
		echo "not ok - $2"
	fi | tee -a "$dir/tap"
}
lost "$(server url p)" 'steps that a crash took back'
if why=$(server have pgbouncer); then
	server pgbouncer b p || exit 99
	lost "$(server url b)" 'behind a pooler, which keeps the connection'
else
	skip 'behind a pooler, which keeps the connection' "$why"
fi
plan
