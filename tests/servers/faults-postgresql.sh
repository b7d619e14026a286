#!/bin/sh
# Every operation over PostgreSQL, its connection failing at every point (conform/net.c), in real time; by
# TCP too in the long tests.  KEDGE_FAULTS_ARGS: other arguments, such as --filter net-10
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
server postgresql p tcp=yes fsync=off max_connections=100 || exit 99
faults p
[ -z "${KEDGE_TEST_LONG-}" ] || faults p tcp
plan
