#!/bin/sh
# Wrong URLs and options of a store in PostgreSQL.
# shellcheck source=tests/badinput/urls.sh
. "$KEDGE_SRCDIR/tests/badinput/urls.sh"
of_backend postgresql

# ------------------------------------------------------- wrong without asking anybody
# What libpq finds out only when it connects may be told as a server that cannot be reached.
wrong '2 5' 'postgresql://u:sesame@127.0.0.1:x/db' port
wrong '2 5' 'postgresql://u:sesame@127.0.0.1:65536/db' port
wrong '2 5' 'postgresql://u:sesame@127.0.0.1:1/db?sslmode=nonsense' sslmode
wrong '2 5' 'postgresql://u:sesame@127.0.0.1:1,127.0.0.1:2,127.0.0.1:3/db?port=1,2' port
wrong 2 'postgresql://u:sesame@[::1/db' 'postgresql://'
wrong 2 'postgresql://u:sesame@h/db?unheard=1' 'postgresql://'
wrong 2 'postgres://u:sesame@h/db?unheard=1' 'postgresql://'
wrong 2 'postgresql://u:sesame@h/db?password=ses&ame' 'postgresql://'
wrong 2 'postgresql://u:%zzsesame@h/db' 'postgresql://'
wrong 2 'postgresql://u:ses%00ame@h/db' 'postgresql://'
wrong 2 'postgresql://u:sesame@h/db#1' '%23' '***'
wrong 2 'postgresql:host=h password=sesame unheard=1' 'postgresql://'
wrong 2 'postgresql:host=h password' 'postgresql://'
wrong 2 "postgresql:host=h password='sesame" 'postgresql://'
opts='unheard=ses' wrong 2 'postgresql://u:sesame@h/db' "'unheard'" known
opts='unheard' as_given store info 'postgresql://u:sesame@h/db'
refused 2 --backend-opt NAME=VALUE
ok 'an option that is none'

# ---------------------------------------------------------------- nobody is there
wrong 5 'postgresql://u:sesame@127.0.0.1:1/db' 127.0.0.1
wrong 5 'postgres://u:sesame@127.0.0.1:1/db' 127.0.0.1
wrong 5 'postgresql://127.0.0.1:1/db?user=u&password=sesame&sslpassword=sesame' 127.0.0.1
wrong 5 'postgresql:///db?host=/nowhere&password=sesame' /nowhere
wrong 5 'postgresql:host=127.0.0.1 port=1 password=sesame' 127.0.0.1

# For somebody else to carry out: nobody needs to be there.
kedge store init --print 'postgresql://u:sesame@127.0.0.1:1/db'
[ $status -eq 0 ] && [ ! -s err ] && grep -qi '^create ' out && ! grep -q sesame out
ok 'the statements that set one up'
cp out statements
kedge store init --print 'postgresql://u:sesame@127.0.0.1:1/db' --json
[ $status -eq 0 ] && [ ! -s err ] && [ "$("$KEDGE_BUILDDIR/json_get" .schema_from <out)" = 0 ] &&
	[ "$("$KEDGE_BUILDDIR/json_get" .script <out)" = "$(cat statements)" ]
ok 'the same in JSON'
kedge store init --print 'postgresql://u:sesame@127.0.0.1:1/db' --namespace "o'ther"
[ $status -eq 0 ] && ! cmp -s out statements
ok 'those of another namespace'
kedge store migrate --print 'postgresql://u:sesame@127.0.0.1:1/db'
refused 5 127.0.0.1
ok 'what is to be migrated is read, and so must be there'

# ------------------------------------------------------------- somebody is there
if with_server tcp=yes; then
	kedge store info "$server_url"
	refused 3 'kedge store init'
	ok 'a namespace that was not set up'
	kedge store migrate "$server_url"
	refused 3 'kedge store init'
	ok 'nor can it be migrated'
	kedge store migrate --print "$server_url"
	refused 3 'kedge store init'
	ok 'nor are there statements for that'
	server cli s -q -v ON_ERROR_STOP=1 <statements >out 2>err
	status=$?
	[ $status -eq 0 ] && kedge store info "$server_url" && [ $status -eq 0 ]
	ok 'it is set up by the statements that were printed'
	kedge store init "$server_url" && [ $status -eq 0 ] && kedge store migrate "$server_url" && [ $status -eq 0 ] &&
		kedge store migrate --print "$server_url" && [ $status -eq 0 ] && [ ! -s out ]
	ok 'there is nothing left to be done'
	kedge list -s "$server_url" --namespace other
	refused 3 'kedge store init'
	ok 'another namespace is another one'
	# A role that may use it, and may not set one up.
	server cli s -q -c 'create role reader login' -c 'revoke create on database postgres from public' >out 2>err
	kedge store init "$(printf '%s' "$server_url" | sed 's/user=kedge/user=reader/')" --namespace third
	refused 9 'kedge store init --print'
	ok 'a role that may not set one up'
	kedge store info "$(printf '%s' "$server_url" | sed 's,/postgres?,/nowhere?,')"
	refused '2 3 5' nowhere
	ok 'a database that is not there'
	by_tcp=$(server tcp s)
	kedge store info "${by_tcp%%//*}//nobody:sesame@${by_tcp#*@}"
	refused 9 password
	ok 'a password that is wrong'
fi
plan
