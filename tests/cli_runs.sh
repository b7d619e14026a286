#!/bin/sh
# kedge on runs: which are listed, found, asked; one by one and in bulk; as text and as JSON; with a
# terminal and without.
unset KEDGE_STORE
# shellcheck source=tests/support/tap.sh
. "$KEDGE_SRCDIR/tests/support/tap.sh"

if ! built lmdb; then
	echo "1..0 # SKIP this build has no lmdb, and runs must outlive a command"
	exit 0
fi
KEDGE_STORE="lmdb://$tmp/s?map_size=64MiB"
export KEDGE_STORE

# terminal KEYS COMMAND...: with a terminal for everything; what was printed is in out
terminal() {
	keys=$1
	shift
	printf '%s' "$keys" | TERM=xterm script -qec "$*" /dev/null >out 2>err
	status=$?
}

# A run that failed, made by the demo, and others of its reactor that wait.
kedge demo --no-kill -s "$KEDGE_STORE"
[ $status -eq 0 ]
ok "a run that failed"
for id in order-1002 order-1003 other-1 other-2; do
	kedge retry-new order-1001 --new-id "$id" --why "a test" --who me || break
	out_is id=order-1001 outcome=done status=failed 'place=at rest' "new_id=$id" || break
done
[ "$id" = other-2 ] && [ $status -eq 0 ]
ok "runs that wait, by ids of ours"

# -------------------------------------------------------------------- list
ids() {
	tr '\n' ' ' <out
}
kedge list --ids
[ $status -eq 0 ] && [ "$(ids)" = "other-2 other-1 order-1003 order-1002 order-1001 " ]
ok "list --ids: the newest first"
kedge list --ids --oldest --limit 2
[ $status -eq 0 ] && [ "$(ids)" = "order-1001 order-1002 " ]
ok "list --oldest --limit"
kedge list --ids --state failed
[ $status -eq 0 ] && [ "$(ids)" = "order-1001 " ]
ok "list --state"
kedge list --ids --state failed,pending,rolling-back
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 5 ]
ok "list --state of several"
kedge list --ids --state ended
[ $status -eq 0 ] && [ "$(ids)" = "order-1001 " ]
ok "list --state ended"
kedge list --state failed,fine
[ $status -eq 2 ] && err_is "kedge list: there is no state 'fine'; see kedge help list"
ok "list of a state that there is not"
kedge list --ids --reactor order && [ "$(wc -l <out)" -eq 5 ] && kedge list --ids --reactor orders
[ $status -eq 0 ] && [ ! -s out ]
ok "list --reactor"
kedge list --ids --queue default && [ "$(wc -l <out)" -eq 5 ] && kedge list --ids --queue mail
[ $status -eq 0 ] && [ ! -s out ]
ok "list --queue"
kedge list --ids --newer 1h && [ "$(wc -l <out)" -eq 5 ] && kedge list --ids --older 1h
[ $status -eq 0 ] && [ ! -s out ]
ok "list --newer, --older"
kedge list --older 3
[ $status -eq 2 ] && grep -q "takes a number and a unit .*'3'; see kedge help list" err
ok "list of an age without a unit"
kedge list --older 99999999999999999999d
[ $status -eq 2 ] && grep -q "takes a number and a unit" err
ok "list of an age that is none"
kedge list --unserved --ids
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 4 ]
ok "list --unserved: no worker is there"
kedge list --ids --json
[ $status -eq 2 ] && json_err .error.message '--ids or JSON, not both'
ok "list: ids are no JSON"
kedge list --json
[ $status -eq 0 ] && json '#' 5 && json '[4].id' order-1001 && json '[4].status' failed &&
	json '[4].version' 1 && json '[0].place' due && "$KEDGE_BUILDDIR/json_get" '[0].fence' <out | grep -q '^[0-9]*$' &&
	grep -q '"fence":"[0-9]*"' out && grep -q '"created":"20[0-9-]*T[0-9:]*\.[0-9]\{6\}Z"' out
