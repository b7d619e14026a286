#!/bin/sh
# The storage contract, over the backend in memory.
# shellcheck disable=SC2034 # for run.sh
BACKEND=mem
URL=mem:contract
# shellcheck source=tests/contract/run.sh
. "$KEDGE_SRCDIR/tests/contract/run.sh"
