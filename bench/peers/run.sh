#!/bin/sh
# run.sh - the same work on kedge and on other durable engines, side by side: see README.md
#
#	sh bench/peers/run.sh [--quick] [--rounds N] [--out DIR] [PEER...]
#
# PEERs: kedge-lmdb kedge-postgresql kedge-redis dbos openworkflow restate bullmq bullmq-flow; all of
# them if none is named.  KEDGE_BUILDDIR is the build whose kedge_peer is measured, or else the current directory.
# The packages are installed there, in peers/; npm and its registry are needed for that, once.
# Writes DIR/peers.jsonl and DIR/peers.md; DIR is the current directory unless it is given.
#
# Servers are private ones below TMPDIR, or /tmp, and end with this: that disk is what is measured.
set -u
KEDGE_SRCDIR=${KEDGE_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
KEDGE_BUILDDIR=${KEDGE_BUILDDIR:-$PWD}
export KEDGE_SRCDIR KEDGE_BUILDDIR
KEDGE_BACKEND_PATH=$KEDGE_BUILDDIR/.libs
# Not libtool's script in front of it, whose start would be measured too.
PEERS_KEDGE=$KEDGE_BUILDDIR/.libs/kedge_peer
[ -x "$PEERS_KEDGE" ] || PEERS_KEDGE=$KEDGE_BUILDDIR/kedge_peer
export KEDGE_BACKEND_PATH PEERS_KEDGE
# Nothing reports to anybody.
SCARF_ANALYTICS=false DO_NOT_TRACK=1 NPM_CONFIG_UPDATE_NOTIFIER=false
export SCARF_ANALYTICS DO_NOT_TRACK NPM_CONFIG_UPDATE_NOTIFIER

die() {
	echo "run.sh: $*" >&2
	exit 1
}

every='kedge-lmdb kedge-postgresql kedge-redis dbos openworkflow restate bullmq bullmq-flow'
out=. quick='' rounds='' peers=''
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=--quick ;;
	--rounds) rounds=${2:?--rounds: how many?} && shift ;;
	--out) out=${2:?--out: where?} && shift ;;
	*)
		case " $every " in
		*" $1 "*) peers="$peers $1" ;;
		*) die "there is no peer '$1' ($every)" ;;
		esac
		;;
	esac
	shift
done
peers=${peers:-$every}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd) || exit 1

[ -x "$PEERS_KEDGE" ] || die "$PEERS_KEDGE is not built"
for program in node npm; do
	command -v $program >/dev/null || die "no $program here"
done

# --------------------------------------------------------------------- packages

source=$KEDGE_SRCDIR/bench/peers
installed=$KEDGE_BUILDDIR/peers
mkdir -p "$installed" || exit 1
if ! cmp -s "$source/package-lock.json" "$installed/package-lock.json" ||
	[ ! -f "$installed/complete" ]; then
	rm -f "$installed/complete"
	cp "$source/package.json" "$source/package-lock.json" "$installed/" || exit 1
	(cd "$installed" && npm ci --ignore-scripts --no-audit --no-fund) >&2 || die "npm ci failed"
	: >"$installed/complete"
fi
cp "$source"/*.mjs "$installed/" || exit 1

# ---------------------------------------------------------------------- servers

# shellcheck source=tests/support/servers.sh
. "$KEDGE_SRCDIR/tests/support/servers.sh"
wanted() { # NAME...
	for name; do
		case " $peers " in
		*" $name "*) return 0 ;;
		esac
	done
	return 1
}
trap servers_end EXIT
trap 'exit 1' HUP INT TERM
servers_begin
# What decides the figures, as the servers say it; the options of peers.mjs.
set -- --fact "kedge=$("$KEDGE_BUILDDIR/kedge" --version | head -n 1)"
one_line() {
	tr -d '\r' | tr '\n' ' '
}
if wanted kedge-postgresql dbos openworkflow; then
	server have postgresql || exit 1
	server postgresql pg tcp=yes shared_buffers=1GB max_wal_size=16GB checkpoint_timeout=1d \
		max_connections=300 || exit 1
	for db in kedge dbos openworkflow; do
		server cli pg -qc "create database $db" || exit 1
	done
	PEERS_POSTGRESQL=$(server tcp pg) || exit 1
	export PEERS_POSTGRESQL
	set -- "$@" --fact "postgresql=$({
		server cli pg -c "select current_setting('server_version')"
		server cli pg -c "select name || ' ' || setting from pg_settings where name in ('fsync',
			'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'autovacuum')"
	} | one_line)"
fi
if wanted kedge-redis bullmq bullmq-flow; then
	server have redis || exit 1
	server redis redis auto-aof-rewrite-percentage 0 maxmemory-policy noeviction || exit 1
	PEERS_REDIS=$(server tcp redis) || exit 1
	export PEERS_REDIS
	set -- "$@" --fact "redis=$({
		server cli redis info server | sed -n 's/^redis_version://p'
		server cli redis config get appendonly
		server cli redis config get appendfsync
	} | one_line)"
fi
[ -z "$quick" ] || set -- "$@" --quick
[ -z "$rounds" ] || set -- "$@" --rounds "$rounds"

cd "$installed" || exit 1
# shellcheck disable=SC2086 # words on purpose
node peers.mjs "$@" --out "$out/peers.jsonl" --table "$out/peers.md" $peers
