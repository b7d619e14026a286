#!/bin/sh
# Runs under way while the disk of their PostgreSQL is full: a tmpfs, for which one has to be root.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
if ! mount -t tmpfs -o size=160m,mode=711 kedge-test "$KEDGE_SERVERS" 2>/dev/null; then
	echo "1..0 # SKIP no file system of its own can be mounted here"
	exit 0
fi
trap 'servers_end 2>/dev/null; umount "$KEDGE_SERVERS"; rmdir "$KEDGE_SERVERS"; rm -rf "$dir"' EXIT
server postgresql p min_wal_size=32MB max_wal_size=64MB || exit 99
# shellcheck disable=SC2016 # what the commands name is theirs
survive full-disk "$(server url p)" \
	'dd if=/dev/zero of=$KEDGE_SERVERS/fill bs=4k 2>/dev/null; true' \
	'rm $KEDGE_SERVERS/fill; $server cli p -qc "select 1" >/dev/null 2>&1 || $server start p' \
	hold_ms=1500 full
plan
