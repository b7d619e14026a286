#!/bin/sh
# A worker process stopped until it was declared dead, on LMDB.
case " $KEDGE_BUILT " in
*" lmdb "*) ;;
*)
	echo "1..0 # SKIP configure did not build lmdb"
	exit 0
	;;
esac
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
"$KEDGE_BUILDDIR/frozen" "lmdb:$dir/store?map_size=1GiB" "$dir"
