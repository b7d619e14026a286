#!/bin/sh
# The storage contract over PostgreSQL behind pgbouncer, which hands out its sessions transaction by
# transaction and wipes them each time.
# shellcheck source=tests/support/long.sh
. "$KEDGE_SRCDIR/tests/support/long.sh"
# shellcheck source=tests/servers/contract.sh
. "$KEDGE_SRCDIR/tests/servers/contract.sh"
contract_begin postgresql
if ! why=$(server have pgbouncer); then
	echo "1..0 # SKIP $why"
	exit 0
fi
# Its own time is nobody's concern.
(
	unset KEDGE_TEST_CLOCK
	server pgbouncer b store server_reset_query='DISCARD ALL' server_reset_query_always=1
) || exit 99
pooled=$(server url b)
kedge store init "$pooled" && told "$pooled" && says 'crash_hints=no' && says_of backend.pooler '^yes'
ok 'it is found out, and there are no crash hints'
pooled "$pooled"
plan
