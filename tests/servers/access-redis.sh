#!/bin/sh
# Who may use a store in Redis: passwords, users with few rights, and what is said where they are too
# few.  sesame is the password in all of this, which is told nowhere.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
# shellcheck source=tests/servers/info.sh
. "$KEDGE_SRCDIR/tests/servers/info.sh"

server redis s || exit 99
url=$(server url s)
path=${url#*//}
rights() { # USER RULE...
	rights_of=$1
	shift
	[ "$(server cli s acl setuser "$rights_of" reset on '>sesame' "$@")" = OK ]
}
no_secret() {
	! grep -q sesame out err
}
refused() { # STATUS WORD...: one sentence with all of them
	[ "$status" -eq "$1" ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] && no_secret || return 1
	shift
	for word; do
		grep -qF -e "$word" err || return 1
	done
}

# -------------------------------------------------------------- a password, a user
server cli s config set requirepass sesame >/dev/null
kedge store init "redis+unix://:sesame@$path" && [ $status -eq 0 ] && told "redis+unix://:sesame@$path" && no_secret
ok 'the password of the server'
kedge store info "redis+unix://:ses+ame@$path"
refused 9 'user and password' "$path"
ok 'another one is refused'
kedge store info "$url"
refused 9 password "$path"
ok 'none is refused'
server cli s -a sesame --no-auth-warning config set requirepass '' >/dev/null

rights shop '~kedge:{shop}:*' '&kedge:{shop}:*' +@all
ok 'a user for one namespace'
kedge store init "redis+unix://shop:sesame@$path" --namespace shop
[ $status -eq 0 ] && told "redis+unix://shop:sesame@$path" --namespace shop && no_secret
ok 'sets it up and uses it'
kedge store init "redis+unix://shop:sesame@$path" --namespace other
refused 9 "$path"
ok 'and no other one'
kedge store info "redis+unix://shop:ses+ame@$path" --namespace shop --json
[ $status -eq 9 ] && grep -q '^{"error":' err && no_secret
ok 'its password is looked at, too'
kedge store info "rediss://shop:sesame@127.0.0.1/0"
refused 2 TLS redis://
ok 'TLS is told to be missing, with what to do'

# --------------------------------------------------------------------- few rights
lame=redis+unix://lame:sesame@$path
rights lame '~kedge:{default}:*' '&kedge:{default}:*' +@all -client -config &&
	told "$lame" && says 'crash_hints=no' 'durability=process' 'backend.appendfsync=not allowed to read' &&
	says_of backend.crash_hints 'CLIENT LIST' && no_secret
ok 'neither CLIENT nor CONFIG: no crash hints, and no more promised than is known'
told "$lame" --json && json .crash_hints false && json .durability process && no_secret
ok 'the same in JSON'
tally "$KEDGE_BUILDDIR/sagas" "$lame"
ok 'whole sagas work all the same'
plan
