#!/bin/sh
# The benchmark still runs, over each kind of store of this build: every workload once, a few
# operations each, and what it wrote is there.  How long anything took decides nothing; what a
# server counted does: one command and one flush for each call of the store, and not one write more
# for runs that wait.
dir=$(mktemp -d "$KEDGE_BUILDDIR/bench-smoke.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
trap 'exit 99' HUP INT TERM

n=0
failed=0
# smoke KIND: its tests are numbered on
smoke() {
	[ "${KEDGE_TEST_BACKEND:-$1}" = "$1" ] || return 0
	"${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/bench/run.sh" "$1" --smoke --dir "$dir" --tsv "$dir/tsv" >"$dir/out"
	rc=$?
	awk -v n="$n" -v kind="$1" '
		/^1\.\./ { next }
		/^(not )?ok / { sub(/ok [0-9]+ - /, "ok " ++n " - " kind ": ") }
		{ print }' "$dir/out"
	n=$((n + $(grep -cE '^(not )?ok ' "$dir/out")))
	[ "$rc" -eq 0 ] || failed=1
	awk -F '\t' 'NF != 5 { bad = 1 } END { exit bad || NR < 20 }' "$dir/tsv" ||
		echo "Bail out! the table of figures is malformed"
}
for kind in lmdb redis postgresql; do
	case " $KEDGE_BUILT " in
	*" $kind "*) smoke "$kind" ;;
	esac
done
if [ "$n" -eq 0 ]; then
	echo "1..0 # SKIP this build has no backend that is measured, or another one is to be tested"
	exit "$failed"
fi
echo "1..$n"
exit "$failed"
