#!/bin/sh
# The storage contract, over LMDB; each case in a directory of its own.
dir=$(mktemp -d "$KEDGE_BUILDDIR/contract-lmdb.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
# shellcheck disable=SC2034 # for run.sh
BACKEND=lmdb
URL='lmdb:{}'
# shellcheck source=tests/contract/run.sh
. "$KEDGE_SRCDIR/tests/contract/run.sh"
