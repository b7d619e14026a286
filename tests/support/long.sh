# shellcheck shell=sh
# long.sh - sourced first by a script that takes minutes: only in the long tests, else skipped aloud
if [ -z "${KEDGE_TEST_LONG-}" ]; then
	echo "1..0 # SKIP it takes minutes: KEDGE_TEST_LONG=1, as in check-long.sh long"
	exit 0
fi
