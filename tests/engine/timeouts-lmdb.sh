#!/bin/sh
# Timeouts and deadlines, over LMDB, and with worker processes.
case " $KEDGE_BUILT " in
*" lmdb "*) ;;
*)
	echo "1..0 # SKIP configure did not build lmdb"
	exit 0
	;;
esac
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
"$KEDGE_BUILDDIR/timeouts" "lmdb:$dir/store?map_size=1GiB" "$dir"
