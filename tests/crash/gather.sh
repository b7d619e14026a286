#!/bin/sh
# Death at every writing call of LMDB once more, with every record in `recent' first.
if [ ! -x "$KEDGE_BUILDDIR/crash_enumerate" ]; then
	echo "1..0 # SKIP configure did not build LMDB"
	exit 0
fi
KEDGE_TEST_GATHER=1
KEDGE_TEST_BUDGET=${KEDGE_TEST_BUDGET:-20}
export KEDGE_TEST_GATHER KEDGE_TEST_BUDGET
exec "$KEDGE_BUILDDIR/crash_enumerate"
