#!/bin/sh
# Every operation over Redis while its connections are closed by CLIENT KILL all the time.
# shellcheck source=tests/support/long.sh
. "$KEDGE_SRCDIR/tests/support/long.sh"
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
server redis r appendfsync no || exit 99
server cli r acl setuser spared on '>secret' '~*' '&*' '+@all' >/dev/null || exit 99
sock=$KEDGE_SERVERS/r/sock
tally "$KEDGE_BUILDDIR/strikes" redis "redis+unix://spared:secret@$sock" "redis+unix://$sock" \
	"exec redis-cli -s $sock -r -1 -i 0.01 client kill user default >/dev/null"
plan
