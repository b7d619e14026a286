#!/bin/sh
# run.sh BACKEND URL - the contract tests over one backend, for mem.sh, lmdb.sh, ...
#
# A backend that is not of this build is skipped because configure said so, never because opening it
# failed.  KEDGE_CONTRACT_ARGS: more arguments, such as --seed 7 or --case leases.
case " $KEDGE_BUILT " in
*" $1 "*) ;;
*)
	echo "1..0 # SKIP configure did not build $1"
	exit 0
	;;
esac
# shellcheck disable=SC2086 # words on purpose
exec "$KEDGE_BUILDDIR/contract" ${KEDGE_CONTRACT_ARGS-} "$1" "$2"
