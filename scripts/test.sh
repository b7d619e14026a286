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
top=$(pwd)
packages='gcc g++ libc6-dev make autoconf automake libtool pkg-config liblmdb-dev libxxhash-dev libsmartcols-dev libssl-dev libzstd-dev check libcjson-dev'

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

install_missing() {
	# Elsewhere than on Debian the reader knows better than we do what to install.
	command -v dpkg-query >/dev/null 2>&1 || return 0
	missing=
	for p in $packages; do
		state=$(dpkg-query -W -f='${db:Status-Status} ' "$p" 2>/dev/null) || state=
		case " $state" in
		*' installed '*) ;;
		*) missing="$missing $p" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	echo "test.sh: installing$missing"
	sudo=
	[ "$(id -u)" -eq 0 ] || sudo=sudo
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # words on purpose
	$sudo apt-get -qq update && $sudo apt-get -qq install -y --no-install-recommends $missing
}

build() {
	if [ ! -f configure ] || [ ! -f Makefile.in ] || [ ! -f config.h.in ]; then
		autoreconf -fi || return 1
	fi
	mkdir -p build || return 1
	rm -f build/test-suite.log
	# Configured for something else, or moved since?  Then again.
	want="$top: --enable-werror $* CC=${CC-}"
	if [ ! -f build/config.status ] || [ "$(cat build/configured-for 2>/dev/null)" != "$want" ]; then
		(cd build && ../configure --enable-werror "$@") || return 1
		printf '%s\n' "$want" >build/configured-for
	fi
	make -C build -j "$jobs"
}

jobs=$(nproc 2>/dev/null || echo 2)
install_missing || give_up "cannot install what is missing"
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
