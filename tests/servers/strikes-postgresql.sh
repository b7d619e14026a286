#!/bin/sh
# Every operation over PostgreSQL while its sessions are terminated all the time.
# shellcheck source=tests/support/long.sh
. "$KEDGE_SRCDIR/tests/support/long.sh"
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
: "${server:?}"
server postgresql p fsync=off max_connections=100 || exit 99
url=$(server url p)
cat >"$dir/strike" <<'end'
select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'struck' \watch 0.25
end
tally "$KEDGE_BUILDDIR/strikes" postgresql "$url&application_name=spared" \
	"$url&application_name=struck" "exec $server cli p -qf $dir/strike >/dev/null"
plan
