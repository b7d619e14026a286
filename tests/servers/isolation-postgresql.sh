#!/bin/sh
# The storage contract over a PostgreSQL whose transactions are serializable, unless they say
# otherwise: directly, and behind a pooler, where nobody may say so for a session.
# shellcheck source=tests/support/long.sh
. "$KEDGE_SRCDIR/tests/support/long.sh"
# shellcheck source=tests/servers/contract.sh
. "$KEDGE_SRCDIR/tests/servers/contract.sh"
contract_begin postgresql
server cli store -qc "alter database postgres set default_transaction_isolation = 'serializable'" || exit 99
[ "$(server cli store -c 'show transaction_isolation')" = serializable ]
ok 'it is so'
# shellcheck disable=SC2034 # for contract.sh
areas='commit batch claim'
contract "${url:?}"
if why=$(server have pgbouncer); then
	(
		unset KEDGE_TEST_CLOCK
		server pgbouncer b store
	) || exit 99
	# shellcheck disable=SC2034 # for contract.sh
	areas='batch claim'
	pooled "$(server url b)"
else
	skip 'behind a pooler' "$why"
fi
plan
