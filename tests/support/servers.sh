# shellcheck shell=sh
# servers.sh - sourced by scripts that want servers of their own
#
#	. "$KEDGE_SRCDIR/tests/support/servers.sh"
#	servers_begin
#	server redis r appendfsync everysec
#	server kill r
#	server start r
#	servers_end
#
# The verbs are those of server.sh.  servers_end belongs into the caller's trap for EXIT; should the
# caller be killed, so that no trap is run, a process of its own does the same when it is gone.

server() {
	"${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/support/server.sh" "$@"
}

# A directory with a name short enough for sockets: 107 bytes, of which we need 40.
servers_begin() {
	servers_top=${TMPDIR:-/tmp}
	[ "${#servers_top}" -lt 50 ] || servers_top=/tmp
	KEDGE_SERVERS=$(mktemp -d "$servers_top/kedge.XXXXXX") || exit 99
	export KEDGE_SERVERS
	chmod 711 "$KEDGE_SERVERS"
	# Not a child of ours, for which `wait' would wait.
	servers_watch=$(
		setsid "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/support/server.sh" watch $$ \
			</dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
		echo $!
	)
}

servers_end() {
	[ -d "${KEDGE_SERVERS-}" ] || return 0
	server end
	kill -KILL "-$servers_watch" 2>/dev/null
	return 0
}
