#!/bin/sh
# The storage contract, over LMDB; each case in a directory of its own.
dir=$(mktemp -d "$KEDGE_BUILDDIR/contract-lmdb.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
"${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/contract/run.sh" lmdb 'lmdb:{}'