ok "list --json: one array; 64 bits as strings; times"
kedge list --jsonl --limit 2
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 2 ] && sed -n 2p out >line && mv line out && json .id other-1
ok "list --jsonl: an object a line"
kedge list --json --state halted
[ $status -eq 0 ] && out_is '[]'
ok "list --json of nothing"
kedge list --json --jsonl
[ $status -eq 2 ] && json_err .error.code USAGE
ok "JSON or lines of it, not both"

# -------------------------------------------------- ids, beginnings of ids
kedge show order-1002 --json
[ $status -eq 0 ] && json .id order-1002 && json .status pending && json '.steps#' 4 &&
	json '.steps[3].name' ship && json '.steps[3].after[1]' screen && json '.steps[3].state' waiting &&
	json '.steps[0].in_doubt' false
ok "show --json: the run and its steps"
kedge show order-1001 --json
[ $status -eq 0 ] && json .error 'no carrier' && json .error_step ship && json '.steps[1].state' 'done' &&
	json '.steps[0].state' undone && json '.steps[3].error' 'no carrier'
ok "show --json: what was taken back"
kedge show order-1002
cp out whole
kedge show order-1002 && kedge show 'order-1\x3002'
[ $status -eq 0 ] && cmp -s whole out
ok "an id may be escaped"
kedge show other-2 && cp out whole && kedge show other-2 && cmp -s out whole && kedge cancel other-2 --dry-run &&
	out_is id=other-2 outcome=would status=pending place=due
ok "cancel --dry-run of one"
kedge why order-100
[ $status -eq 2 ] && err_is "kedge: 'order-100' is the beginning of several ids (order-1003, order-1002, order-1001); write more of it"
ok "a beginning of several ids lists them"
kedge show oth --json
[ $status -eq 2 ] && json_err .error.exit 2
ok "a beginning of several ids, in JSON"
kedge show order-1003x
[ $status -eq 3 ] && err_is "kedge: there is no run 'order-1003x'"
ok "more than an id is none"
kedge show order-1003 --json && cp out whole && kedge pause other-1 && kedge show other-1 --json
[ $status -eq 0 ] && json .status paused
ok "pause of one run"
kedge resume other- --why x
[ $status -eq 2 ]
ok "a beginning is not guessed for a verb either"
kedge resume other-1
[ $status -eq 0 ] && out_is id=other-1 outcome=done status=running place=due
ok "resume"
kedge journal order-1001 --json
[ $status -eq 0 ] && json '[0].kind' begin && json '[0].number' 1 && json '[1].step' reserve
ok "journal --json"
kedge journal order-1001 --values --from 2 --limit 3
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 4 ] && sed -n 2p out | grep -q '^ *2  *20[0-9T:.-]*Z  *done  *reserve  *[0-9]*  *demo@'
ok "journal: records, their time, bytes and writer"
kedge journal order-1001 --from 1x
[ $status -eq 2 ] && grep -q -- "--from takes a positive number, not '1x'" err
ok "journal from a record that is none"
kedge why order-1001
[ $status -eq 0 ] && sed -n 2p out | grep -q '^ended  *.*failed'
ok "why: it has ended"
kedge why order-1002 --json
[ $status -eq 0 ] && json '[0].cause' nobody && "$KEDGE_BUILDDIR/json_get" '[0].sentence' <out | grep -q 'no worker'
ok "why: nobody is there"

# -------------------------------------------------------------------- bulk
kedge cancel
[ $status -eq 2 ] && grep -q 'no run given' err
ok "cancel of nothing"
kedge cancel order-1002 --limit 1
[ $status -eq 2 ] && grep -q 'name runs, or describe them, not both' err
ok "an id and a limit"
kedge cancel order-1002 --state pending
[ $status -eq 2 ] && grep -q 'name runs, or describe them, not both' err
ok "ids and a description"
kedge pause --all --dry-run
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 5 ] && grep -q '^other-2  *would  *pending  *due ' out &&
	! grep -q order-1001 out && err_is '4 of 4 runs would be taken'
