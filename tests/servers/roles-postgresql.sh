#!/bin/sh
# The storage contract over PostgreSQL, for a role that may not make anything: its owner sets
# namespaces up and grants what is needed, by `kedge store init' or by what that prints.
# shellcheck source=tests/support/long.sh
. "$KEDGE_SRCDIR/tests/support/long.sh"
# shellcheck source=tests/servers/contract.sh
. "$KEDGE_SRCDIR/tests/servers/contract.sh"
contract_begin postgresql
server cli store -q -c 'create role worker login' -c 'revoke create on database postgres from public' \
	-c 'revoke create on schema public from public' || exit 99
of_worker=$(printf '%s' "${url:?}" | sed 's/user=[a-z]*/user=worker/')

kedge store init "$of_worker" --namespace unmade
[ $status -eq 9 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q 'kedge store init --print' err
ok 'it may not set up a namespace'
kedge store init "$url" --namespace made --backend-opt grant=worker && [ $status -eq 0 ] &&
	told "$of_worker" --namespace made && says backend.role=worker
ok 'it works on one that was set up for it'
# But for those that make and drop namespaces themselves.
# shellcheck disable=SC2046 # words on purpose
"$KEDGE" conform --list --tier concurrent $(cases) | cut -f 1 | grep -v '^store-' >"$dir/cases"
set_up() {
	while read -r case; do
		"$KEDGE" store init --print "$url" --namespace "$case" --backend-opt grant=worker || return 1
	done <"$dir/cases" >"$dir/statements"
}
set_up && server cli store -q -v ON_ERROR_STOP=1 <"$dir/statements" >out 2>err
ok 'the printed statements are carried out by psql'
contract "$of_worker" --keep --filter "$(tr '\n' , <"$dir/cases")"
plan
