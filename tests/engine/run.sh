#!/bin/sh
# run.sh PROGRAM BACKEND - one program of whole sagas over one backend, for the scripts beside it
#
# The long tests (KEDGE_TEST_LONG) do all of it; otherwise some do less.  Over a server:
#
#	chaos     as over LMDB: 3 processes, 40 runs, 6 kills, 2 stops; long: 4, 500, 100, 20
#	doomed    one of 12 store calls of each saga, over LMDB one of 3; long: every one
# shellcheck source=tests/support/backend.sh
. "$KEDGE_SRCDIR/tests/support/backend.sh"
program=$1 backend=$2
case $program in
requests | inspect) backend_clock=moved ;;
esac
use_backend "$backend"

# The stores of the six processes of `doomed'.
six_stores() {
	case $backend in
	redis)
		# A server each: a namespace of one database is in use for all of them.
		for i in 0 1 2 3 4 5; do
			server redis "$i" || exit 99
		done
		urls=$(printf '%s\n' "$url" | sed 's|/store/|/{}/|')
		;;
	postgresql)
		urls=$(printf '%s\n' "$url" | sed 's|///[^?]*|///{}|')
		for i in 0 1 2 3 4 5; do
			server cli store -qc "create database \"$i\"" || exit 99
		done
		;;
	esac
}

# shellcheck disable=SC2154 # set by use_backend
set -- "$url"
# shellcheck disable=SC2154 # set by use_backend
case $program in
requests | inspect)
	TMPDIR=$dir
	export TMPDIR
	;;
frozen | timeouts) set -- "$url" "$dir" ;;
chaos)
	set -- "$url" "$dir" 3 40 6 2 # processes, runs, kills, stops
	[ -z "${KEDGE_TEST_LONG-}" ] || set -- "$url" "$dir" 4 500 100 20
	;;
doomed)
	six_stores
	set -- "$urls"
	;;
esac
case $backend-$program in
mem-requests | mem-inspect | mem-timeouts)
	shift
	set -- "mem:$program" "$@"
	;;
esac
"$KEDGE_BUILDDIR/$program" "$@"
