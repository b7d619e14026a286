#!/bin/sh
# Wrong URLs and options of a store in Redis.
# shellcheck source=tests/badinput/urls.sh
. "$KEDGE_SRCDIR/tests/badinput/urls.sh"
of_backend redis

# ------------------------------------------------------- wrong without asking anybody
wrong 2 'redis://u:sesame@h:x/0' port
wrong 2 'redis://u:sesame@h:0/0' port
wrong 2 'redis://u:sesame@h:65536/0' port
wrong 2 'redis://u:sesame@h:-1' port
wrong 2 'redis://u:sesame@h:6379x' port
wrong 2 'redis://u:sesame@[::1/0' host
wrong 2 'redis://u:sesame@[::1]x/0' host
wrong 2 'redis://u:sesame@a,,b/0' host
wrong 2 'redis://u:sesame@h/zero' database
wrong 2 'redis://u:sesame@h/-1' database
wrong 2 'redis://u:sesame@h/0/1' database
wrong 2 'redis://u:sesame@h/99999999999999999999' database
wrong 2 'redis://u:sesame@h/0?db=x' db
wrong 2 'redis://u:sesame@h/0?wait=x' wait
wrong 2 'redis://u:sesame@h/0?unheard=1' "'unheard'" known
wrong 2 'redis://u:sesame@h/0?password=ses&unheard=ame' unknown known
wrong 2 'redis://sesame@h/0' 'user:password'
wrong 2 'redis://u:%zzsesame@h/0' "'%'" '%25'
wrong 2 'redis://u:ses%00ame@h/0' '%00'
wrong 2 'redis://u:sesame@h/0#1' '%23' '***'
wrong 2 'redis+unix:' 'redis+unix:///'
wrong 2 'redis+unix://u:sesame@' 'redis+unix:///'
wrong 2 'redis+unix://u:sesame@h/run/redis.sock' 'three slashes'
wrong 2 "redis+unix://u:sesame@/$(printf '%0200d' 1)" 'longer than'
wrong 2 'rediss://u:sesame@h:6380/0' TLS redis://
wrong 2 'redis+nothing://u:sesame@h/0' redis+unix
opts='unheard=ses' wrong 2 'redis://u:sesame@h/0' "'unheard'"
opts='unheard' as_given store info 'redis://u:sesame@h/0'
refused 2 --backend-opt NAME=VALUE
ok 'an option that is none'

# ---------------------------------------------------------------- nobody is there
wrong 5 'redis://u:sesame@127.0.0.1:1/0' '127.0.0.1:1' refused
wrong 5 'redis://u:sesame@[::1]:1/0' '::1'
wrong 5 'redis+unix://u:sesame@/nowhere/redis.sock' /nowhere/redis.sock
wrong 5 "redis+unix://u:sesame@$tmp" "$tmp"

# ------------------------------------------------------------- somebody is there
# shellcheck disable=SC2119
if with_server && [ "$(server cli s config set requirepass sesame)" = OK ]; then
	scheme=${server_url%%//*}
	rest=${server_url#*//}
	wrong 9 "$scheme//$rest" password
	wrong 9 "$scheme//:ses%20ame@$rest" password
	wrong 9 "$scheme//nobody:ses%20ame@$rest" password
	kedge store info "$scheme//:sesame@$rest"
	refused 3 default 'kedge store init'
	ok 'a namespace that was not set up'
	kedge store migrate "$scheme//:sesame@$rest"
	refused 3 default 'kedge store init'
	ok 'nor can it be migrated'
	kedge store init "$scheme//:sesame@$rest" && kedge store info "$scheme//:sesame@$rest"
	[ $status -eq 0 ] && grep -qx 'backend=redis' out && ! grep -q sesame out
	ok 'it is set up; no password is told'
	kedge store info "$scheme//:sesame@$rest" --json
	[ $status -eq 0 ] && ! grep -q sesame out
	ok 'nor is it in JSON'
	kedge list -s "$scheme//:sesame@$rest" --namespace other
	refused 3 other 'kedge store init'
	ok 'another namespace is another one'
fi
plan
