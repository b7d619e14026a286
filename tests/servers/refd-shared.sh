#!/bin/sh
# kedge-refd as a program: what it refuses, what it leaves, and what it serves.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend shared
# shellcheck source=tests/servers/info.sh
. "$KEDGE_SRCDIR/tests/servers/info.sh"

refd() {
	timeout 20 "$KEDGE_BUILDDIR/kedge-refd" "$@" >out 2>err </dev/null
	status=$?
}
# refused STATUS WORDS: one line that says so
refused() {
	[ $status -eq "$1" ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] && grep -q "^kedge-refd: .*$2" err
}
sock=$KEDGE_SERVERS/by-hand

refd
[ $status -eq 2 ] && [ ! -s out ] && grep -q ^usage: err
ok 'nothing to serve at: usage'
refd "$sock" mem:
refused 2 'give it a name'
ok 'a store that nobody could share'
refd "$sock" nonsense
refused 2 'name of a backend'
ok 'a URL without a backend'
refd "$sock" nonsense:x
refused 1 "'nonsense'"
ok 'a backend that is not there'
refd --clock "$sock.clock" "$sock"
refused 1 'No such file'
ok 'a clock that is not there'
: >"$sock.clock"
refd --clock "$sock.clock" "$sock"
refused 1 '0 bytes'
ok 'a file that is no clock'
refd "$KEDGE_SERVERS/$(printf %0120d 0)"
refused 1 'longer than'
ok 'a path that is too long for a socket'
refd "$KEDGE_SERVERS/nowhere/sock"
refused 1 'No such file'
ok 'a directory that is not there'
echo precious >"$sock.file"
refd "$sock.file"
refused 1 'is no socket' && [ "$(cat "$sock.file")" = precious ]
ok 'a file of somebody'

server refd s || exit 99
url=$(server url s)
refd "${url#shared:}"
refused 1 'somebody serves a store at' && [ -S "${url#shared:}" ]
ok 'two at one place'
kedge store init "$url" && kedge store info "$url"
says 'capabilities=shared hint server_clock' "place=${url#shared:}" "url=$url"
ok 'it is a store of its own kind'
stop_s() {
	server stop s && [ ! -e "${url#shared:}" ] && [ "$(wc -l <"$(server log s)")" -eq 2 ]
}
stop_s
ok 'asked to end, it takes its socket with it and complains of nothing'
kedge store info "$url"
[ $status -ne 0 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q "no server of a store answers at '${url#shared:}'" err
ok 'nobody is there'
server start s && server kill s && [ -S "${url#shared:}" ] && server start s &&
	kedge store init "$url" && [ $status -eq 0 ]
ok 'what a killed one left is no hindrance'
refused_urls=0
for u in shared: "shared:$sock?a=1" shared://host/x "shared:/$(printf %0120d 0)" 'shared:/a%00b'; do
	kedge store info "$u"
	[ $status -ne 2 ] || [ "$(wc -l <err)" -ne 1 ] || refused_urls=$((refused_urls + 1))
done
[ $refused_urls -eq 5 ]
ok 'URLs that are none'
kedge store info "$url" --ns ''
[ $status -eq 2 ]
ok 'a namespace that is none'

case " $KEDGE_BUILT " in
*' lmdb '*)
	server refd l "lmdb:$dir/served" || exit 99
	kedge store init "$(server url l)" && kedge store info "$(server url l)"
	says_of server LMDB && server stop l && kedge store info "lmdb:$dir/served"
	says_of server LMDB
	ok 'any other store can be served as well'
	;;
esac
plan