ok "a dry run shows which, and changes nothing"
kedge list --ids --state paused
[ $status -eq 0 ] && [ ! -s out ]
ok "nothing was changed"
kedge pause --all </dev/null
[ $status -eq 2 ] && err_is 'kedge: pause 4 runs? There is nobody to ask here; say --yes, or --dry-run to see which'
ok "without a terminal nobody can be asked"
kedge pause --all --json --yes
[ $status -eq 0 ] && json '#' 4 && json '[0].outcome' 'done' && json '[3].status' paused && [ ! -s err ]
ok "several at once, as JSON"
kedge resume --state paused --newer 1h --yes
[ $status -eq 0 ] && err_is '4 of 4 runs done' && kedge list --ids --state paused && [ ! -s out ]
ok "several by a description"
kedge cancel --state failed --yes
[ $status -eq 0 ] && err_is '0 of 0 runs done'
ok "runs in no state for it are not looked at"
kedge retry order-1002 order-1001 nobody-x 2>/dev/null
[ $status -eq 3 ]
ok "one of several that is not there: nothing is done"
kedge show order-1001
grep -qx status=failed out
ok "really nothing"
kedge undo order-1001 order-1002
[ $status -eq 7 ] && grep -q '^order-1001  *refused ' out && grep -q '^order-1002  *refused ' out && err_is '0 of 2 runs done'
ok "some of several that refuse: exit 7, and why"
kedge undo order-1001 order-1002 --jsonl
[ $status -eq 7 ] && sed -n 2p out >line && mv line out && json .outcome refused &&
	"$KEDGE_BUILDDIR/json_get" .message <out | grep -q .
ok "the same as JSON"
kedge undo order-1001 --json
[ $status -eq 4 ] && json_err .error.code STATE && [ ! -s out ]
ok "one that refuses: exit 4, an error"

# --------------------------------------------------------------- terminals
if ! command -v script >/dev/null 2>&1; then
	for t in 'a question' 'no' 'colour' 'NO_COLOR' 'dumb' 'watch' 'progress'; do
		skip "on a terminal: $t" "there is no script(1) here"
	done
else
	terminal 'n
' "$KEDGE" pause --all
	[ $status -eq 1 ] && grep -q 'pause 4 runs? \[y/N\]' out && grep -q 'nothing was done' out
	ok "on a terminal there is a question"
	kedge list --ids --state paused
	[ ! -s out ]
	ok "no is no"
	terminal 'y
' "$KEDGE" pause --all
	[ $status -eq 0 ] && grep -q '4 of 4 runs done' out
	ok "yes is yes"
	kedge resume --all --yes
	terminal '' "$KEDGE" list
	grep -q "$(printf '\033\\[')" out
	ok "colour on a terminal"
	terminal '' "NO_COLOR=1 $KEDGE" list
	! grep -q "$(printf '\033\\[')" out && grep -q order-1001 out
	ok "no colour with NO_COLOR"
	terminal '' "TERM=dumb $KEDGE" list
	! grep -q "$(printf '\033\\[')" out && grep -q order-1001 out
	ok "no colour on a terminal that is dumb"
	terminal '' "NO_COLOR=1 $KEDGE" list --color always
	grep -q "$(printf '\033\\[')" out
	ok "colour all the same, if that is asked for"
	terminal '' "timeout -s INT 2 $KEDGE" list --watch=1
	grep -q "$(printf '\033\\[H')" out && [ "$(grep -c 'order-1001 ' out)" -ge 1 ]
	ok "watch begins at the top of the terminal"
fi
kedge list
[ $status -eq 0 ] && ! grep -q "$(printf '\033')" out
ok "no colour without a terminal"
kedge list --color=blue
[ $status -eq 2 ] && grep -q "not 'blue'" err
ok "a colour that is none"

# has FILE N: it has so many lines
has() {
	[ "$(wc -l <"$1")" -ge "$2" ]
}
"$KEDGE" show order-1002 --watch=1 --jsonl >watch 2>err &
watcher=$!
await has watch 2 && kill -INT $watcher
wait $watcher
status=$?
cp watch out
[ $status -eq 130 ] && sed -n 2p watch >out && json .id order-1002
ok "watch: again and again until it is interrupted, exit 130"
kedge list --watch=x
[ $status -eq 2 ] && grep -q -- '--watch' err
ok "watch with an interval that is none"

