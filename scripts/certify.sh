#!/bin/sh
# certify.sh - the whole conformance suite over every backend, and a certificate for each
#
#	sh scripts/certify.sh [--tier TIER] [BACKEND...]
#
# Builds in build/ and writes docs/conformance/BACKEND.json (memory as mem: and shared:).  Servers are
# its own.  What the certificates of this repository were made by; takes about half an hour a backend.
set -u

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/install.sh
. scripts/install.sh

tier=full
if [ "${1-}" = --tier ]; then
	tier=${2:?a tier}
	shift 2
fi
[ $# -gt 0 ] || set -- mem shared lmdb redis postgresql
# shellcheck disable=SC2154,SC2086 # set by install.sh; words on purpose
install_missing $servers || exit 1
# shellcheck disable=SC2119 # no options for configure
build >/dev/null || exit 1
mkdir -p docs/conformance || exit 1
rc=0
for backend; do
	[ -f "tests/contract/$backend.sh" ] || {
		echo "certify.sh: there is no backend '$backend'" >&2
		exit 2
	}
	cert=$top/docs/conformance/$backend.json
	KEDGE_TEST_LONG=1 KEDGE_CONTRACT_ARGS="--tier $tier --cert $cert" \
		make -C build check KEDGE_TEST_TIMEOUT=7200 TESTS="tests/contract/$backend.sh" >"build/certify-$backend.log" 2>&1 || {
		rc=1
		echo "certify.sh: $backend does not pass; see build/certify-$backend.log" >&2
	}
	sed -n '/^# \(level\|[0-9]* of\)/p' "build/tests/contract/$backend.log" | sort -u | sed "s/^# /$backend: /"
done
exit $rc
