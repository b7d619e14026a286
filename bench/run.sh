#!/bin/sh
# run.sh - measure a store of that kind, on a server that is started for it and ends with it
#
#	KEDGE_SRCDIR=... KEDGE_BUILDDIR=... sh bench/run.sh lmdb|redis|postgresql|URL [OPTION]...
#
# Servers log to the disk they would anyhow: below TMPDIR, or /tmp.  Redis never rewrites its file
# and PostgreSQL makes no checkpoint in between: either would hit one side only.
spike=$KEDGE_BUILDDIR/spike
[ -x "$spike" ] || {
	echo "run.sh: $spike is not built" >&2
	exit 1
}
store=$1
shift
case $store in
lmdb) exec "$spike" "$@" ;;
redis | postgresql) ;;
*:*) exec "$spike" --store "$store" "$@" ;;
*)
	echo "run.sh: there is no kind of store '$store' (lmdb, redis, postgresql, or a URL)" >&2
	exit 2
	;;
esac

# shellcheck source=tests/support/servers.sh
. "$KEDGE_SRCDIR/tests/support/servers.sh"
server have "$store" || exit 1
trap servers_end EXIT
trap 'exit 1' HUP INT TERM
servers_begin
case $store in
redis) server redis bench auto-aof-rewrite-percentage 0 maxmemory-policy noeviction ;;
postgresql)
	# What is counted is not to have in it what a vacuum happens to do.
	vacuum=on
	case " $* " in *' --smoke '*) vacuum=off ;; esac
	server postgresql bench shared_buffers=1GB max_wal_size=16GB checkpoint_timeout=1d \
		max_connections=300 autovacuum=$vacuum
	;;
esac || exit 1
"$spike" --store "$(server url bench)" "$@"
