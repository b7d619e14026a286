#!/bin/sh
# What people ask of runs, over the backend in memory.
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
TMPDIR=$dir "$KEDGE_BUILDDIR/requests" mem:requests
