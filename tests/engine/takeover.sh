#!/bin/sh
# Worker processes killed with -9 on LMDB: 3 of them, 100 in the long tests.
case " $KEDGE_BUILT " in
*" lmdb "*) ;;
*)
	echo "1..0 # SKIP configure did not build lmdb"
	exit 0
	;;
esac
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
kills=3
[ -z "${KEDGE_TEST_LONG-}" ] || kills=100
"$KEDGE_BUILDDIR/takeover" "lmdb:$dir/store?map_size=1GiB" "$dir" "$kills"
