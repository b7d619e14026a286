#!/bin/sh
# kedge bench over Redis.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
# shellcheck source=tests/servers/bench.sh
. "$KEDGE_SRCDIR/tests/servers/bench.sh"

server redis s || exit 99
server cli s set mine alone >/dev/null
keys() {
	server cli s --scan | sort
}
bench_over "$(server url s)" redis keys
