# shellcheck shell=sh
# takeovers.sh - sourced: worker processes killed with -9 over one backend
#
# Three of them inside a step; in the long tests a hundred inside a step, a hundred inside a call of
# the store and a hundred that wait, and of each hundred all but one are to have a successor in half
# a second.
# shellcheck source=tests/support/backend.sh
. "$KEDGE_SRCDIR/tests/support/backend.sh"

takeovers() { # BACKEND
	use_backend "$1"
	set -- 3 step
	[ -z "${KEDGE_TEST_LONG-}" ] || set -- 100 step call idle
	kills=$1
	shift
	n=0
	failed=0
	for where; do
		# shellcheck disable=SC2154 # set by use_backend
		"$KEDGE_BUILDDIR/takeover" "$url" "$dir" "$kills" "$where" ${KEDGE_TEST_LONG:+500} >"$dir/out" ||
			failed=$?
		awk -v n="$n" -v where="$where" '
			/^1\.\./ { next }
			/^(not )?ok / { sub(/ok [0-9]+ - /, "ok " ++n " - " where ": ") }
			{ print }' "$dir/out"
		n=$((n + $(grep -cE '^(not )?ok ' "$dir/out")))
	done
	echo "1..$n"
	exit "$failed"
}
