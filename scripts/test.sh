#!/bin/sh
# test.sh - from a fresh clone to a verdict: install what is missing, build, test
#
#	sh scripts/test.sh [CONFIGURE-OPTION...]
#
# Builds in build/.  The last line is "N passed, N failed, N skipped"; the exit
# status is 0 only if something was tested and nothing failed.  A build that
# fails counts as one failure.  On a machine where everything needed is installed
# it needs neither the network nor root.
set -u

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/install.sh
. scripts/install.sh

verdict() { # PASSED FAILED SKIPPED
	echo "$1 passed, $2 failed, $3 skipped"
	if [ "$2" -eq 0 ] && [ "$1" -gt 0 ]; then
		exit 0
	fi
	exit 1
}

give_up() {
	echo "test.sh: $*" >&2
	verdict 0 1 0
}

# Where servers cannot be installed, what runs over them is skipped.
# shellcheck disable=SC2154,SC2086 # set by install.sh; words on purpose
install_missing $servers || install_missing || give_up "cannot install what is missing"
build "$@" || give_up "the build failed"

# Automake's harness writes one log whatever happens to a test: what crashed or
# ran out of time is an ERROR there.
make -C build -j "$jobs" check
made=$?
log=build/test-suite.log
[ -f "$log" ] || give_up "make check ended before the tests began"

# count WHAT: the number beside "# WHAT:" at the head of the log
count() {
	sed -n "s/^# $1: *\([0-9][0-9]*\)\$/\1/p" "$log" | head -n 1
}
for what in PASS XFAIL FAIL XPASS ERROR SKIP; do
	n=$(count "$what")
	[ -n "$n" ] || give_up "$log does not say how many tests were $what"
	eval "n_$what=\$n"
done
# shellcheck disable=SC2154 # set by eval above
{
	passed=$((n_PASS + n_XFAIL))
	failed=$((n_FAIL + n_XPASS + n_ERROR))
	skipped=$n_SKIP
}
if [ "$failed" -gt 0 ]; then
	sed -n '/^\.\. contents/,$p' "$log"
elif [ "$made" -ne 0 ]; then
	give_up "make check failed outside the tests"
fi
verdict "$passed" "$failed" "$skipped"
