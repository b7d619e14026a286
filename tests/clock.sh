#!/bin/sh
# The clock that tests move: servers that are started under it follow it, stand still with it, and
# go on doing by real time what they do every so often.
# shellcheck source=tests/support/tap.sh
. "$KEDGE_SRCDIR/tests/support/tap.sh"
# shellcheck source=tests/support/servers.sh
. "$KEDGE_SRCDIR/tests/support/servers.sh"

shim=$KEDGE_BUILDDIR/.libs/kedge-clock.so
if [ ! -f "$shim" ]; then
	echo '1..0 # SKIP this build has no shared libraries'
	exit 0
fi
servers_begin
trap 'servers_end; rm -rf "$tmp"' EXIT
trap 'exit 99' HUP INT TERM
KEDGE_TEST_CLOCK=$KEDGE_SERVERS/clock
export KEDGE_TEST_CLOCK
clock() {
	"$KEDGE_BUILDDIR/clock_set" "$KEDGE_TEST_CLOCK" "$@" >clock.out
}
day=86400000000
y2027=1800000000000000 # in January, and then some
date_under() {
	LD_PRELOAD=$shim date -u +%s
}

clock still $y2027 && [ "$(date_under)" = 1800000000 ] && [ "$(date_under)" = 1800000000 ]
ok 'it stands still'
clock by $day && [ "$(date_under)" = 1800086400 ] && clock by -$day && [ "$(date_under)" = 1800000000 ]
ok 'it is moved, back too'
clock run $y2027 && before=$(date_under) && [ "$before" -ge 1800000000 ] && [ "$before" -lt 1800000060 ]
ok 'it runs'
clock real && [ "$(date_under)" -ge "$(date -u +%s)" ]
ok 'it is real'

if ! server have redis >why; then
	for t in 'stands still' moved 'keys expire' back 'a restart'; do
		skip "redis: $t" "$(cat why)"
	done
else
	time_is() { # US
		server cli r time >out 2>err
		status=$?
		[ "$(cat out)" = "$(printf '%d\n%d' $(($1 / 1000000)) $(($1 % 1000000)))" ]
	}
	clock still $((y2027 + 123456)) && server redis r && time_is $((y2027 + 123456)) && time_is $((y2027 + 123456))
	ok 'redis: TIME stands still'
	clock by 1 && time_is $((y2027 + 123457)) && clock by $day && time_is $((y2027 + day + 123457))
	ok 'redis: TIME is moved'
	server cli r set k v px 30000 >out && [ "$(server cli r get k)" = v ] && clock by 31000000 &&
		[ -z "$(server cli r get k)" ]
	ok 'redis: a key expires when the clock is moved'
	server cli r set k v px 1000 >out && clock by -600000000 && [ "$(server cli r pttl k)" = 601000 ]
	ok 'redis: and lives on when it is moved back'
	clock still $y2027 && server kill r && server start r && time_is $y2027 && server restart r && time_is $y2027
	ok 'redis: killed, stopped and started again, it still follows'
fi

if ! server have postgresql >why; then
	for t in 'stands still' moved 'statement_timeout' 'lock_timeout' deadlock 'a restart'; do
		skip "postgresql: $t" "$(cat why)"
	done
else
	us="select (extract(epoch from clock_timestamp()) * 1000000)::bigint"
	sql() {
		server cli p "$@" >out 2>err
		status=$?
	}
	clock still $y2027 && server postgresql p && sql -c "$us" -c "$us" && out_is $y2027 $y2027
	ok 'postgresql: clock_timestamp() stands still'
	printf '%s\n' "$us;" "\\! '$KEDGE_BUILDDIR/clock_set' '$KEDGE_TEST_CLOCK' by 3600000000 >/dev/null" "$us;" \
		"\\! '$KEDGE_BUILDDIR/clock_set' '$KEDGE_TEST_CLOCK' by -7200000000 >/dev/null" "$us;" >script
	sql -f script
	out_is $y2027 $((y2027 + 3600000000)) $((y2027 - 3600000000))
	ok 'postgresql: it is moved in the middle of a session, back too'
	sql -c "set statement_timeout = '200ms'" -c 'select pg_sleep(100000)'
	grep -q 'due to statement timeout' err
	ok 'postgresql: statement_timeout comes while the clock stands still'
	sql -c 'create table t as select 1 as a'
	(printf '%s\n' 'begin;' 'lock t;' "\\! touch locked" "\\! while [ ! -e enough ]; do sleep 0.02; done" 'commit;' |
		server cli p -f - >other 2>&1) &
	await test -e locked
	sql -c "set lock_timeout = '200ms'" -c 'select a from t'
	grep -q 'due to lock timeout' err
	ok 'postgresql: lock_timeout too'
	: >enough
	wait
	sql -c 'create table u as select 1 as a'
	one_first() { # TABLE TABLE FILE: update one, wait for the other's, update the other
		printf '%s\n' 'begin;' "update $1 set a = 2;" "\\! touch did-$1" \
			"\\! while [ ! -e did-$2 ]; do sleep 0.02; done" "update $2 set a = 2;" 'commit;' |
			server cli p -f - >"$3" 2>&1
	}
	one_first t u one &
	one_first u t two
	wait
	[ "$(cat one two | grep -c 'deadlock detected')" -eq 1 ] && sql -c 'select a from t' && out_is 2
	ok 'postgresql: a deadlock is found'
	clock by $day && now=$(cat clock.out) && server kill p && server start p && sql -c "$us" && out_is "$now" &&
		server restart p && sql -c "$us" && out_is "$now"
	ok 'postgresql: killed, stopped and started again, it still follows'
fi
echo "1..$n"
