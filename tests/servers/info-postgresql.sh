#!/bin/sh
# What `kedge store info' says of a store in PostgreSQL: read from the server, as it is set up just
# then.  And who may set one up, by which options.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
# shellcheck source=tests/servers/info.sh
. "$KEDGE_SRCDIR/tests/servers/info.sh"

# is_set_to SETTING VALUE: for sessions that begin from now on
is_set_to() {
	server cli s -q -c "alter system set $1 = $2" -c 'select pg_reload_conf()' >/dev/null &&
		await shows "$1" "$2"
}
shows() {
	[ "$(server cli s -qAtc "show $1")" = "$2" ]
}
# Settings that server.sh gives by itself are taken from their session or their role.
server postgresql s || exit 99
url=$(server url s)
kedge store init "$url"

told "$url"
says 'durability=process server power' 'backend.fsync=on' 'backend.full_page_writes=on' 'backend.synchronous_commit=on' \
	'backend.standbys=0' 'crash_hints=yes' 'fences=never repeat' 'backend.pooler=no' && says_of server '^PostgreSQL [0-9]'
ok 'as it comes: it survives all'
is_set_to full_page_writes off && told "$url" && says 'durability=process server' 'backend.full_page_writes=off' && says_of survives 'power loss may'
ok 'pages that may be torn: not power loss'
is_set_to full_page_writes on && server postgresql f fsync=off && kedge store init "$(server url f)" && told "$(server url f)" &&
	says 'durability=process server' 'backend.fsync=off' && says_of fences 'may repeat'
ok 'no flush: not power loss, and then fences may repeat'
server drop f
server cli s -q -c 'alter role kedge set synchronous_commit = off' && told "$url" &&
	says 'durability=process' 'backend.synchronous_commit=off' && says_of fences 'may repeat'
ok 'acknowledged before it is flushed, as its role has it: not a crash'
server cli s -q -c 'alter role kedge reset synchronous_commit' && told "$url" && says 'durability=process server power' 'fences=never repeat'
ok 'and back'
told "$url" --json
json .durability 'process server power' && json .crash_hints true && json .fences 'never repeat'
ok 'the same in JSON'

# ------------------------------------------------------------------ a pooler
told "$url" --backend-opt pooler=yes
says 'crash_hints=no' && ! says_of capabilities '\<hint\>' && says_of backend.pooler '^yes'
ok 'it may be said that there is a pooler: no crash hints'
if why=$(server have pgbouncer); then
	server pgbouncer b s || exit 99
	told "$(server url b)"
	says 'crash_hints=no' 'durability=process server power' && says_of backend.pooler '^yes'
	ok 'a pooler is found out'
else
	skip 'a pooler is found out' "$why"
fi

# ------------------------------------------------------------- who, and where
server cli s -q -c 'create role guest login' -c 'revoke create on database postgres from public' >/dev/null
guest=$(printf '%s' "$url" | sed 's/user=[a-z]*/user=guest/')
kedge store init "$url" --namespace shared --backend-opt grant=guest && [ $status -eq 0 ] && told "$guest" --namespace shared &&
	says 'backend.role=guest' && kedge list -s "$guest" --namespace shared && [ $status -eq 0 ]
ok 'a role without rights of its own works on what was set up for it'
kedge store info "$guest"
[ $status -eq 9 ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ]
ok 'and on nothing else'
kedge store init "$url" --namespace named --backend-opt schema=mine && told "$url" --namespace named --backend-opt schema=mine &&
	says 'namespace=named' 'backend.schema_name=mine'
ok 'the name of its schema may be chosen'

# ---------------------------------------------------------------- a standby
server postgresql-standby t s || exit 99
told "$url"
says 'backend.standbys=1' 'backend.standbys_synchronous=1' 'fences=never repeat' && says_of backend.synchronous_standby_names .
ok 'a synchronous standby'
is_behind() {
	[ "$(server cli s -qAtc 'select sync_state from pg_stat_replication')" = async ]
}
server cli s -q -c "alter system set synchronous_standby_names = ''" -c 'select pg_reload_conf()' >/dev/null
await is_behind && told "$url" &&
	says 'backend.standbys=1' 'backend.standbys_synchronous=0' && says_of fences 'may repeat'
ok 'one that may be behind: a fence may repeat'
plan
