#!/bin/sh
# Every operation over Redis, its connection failing at every point (conform/net.c), in real time; by
# TCP too in the long tests.  KEDGE_FAULTS_ARGS: other arguments, such as --filter net-10
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
server redis r appendfsync no || exit 99
faults r
[ -z "${KEDGE_TEST_LONG-}" ] || faults r tcp
plan
