#!/bin/sh
# kedge bench over PostgreSQL.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
# shellcheck source=tests/servers/bench.sh
. "$KEDGE_SRCDIR/tests/servers/bench.sh"

server postgresql s autovacuum=off wal_writer_delay=10s || exit 99
tables() {
	server cli s -qAt -c "select schemaname, tablename from pg_tables where schemaname !~ '^pg_' and schemaname <> 'information_schema' order by 1, 2"
}
bench_over "$(server url s)" postgresql tables
