# shellcheck shell=sh
# run.sh - the contract tests over one backend; sourced with BACKEND and URL set
#
# A backend that is not of this build is skipped because configure said so, never because opening it
# failed.  KEDGE_CONTRACT_ARGS: more arguments, such as --seed 7 or --case leases.
# shellcheck disable=SC2154 # set by who sources this
case " $KEDGE_BUILT " in
*" $BACKEND "*) ;;
*)
	echo "1..0 # SKIP configure did not build $BACKEND"
	exit 0
	;;
esac
# shellcheck disable=SC2086 # words on purpose
"$KEDGE_BUILDDIR/contract" ${KEDGE_CONTRACT_ARGS-} "$BACKEND" "$URL"
