#!/bin/sh
# The version of a namespace in PostgreSQL is looked at when it is opened: there is none, it is older
# than this kedge, it is newer - three errors.  An older one is brought up to date by `migrate', or
# by its owner with what that prints.  Who is one version ahead is servers/next_schema.c.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
# shellcheck source=tests/servers/info.sh
. "$KEDGE_SRCDIR/tests/servers/info.sh"
server postgresql p || exit 99
url=$(server url p)

# refused STATUS WORD...: one sentence with these words
refused() {
	[ "$status" -eq "$1" ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] || return 1
	shift
	for word; do
		grep -qF -e "$word" err || return 1
	done
}
next() {
	"$KEDGE_BUILDDIR/next_schema" "$url" "$1" >out 2>err
	status=$?
}
version() {
	server cli p -c 'select version from kedge_default.meta'
}

kedge store info "$url"
refused 3 'kedge store init'
ok 'there is none'
kedge store init "$url" && [ $status -eq 0 ]
ok 'it is set up'
present=$(version)
server cli p -qc "update kedge_default.meta set version = $present + 1"
kedge store info "$url"
refused 4 "schema $((present + 1))" "knows $present" 'update kedge'
ok 'a newer one'
kedge store migrate "$url"
refused 4 'update kedge'
ok 'nor is it migrated'
kedge list -s "$url" --json
[ $status -eq 4 ] && grep -q SCHEMA_NEW err out
ok 'in JSON too'
[ "$(version)" -eq $((present + 1)) ]
ok 'and nothing of it was changed'
server cli p -qc "update kedge_default.meta set version = $present"
told "$url"
ok 'it is as it was'

if [ ! -x "$KEDGE_BUILDDIR/next_schema" ]; then
	skip 'an older one' 'this build has PostgreSQL as a module'
	plan
	exit 0
fi
next open
refused 1 'SCHEMA_OLD: ' "schema $present" "wants $((present + 1))" 'kedge store migrate'
ok 'an older one'
[ "$(version)" -eq "$present" ] && told "$url"
ok 'stays as it is until somebody says so'
next print
[ $status -eq 0 ] && cp out statements && [ "$(version)" -eq "$present" ]
ok 'what it takes is printed'
server cli p -qc 'create database other' || exit 99
other=$(printf '%s' "$url" | sed 's,/postgres?,/other?,')
kedge store init "$other" && server cli p -q -d other -v ON_ERROR_STOP=1 <statements >out 2>err &&
	direct=$url && url=$other && next open && [ $status -eq 0 ]
ok 'that, carried out by psql, is all'
url=$direct
next migrate
[ $status -eq 0 ] && next open && [ $status -eq 0 ] && [ "$(version)" -eq $((present + 1)) ]
ok 'it is migrated'
kedge store info "$url"
refused 4 'update kedge'
ok 'which is newer to who came before'
plan
