#!/bin/sh
# Every key that a script touches is one that it was called with, and all of them are of one
# namespace: seen by MONITOR while the contract is tested.  A Redis Cluster does not tell: it lets a
# script touch any key of a node.  The long tests look at all of the contract.
# shellcheck source=tests/support/long.sh
. "$KEDGE_SRCDIR/tests/support/long.sh"
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend redis
server redis r appendfsync no client-output-buffer-limit 'normal 0 0 0' || exit 99
if [ -f "$KEDGE_BUILDDIR/.libs/kedge-clock.so" ]; then
	server drop r
	KEDGE_TEST_CLOCK=$KEDGE_SERVERS/clock
	export KEDGE_TEST_CLOCK
	"$KEDGE_BUILDDIR/clock_set" "$KEDGE_TEST_CLOCK" real >/dev/null || exit 99
	server redis r appendfsync no client-output-buffer-limit 'normal 0 0 0' || exit 99
fi

told() { # WHAT STATUS
	if [ "$2" -eq 0 ]; then
		echo "ok - $1"
	else
		echo "not ok - $1"
	fi | tee -a "$dir/tap"
}

# A line is: 1700000000.123456 [0 127.0.0.1:40000] "EVALSHA" "digest" "2" "key" "key" "argument", and
# for what a script does: 1700000000.123456 [0 lua] "GET" "key".  Quotes within words are escaped.
cat >"$dir/keys.awk" <<'end'
function words(line) {
	sub(/^[^"]*"/, "", line)
	sub(/"$/, "", line)
	return split(line, word, /" "/)
}
function tag(key) {
	return match(key, /^kedge:\{[^}]*\}:/) ? substr(key, 1, RLENGTH) : ""
}
function touch(key) {
	touched++
	if (!(key in declared)) {
		wrong++
		if (wrong <= 5)
			print "# " command " of " key ", which was not declared"
	}
}
!/ lua\] "/ {
	n = words($0)
	command = toupper(word[1])
	if (command != "EVALSHA" && command != "EVAL")
		next
	calls++
	split("", declared)
	first = tag(word[4])
	for (i = 4; i < 4 + word[3]; i++) {
		declared[word[i]] = 1
		if (first == "" || tag(word[i]) != first) {
			mixed++
			print "# a script is called with key " word[i] " beside " word[4]
		}
	}
	next
}
{
	n = words($0)
	command = toupper(word[1])
	if (command == "TIME" || command == "PUBLISH")
		next
	last = 2
	if (command == "MGET" || command == "UNLINK" || command == "EXISTS" || command == "DEL")
		last = n
	else if (command == "RENAME")
		last = 3
	for (i = 2; i <= last; i++)
		touch(word[i])
}
END {
	printf "# %d calls of scripts, which touched %d keys: %d not declared, %d calls with keys of several slots\n",
		calls, touched, wrong, mixed
	exit !(calls > 1000 && touched > 10000 && wrong == 0 && mixed == 0)
}
end
redis-cli -s "$KEDGE_SERVERS/r/sock" monitor 2>/dev/null | LC_ALL=C awk -f "$dir/keys.awk" >"$dir/keys" &
until server cli r client list | grep -q 'cmd=monitor'; do
	sleep 0.02
done
areas='--tier concurrent'
[ -n "${KEDGE_TEST_LONG-}" ] || areas='--filter batch,fences,locks,cells,claim,slots,purge'
# shellcheck disable=SC2086 # words on purpose
"$KEDGE" conform $areas "$(server url r)" >"$dir/contract" 2>&1
told "the contract is kept" $?
server stop r
wait $!
told "each key that a script touches was declared, and is in its slot" $?
cat "$dir/keys"
plan
