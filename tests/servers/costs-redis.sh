#!/bin/sh
# What the server sees of a batch of commits, and of runs: commands, answers, flushes, counted there.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
if [ ! -f "$KEDGE_BUILDDIR/.libs/libflushshim.so" ]; then
	echo "1..0 # SKIP this build has no shared libraries, with which flushes are counted"
	exit 0
fi
KEDGE_TEST_FLUSHES=$KEDGE_SERVERS/flushes
head -c 8 /dev/zero >"$KEDGE_TEST_FLUSHES" && chmod 666 "$KEDGE_TEST_FLUSHES" || exit 99
KEDGE_TEST_SOCKET=$KEDGE_SERVERS/r/sock
export KEDGE_TEST_FLUSHES KEDGE_TEST_SOCKET
server redis r || exit 99
tally "$KEDGE_BUILDDIR/redis_cases" "$(server url r)" alone many largest mixed
tally "$KEDGE_BUILDDIR/redis_runs" "$(server url r)"
plan
