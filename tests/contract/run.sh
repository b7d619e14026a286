#!/bin/sh
# run.sh BACKEND - the core tier of the conformance suite over one backend, for mem.sh, lmdb.sh, ...;
# each case has a store, or a namespace, of its own.  The long tests do all tiers.
#
# The clock of a server is moved by the cases (conform/clockshim.c), where this build can.
# KEDGE_CONTRACT_ARGS: other arguments, such as --seed 7 --filter leases.
# shellcheck source=tests/support/backend.sh
. "$KEDGE_SRCDIR/tests/support/backend.sh"
backend_clock=moved
use_backend "$1"
tier=core
[ -z "${KEDGE_TEST_LONG-}" ] || tier=full
# shellcheck disable=SC2086,SC2154 # words on purpose; set by use_backend
"$KEDGE" conform ${KEDGE_CONTRACT_ARGS---tier $tier} "$urls"
