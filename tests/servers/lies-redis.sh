#!/bin/sh
# Redis answers with types that were not expected: nothing, an error, a number, text, an array, a
# map, what is no protocol at all, in the place of each answer of each operation.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
server redis r appendfsync no || exit 99
# shellcheck disable=SC2016 # "$" is what a reply begins with
tally "$KEDGE_BUILDDIR/lies" redis "$(server way r)" "$(server address r)" \
	'$-1\r\n' '-ERR a lie\r\n' '-WRONGTYPE a lie\r\n' ':5\r\n' '+QUEUED\r\n' '$4\r\nlies\r\n' '*0\r\n' \
	'*3\r\n:1\r\n$-1\r\n*-1\r\n' '*6\r\n:1\r\n:2\r\n$-1\r\n*0\r\n+x\r\n:3\r\n' '%1\r\n+a\r\n:1\r\n' 'HTTP/1.1 400 Bad Request\r\n\r\n'
plan
