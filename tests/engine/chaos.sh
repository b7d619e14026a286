#!/bin/sh
# Worker processes killed with -9 and stopped on LMDB; at full size in the long tests.
case " $KEDGE_BUILT " in
*" lmdb "*) ;;
*)
	echo "1..0 # SKIP configure did not build lmdb"
	exit 0
	;;
esac
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
size='3 40 6 2' # processes, runs, kills, stops
[ -z "${KEDGE_TEST_LONG-}" ] || size='4 500 100 20'
# shellcheck disable=SC2086 # words
"$KEDGE_BUILDDIR/chaos" "lmdb:$dir/store?map_size=1GiB" "$dir" $size
