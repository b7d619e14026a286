# shellcheck shell=sh
# backend.sh - sourced by scripts that run over one backend: is it there, is it wanted, where is it
#
#	. "$KEDGE_SRCDIR/tests/support/backend.sh"
#	use_backend lmdb
#
# goes on with
#
#	dir     a directory of the script's own, which goes with it
#	url     a store
#	urls    as many as are needed: {} stands for the name of one; without it, namespaces are
#	reach   options by which kedge conform reaches its server, also through a proxy, at the URL
#	way     for a server; empty, and the same as urls, for what has none
#
# A server is the script's own, called `store', with the settings in backend_settings:
# tests/support/server.sh can stop it and more.  With backend_clock=moved it gets a clock that the test moves, in the file KEDGE_TEST_CLOCK, if this
# build has shared libraries.
#
# A backend is left out because configure said so, or KEDGE_TEST_BACKEND, or as its server is not
# installed, never because opening it failed.  A new backend is one more case in use_backend.

# shellcheck source=tests/support/servers.sh
. "$KEDGE_SRCDIR/tests/support/servers.sh"

backend_built() {
	case " $KEDGE_BUILT " in
	*" $1 "*) return 0 ;;
	esac
	return 1
}

use_backend() {
	if [ -n "${KEDGE_TEST_BACKEND-}" ] && ! backend_built "$KEDGE_TEST_BACKEND"; then
		echo "Bail out! KEDGE_TEST_BACKEND is '$KEDGE_TEST_BACKEND', which is not built; built are: $KEDGE_BUILT"
		exit 99
	fi
	if ! backend_built "$1"; then
		echo "1..0 # SKIP configure did not build $1"
		exit 0
	fi
	if [ "${KEDGE_TEST_BACKEND:-$1}" != "$1" ]; then
		echo "1..0 # SKIP KEDGE_TEST_BACKEND is $KEDGE_TEST_BACKEND"
		exit 0
	fi
	case $1 in
	redis | postgresql)
		if ! backend_why=$(server have "$1"); then
			echo "1..0 # SKIP $backend_why"
			exit 0
		fi
		;;
	esac
	dir=$(mktemp -d "$KEDGE_BUILDDIR/test-$1.XXXXXX") || exit 99
	trap 'servers_end; rm -rf "$dir"' EXIT
	trap 'exit 99' HUP INT TERM
	reach=
	# shellcheck disable=SC2034 # for those who source this
	case $1 in
	mem)
		url=mem:
		urls=mem:{}
		;;
	lmdb)
		url="lmdb:$dir/store?map_size=1GiB${backend_gather:+&gather=$backend_gather}"
		urls="lmdb:$dir/{}${backend_gather:+?gather=$backend_gather}"
		;;
	redis | postgresql)
		backend_server "$1"
		url=$(server url store)
		urls=$url
		;;
	shared)
		backend_server refd
		url=$(server url store)
		urls=$url
		;;
	*)
		echo "Bail out! tests/support/backend.sh does not know where a store of $1 may be"
		exit 99
		;;
	esac
	# shellcheck disable=SC2034
	way=${reach:+$(server way store)}
	: "${way:=$urls}"
}

backend_server() { # KIND
	servers_begin
	if [ "${backend_clock-}" = moved ] &&
		{ [ "$1" = refd ] || [ -f "$KEDGE_BUILDDIR/.libs/kedge-clock.so" ]; }; then
		KEDGE_TEST_CLOCK=$KEDGE_SERVERS/clock
		export KEDGE_TEST_CLOCK
		"$KEDGE_BUILDDIR/clock_set" "$KEDGE_TEST_CLOCK" real >/dev/null || exit 99
	fi
	# shellcheck disable=SC2086 # words on purpose
	if ! server "$1" store ${backend_settings-}; then
		echo "Bail out! the server of $1 did not start"
		exit 99
	fi
	reach="--server $(server address store)"
}
