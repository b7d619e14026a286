#!/bin/sh
# run.sh BACKEND [ARGUMENT]... - the conformance suite over one backend, the core tier or what the arguments say,
# for mem.sh, lmdb.sh, ...; each case has a store, or a namespace, of its own.  The long tests do all tiers.
#
# The clock of a server is moved by the cases (conform/clockshim.c), where this build can.
# KEDGE_CONTRACT_ARGS: other arguments, such as --seed 7 --filter leases.
# shellcheck source=tests/support/backend.sh
. "$KEDGE_SRCDIR/tests/support/backend.sh"
backend_clock=moved
backend=$1
shift
if [ $# -eq 0 ]; then
	tier=core
	[ -z "${KEDGE_TEST_LONG-}" ] || tier=full
	set -- --tier "$tier"
fi
use_backend "$backend"
# shellcheck disable=SC2086,SC2154 # words on purpose; set by use_backend
"$KEDGE" conform $reach ${KEDGE_CONTRACT_ARGS-"$@"} "$way"
