#!/bin/sh
# PostgreSQL as somebody else has set it up: strings with backslashes, a path and an encoding that
# nobody expects, all of it given by role and database; a database without an encoding.  And what
# sessions leave behind at the server after each kind of call: no transaction.
# shellcheck source=tests/servers/contract.sh
. "$KEDGE_SRCDIR/tests/servers/contract.sh"
contract_begin postgresql
[ -n "${KEDGE_TEST_LONG-}" ] || areas='commit data locks claim'

odd() { # SETTING VALUE: is it so for whom kedge is?
	[ "$(server cli store -c "show $1")" = "$2" ]
}
server cli store -qc "alter role kedge set standard_conforming_strings = off" \
	-c "alter role kedge set escape_string_warning = on" \
	-c "alter role kedge set search_path = 'nowhere', pg_catalog" \
	-c "alter role kedge set bytea_output = 'escape'" \
	-c "alter role kedge set datestyle = 'German'" \
	-c "alter database postgres set client_encoding = 'LATIN1'" >/dev/null || exit 99
odd standard_conforming_strings off && odd search_path 'nowhere, pg_catalog' &&
	odd client_encoding LATIN1 && odd bytea_output escape
ok 'it is so'
contract "${url:?}"

server cli store -qc 'create database ascii encoding SQL_ASCII template template0 lc_collate "C" lc_ctype "C"' ||
	exit 99
contract "$(printf '%s' "$url" | sed 's,///[a-z]*,///ascii,')"

# The states of the sessions that are looked at, from outside.
cat >"$dir/idle" <<'end'
select count(*) > 0 and count(*) filter (where state <> 'idle') = 0 from pg_stat_activity
where application_name = 'looked-at'
end
tally "$KEDGE_BUILDDIR/after" postgresql "$url&application_name=looked-at" \
	"[ \"\$('${SHELL:-/bin/sh}' '$KEDGE_SRCDIR/tests/support/server.sh' cli store -f '$dir/idle')\" = t ]"
plan
