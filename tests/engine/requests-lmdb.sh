#!/bin/sh
# What people ask of runs, over LMDB.
case " $KEDGE_BUILT " in
*" lmdb "*) ;;
*)
	echo "1..0 # SKIP configure did not build lmdb"
	exit 0
	;;
esac
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
TMPDIR=$dir "$KEDGE_BUILDDIR/requests" "lmdb:$dir/store?map_size=1GiB"