# ------------------------------------------------------- waiting, and workers
kedge cancel other-2 --wait=300ms
[ $status -eq 0 ] && out_is id=other-2 outcome=done status=cancelled "place=at rest"
ok "cancel of a run that never began, --wait"
kedge pause other-1 --wait=50ms
[ $status -eq 6 ] && err_is 'kedge: it was asked for, and run other-1 is not at rest yet; kedge why tells why'
ok "--wait that is not long enough: exit 6"
kedge pause other-1 order-1002 --wait=50ms --jsonl
[ $status -eq 7 ] && [ "$(wc -l <out)" -eq 2 ] && [ "$(grep -c '"outcome":"failed"' out)" -eq 2 ] &&
	! grep -q '"outcome".*"outcome"' out && grep -q 'run order-1002 is not at rest yet' out
ok "the same of several: one outcome each, and exit 7"
kedge resume other-1 order-1002
kedge pause order-1002 order-1003
"$KEDGE" demo --worker --store "$KEDGE_STORE" >/dev/null 2>&1 &
worker=$!
some_worker() {
	kedge workers
	[ $status -ne 0 ] || grep -q '  alive  ' out
}
await some_worker
grep -q ' alive .* order@1$' out
ok "workers: the one that has come"
kedge workers --json
[ $status -eq 0 ] && grep -q '"state":"alive"' out && json '[0].serves[0].reactor' order &&
	json '[0].serves[0].version_max' 1 && json '[0].serves[0].queue' default
ok "workers --json"
kedge cancel order-1002 order-1003 --wait=60s
[ $status -eq 0 ] && [ "$(grep -c '  cancelled  *at rest' out)" -eq 2 ]
ok "the worker takes back what was cancelled"
kedge locks
[ $status -eq 0 ] && [ ! -s out ]
ok "locks: none is held"
kedge sweep
[ $status -eq 0 ] && grep -qx workers=1 out && grep -qx buried=0 out && grep -qx runs_removed=0 out
ok "sweep beside a live worker"
kill -9 $worker
wait $worker 2>/dev/null
kedge sweep --dry-run --json
[ $status -eq 0 ] && json .workers 1
ok "sweep --dry-run --json"
kedge sweep
[ $status -eq 0 ] && grep -qx buried=1 out
ok "sweep buries the dead"

# ------------------------------------------------------------------- queues
kedge queue pause mail --why 'the relay is down' --who me
[ $status -eq 0 ] && [ ! -s out ] && kedge queues && grep -q '^mail  *20[0-9T:.-]*Z  *me  *the relay is down' out
ok "queue pause"
kedge queue pause mail
[ $status -eq 4 ] && err_is 'kedge: that queue is paused already'
ok "queue pause, twice: exit 4"
kedge queues --json
[ $status -eq 0 ] && json '[0].queue' mail && json '[0].why' 'the relay is down'
ok "queues --json"
kedge queue resume mail && kedge queues
[ $status -eq 0 ] && [ ! -s out ]
ok "queue resume"
kedge queue resume mail
[ $status -eq 4 ] && err_is 'kedge: that queue is not paused'
ok "queue resume of one that is not paused"

# -------------------------------------------------------------------- purge
kedge purge other-1
case $status in
0) kedge list --ids --state ended ;;
4) grep -q 'not at rest' err ;;
*) false ;;
esac
ok "purge takes what is at rest, and refuses what is not"
kedge list --ids --state ended
all=$(wc -l <out)
kedge purge --state ended --yes
[ $status -eq 0 ] && err_is "$all of $all runs done" && kedge list --ids --state ended && [ ! -s out ]
ok "purge by a description"
kedge purge order-1001
[ $status -eq 3 ]
ok "purge of one that is gone: exit 3"
kedge purge --all </dev/null
[ $status -eq 2 ] || [ "$(cat err)" = '0 of 0 runs done' ]
ok "purge asks first"
echo "1..$n"
