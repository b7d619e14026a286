#!/bin/sh
# What `kedge store info' says of a store in Redis: read from the server, as it is set up just then.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
# shellcheck source=tests/servers/info.sh
. "$KEDGE_SRCDIR/tests/servers/info.sh"

set_to() { # SETTING VALUE...
	while [ $# -gt 1 ]; do
		[ "$(server cli s config set "$1" "$2")" = OK ] || return 1
		shift 2
	done
}
server redis s || exit 99
url=$(server url s)
kedge store init "$url"

told "$url"
says 'durability=process server power' 'backend.appendonly=yes' 'backend.appendfsync=always' 'backend.maxmemory_policy=noeviction' \
	'backend.role=master' 'crash_hints=yes' && says_of fences 'may repeat' && says_of server '^Redis [0-9]'
ok 'each write flushed: it survives all'
set_to appendfsync no && told "$url" && says 'durability=process server' 'backend.appendfsync=no' && says_of survives 'power loss may'
ok 'flushed by the system: not power loss'
set_to appendfsync everysec && told "$url" && says 'durability=process' 'backend.appendfsync=everysec' && says_of survives 'a crash of the store may'
ok 'flushed every second, and written late meanwhile: not a crash'
set_to appendfsync always no-appendfsync-on-rewrite yes && told "$url" && says 'durability=process server' 'backend.no_appendfsync_on_rewrite=yes'
ok 'flushes that pause: not power loss'
set_to no-appendfsync-on-rewrite no appendonly no && told "$url" && says 'durability=process' 'backend.appendonly=no'
ok 'no file of writes: not a crash'
set_to appendonly yes

durability_is() { # WHAT: in JSON
	told "$url" --json && json .durability "$1"
}
durability_is 'process server power' && set_to appendfsync everysec && durability_is process &&
	set_to appendfsync no && durability_is 'process server' && set_to appendonly no && durability_is process
ok 'the same in JSON'
set_to appendonly yes appendfsync always

set_to maxmemory 100mb maxmemory-policy allkeys-lru
kedge store info "$url"
[ $status -eq 1 ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] && grep -q 'maxmemory-policy allkeys-lru' err && grep -q noeviction err &&
	grep -q 'allow_eviction=1' err
ok 'a server that may throw keys away is refused'
kedge list -s "$url" --json
[ $status -eq 1 ] && grep -q '^{"error":' err
ok 'whatever is asked'
told "$url?allow_eviction=1"
says 'backend.eviction_allowed=yes' 'backend.maxmemory_policy=allkeys-lru'
ok 'unless its user insists, which is told'
set_to maxmemory-policy noeviction

server cli s acl setuser lame on '>sesame' '~*' '&*' '+@all' '-client|list' >/dev/null
told "redis+unix://lame:sesame@${url#*//}"
says 'crash_hints=no' && ! says_of capabilities hint && ! grep -q sesame out
ok 'a user that may not look at clients: no crash hints, and no password'
told "redis+unix://lame:sesame@${url#*//}" --json
json .crash_hints false && ! grep -q sesame out
ok 'the same in JSON'

server redis-replica r s
told "$url?wait=1"
says 'backend.replicas=1' 'backend.replicas_waited_for=1'
ok 'a replica, and that writes wait for it'
kedge store info "$(server url r)"
[ $status -eq 5 ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] && grep -q 'replica' err
ok 'a replica is no store'
plan
