#!/bin/sh
# The kedge program, as a user types it: output, messages, exit codes.
unset KEDGE_STORE
# shellcheck source=tests/support/tap.sh
. "$KEDGE_SRCDIR/tests/support/tap.sh"

kedge version
[ $status -eq 0 ] && grep -q '^kedge [0-9][0-9.]*$' out && [ ! -s err ]
ok "version"
cp out version
kedge --version
[ $status -eq 0 ] && cmp -s out version
ok "--version is the same"
kedge version now
[ $status -eq 2 ] && [ ! -s out ] && err_is "kedge version: one word too many: 'now'; see kedge help version"
ok "version takes no argument"

kedge
[ $status -eq 2 ] && [ ! -s out ] && grep -q '^usage: kedge' err
ok "no command: usage, on standard error, exit 2"
kedge --json
[ $status -eq 2 ] && [ ! -s out ] && json_err .error.message 'no command given'
ok "no command, and errors as JSON"
kedge help
[ $status -eq 0 ] && [ ! -s err ] && grep -q '^  store info ' out && grep -q '^  5  ' out
ok "help lists commands and exit codes"
kedge --help
[ $status -eq 0 ] && grep -q '^usage: kedge' out
ok "--help goes to standard output"
for c in version backends 'store info' list show help; do
	# shellcheck disable=SC2086 # two words on purpose
	kedge $c --help
	mv out help1
	# shellcheck disable=SC2086
	[ $status -eq 0 ] && kedge help $c && cmp -s out help1 && grep -q "^usage: kedge \[OPTION...\] $c" out
	ok "help of $c, both ways"
done
kedge frobnicate
[ $status -eq 2 ] && err_is "kedge: there is no command 'frobnicate'; see kedge help"
ok "unknown command"
kedge "$(printf 'fro\033[31m\377b')"
[ $status -eq 2 ] && err_is "kedge: there is no command 'fro\\x1b[31m\\xffb'; see kedge help"
ok "a word that is no text is told without harm to a terminal"
kedge "$(printf 'fro\377b')" --json
[ $status -eq 2 ] && json_err .error.message "there is no command 'fro\\xffb'"
ok "and as JSON that is JSON"
kedge help frobnicate
[ $status -eq 2 ] && grep -q "frobnicate" err
ok "help of an unknown command"
kedge store
[ $status -eq 2 ] && grep -q "'store'" err
ok "half a command"
kedge --frobnicate version
[ $status -eq 2 ] && grep -q "frobnicate" err
ok "unknown option"
kedge version --frobnicate
[ $status -eq 2 ] && grep -q "frobnicate" err
ok "unknown option after the command"

kedge backends
[ $status -eq 0 ] && [ ! -s err ] && grep -q '^name=mem$' out && grep -q '^origin=built in$' out
ok "backends lists the built-in ones"
missing=
for b in $KEDGE_BUILT; do
	grep -q "^name=$b\$" out || missing="$missing $b"
done
[ -z "$missing" ]
ok "backends lists what was configured, modules too"
[ "$(grep -c '^default=yes$' out)" -eq 1 ]
ok "one of them is the default"
kedge backends mem
[ $status -eq 0 ] && [ "$(grep -c '^name=' out)" -eq 1 ] && grep -q '^abi=1$' out && grep -q '^limit.id_max=[0-9]' out
ok "backends NAME describes one"
kedge backends nowhere
[ $status -eq 3 ] && [ ! -s out ] && grep -q "^kedge: there is no backend 'nowhere': inside the library are " err
ok "backends with an unknown name: exit 3"
kedge backends ./nowhere.so
[ $status -eq 3 ] && err_is "kedge: there is no module './nowhere.so'"
ok "backends with a path that is not there: exit 3"
mkdir plugins && echo 'not an object' >plugins/junk.so
kedge backends plugins/junk.so
[ $status -eq 1 ] && grep -q '^kedge: plugins/junk.so: ' err
ok "a file that is no module: exit 1"
(
	KEDGE_BACKEND_PATH=$tmp/plugins
	export KEDGE_BACKEND_PATH
	kedge backends
	[ $status -eq 1 ] && grep -q '^name=junk$' out && grep -q "^problem=$tmp/plugins/junk.so: " out && grep -q '^name=mem$' out
)
ok "a broken module in a plug-in directory is listed with its reason"

kedge store info
[ $status -eq 2 ] && grep -q "no store given" err
ok "store info without a store"
kedge store info mem: mem:
[ $status -eq 2 ] && grep -q "one word too many" err
ok "store info of two stores"
kedge store init mem:
[ $status -eq 0 ] && [ ! -s out ] && [ ! -s err ]
ok "store init mem:"
kedge store migrate mem:
[ $status -eq 0 ] && [ ! -s out ] && [ ! -s err ]
ok "store migrate mem:"
for c in init migrate; do
	kedge store $c --print mem:
	[ $status -eq 1 ] && [ ! -s out ] && err_is "kedge: stores of the backend 'mem' are not set up by statements that could be printed, but by kedge itself"
	ok "store $c --print, where there are no statements"
	kedge store $c --print
	[ $status -eq 2 ] && grep -q "no store given" err
	ok "store $c --print without a store"
done
kedge store info --print mem:
[ $status -eq 2 ] && err_is 'kedge store info: takes no --print; see kedge help store info'
ok "--print belongs to init and migrate"
kedge store info mem: --backend-opt x=1
[ $status -eq 2 ] && err_is "kedge: a store in memory has no option but 'hints=1'"
ok "an option of the backend that it does not have"
kedge store info mem: --backend-opt sesame
[ $status -eq 2 ] && err_is 'kedge: --backend-opt takes NAME=VALUE; see kedge help'
ok "no option at all, which may be a secret"
kedge store info mem: --backend-opt =sesame --json
[ $status -eq 2 ] && json_err .error.message '--backend-opt takes NAME=VALUE'
ok "nor one without a name"
set --
while [ $# -lt 34 ]; do
	set -- "$@" --backend-opt "x=1"
done
kedge store info mem: "$@"
[ $status -eq 2 ] && err_is 'kedge: --backend-opt is given too often, or is too long; see kedge help'
ok "too many of them"
kedge store info mem:
[ $status -eq 0 ] && [ ! -s err ] && grep -q '^backend=mem$' out && grep -q '^durability=' out && grep -q '^limit.page_max=' out
ok "store info mem:"
grep -qx 'durability=none' out && grep -qx 'survives=an acknowledged write is gone with .*' out && [ "$(head -n 1 out)" = url=mem: ]
ok "mem: what it survives"
mv out info
kedge -s mem: store info
[ $status -eq 0 ] && cmp -s out info
ok "the same by -s before the command"
kedge store info --store=mem:
[ $status -eq 0 ] && cmp -s out info
ok "the same by --store after it"
KEDGE_STORE=mem: "$KEDGE" store info >out 2>err
status=$?
[ $status -eq 0 ] && cmp -s out info
ok "the same by KEDGE_STORE"
kedge -b mem store info mem: --namespace other
[ $status -eq 0 ] && grep -q '^namespace=other$' out
ok "--backend and --namespace"
kedge -b mem store info lmdb:///x
[ $status -eq 2 ] && err_is "kedge: the store 'lmdb:///x' is for the backend 'lmdb', and 'mem' was asked for"
ok "a backend that does not fit the scheme"
kedge store info nonsense
[ $status -eq 2 ] && err_is "kedge: 'nonsense' is not a store; name it by a URL like mem: or lmdb:///path, or by a path that begins with / or ."
ok "no URL: exit 2"
kedge store info nowhere://user:sesame@host/x
[ $status -eq 3 ] && grep -q "there is no backend 'nowhere'" err && ! grep -q sesame out err
ok "unknown backend: exit 3, and no password"
kedge store info 'mem:x#user:sesame@host'
[ $status -eq 2 ] && ! grep -q sesame err
ok "a wrong URL is told without its password"
if [ -w /dev/full ]; then
	"$KEDGE" help >/dev/full 2>err
	status=$?
	: >out
	[ $status -eq 1 ] && grep -q "standard output" err
	ok "output that cannot be written is a failure"
else
	skip "output that cannot be written is a failure" "there is no /dev/full"
fi
if built lmdb; then
	kedge store info "lmdb://$tmp/db"
	[ $status -eq 3 ] && [ -s err ] && [ ! -s out ]
	ok "lmdb: a store that was not set up: exit 3"
	kedge store migrate "lmdb://$tmp/db"
	[ $status -eq 3 ] && [ ! -s out ] && grep -q "kedge store init" err
	ok "lmdb: nor can it be migrated"
	kedge store init "lmdb://$tmp/db"
	[ $status -eq 0 ] && [ ! -s err ]
	ok "lmdb: store init"
	kedge store info "lmdb://$tmp/db"
	[ $status -eq 0 ] && grep -q '^backend=lmdb$' out && grep -q '^durability=process' out
	ok "lmdb: store info"
	grep -qx 'durability=process server power' out && grep -qx 'survives=.* power loss as far .*' out &&
		grep -qx 'crash_hints=yes' out && grep -qx 'fences=never repeat' out
	ok "lmdb: what it survives"
	kedge store migrate "lmdb://$tmp/db"
	[ $status -eq 0 ] && [ ! -s out ] && [ ! -s err ]
	ok "lmdb: store migrate of one that is up to date"
	kedge -b lmdb store info "$tmp/db" --backend-opt map_size=16MiB
	[ $status -eq 0 ] && grep -qx 'backend.map_size=16777216' out
	ok "lmdb: its parameters by option"
	kedge store info "lmdb://$tmp/db" --backend-opt map_size=16MiB --backend-opt 'a b&c=1'
	[ $status -eq 2 ] && err_is "kedge: unknown parameter 'a%20b%26c' among the options of lmdb; known: map_size, gather"
	ok "lmdb: an unknown one, whatever is in its name"
	kedge -b lmdb store info "$tmp/db"
	[ $status -eq 0 ] && grep -q '^backend=lmdb$' out
	ok "lmdb: by path alone"
else
	for t in 'a store that was not set up' 'migrate' 'store init' 'store info' 'what it survives' \
		'migrate again' 'options' 'unknown options' 'by path alone'; do
		skip "lmdb: $t" "this build has no lmdb"
	done
fi

kedge list
[ $status -eq 2 ] && grep -q "no store given" err
ok "list without a store"
kedge list -s mem: now
[ $status -eq 2 ] && grep -q "one word too many" err
ok "list takes no argument"
kedge list -s mem: --limit=0
[ $status -eq 2 ] && grep -q "'0'" err
ok "a limit of nothing"
kedge version --limit 3
[ $status -eq 2 ] && err_is 'kedge version: takes no --limit; see kedge help version'
ok "--limit belongs to list"
kedge list -s mem:
[ $status -eq 0 ] && [ ! -s out ] && [ ! -s err ]
ok "list of no runs"
kedge show -s mem:
[ $status -eq 2 ] && grep -q "no run given" err
ok "show without a run"
kedge show -s mem: nobody
[ $status -eq 3 ] && [ ! -s out ] && err_is "kedge: there is no run 'nobody'"
ok "show of a run that is not there: exit 3"
if built lmdb; then
	runs=lmdb://$tmp/runs
	"$KEDGE_BUILDDIR/make_runs" "$runs" >out 2>err
	status=$?
	[ $status -eq 0 ]
	ok "runs are made"
	kedge list -s "$runs"
	[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 4 ] && sed -n 1p out | grep -q '^ID  *REACTOR .*CREATED' &&
		sed -n 2p out | grep -q '^a\\x0a\\x00\\\\b  *order@1  *pending  *due ' &&
		sed -n 4p out | grep -q '^done  *order@1  *completed  *at rest  *default  *5 '
	ok "list: the newest first, ids escaped"
	kedge list -s "$runs" --limit 1
	[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 2 ]
	ok "list --limit"
	kedge show -s "$runs" 'done'
	[ $status -eq 0 ] && grep -q '^status=completed$' out && grep -q '^result="two"$' out &&
		grep -q '^STEP  *AFTER  *STATE ' out &&
		grep -q '^reserve  *-  *done  *1 .* 3  *no\\x1b *$' out &&
		grep -q 'charge  *reserve  *done  *0 .* 5  *- *$' out
	ok "show: facts and steps"
	KEDGE_STORE="lmdb://$tmp/real" "$KEDGE" demo order >out 2>err
	status=$?
	[ $status -eq 0 ] && grep -q '^killed worker [0-9]* in the middle of that undo' out &&
		grep -q 'charge  *done  *being undone in [0-9]*, in doubt: it began before' out &&
		tail -n 6 out | grep -q '^reserve  *done  *undone' &&
		tail -n 6 out | grep -q 'charge  *done  *undone' &&
		tail -n 6 out | grep -q 'screen  *done  *-' &&
		tail -n 6 out | grep -q 'ship  *failed: no carrier  *compensated' &&
		tail -n 1 out | grep -qx 'run order-1001: failed, no carrier (step ship)'
	ok "demo order: killed while it takes back, and goes on"
	[ ! -e real ]
	ok "demo order: KEDGE_STORE is left alone"
	kedge demo order -s "lmdb://$tmp/order?map_size=64MiB" --no-kill
	[ $status -eq 0 ] && ! grep -q killed out
	ok "demo order --no-kill, on a store that stays"
	kedge cancel -s "lmdb://$tmp/order" order-1001
	[ $status -eq 4 ] && grep -q 'has come to its end (it is failed)' err
	ok "cancel of a run at rest: exit 4, and why"
	kedge retry-undo -s "lmdb://$tmp/order" order-1001 --step nothing
	[ $status -eq 2 ] && grep -q "reactor 'order' version 1 has no step 'nothing'" err
	ok "a verb for a step that is not there"
	kedge cancel -s "lmdb://$tmp/order" order-1001 --step ship
	[ $status -eq 2 ] && err_is 'kedge cancel: takes no --step; see kedge help cancel'
	ok "a verb that is not of a step"
	kedge retry-new -s "lmdb://$tmp/order" order-1001 --why 'a carrier was found' --who me
	new=$(sed -n 's/^new_id=//p' out)
	[ $status -eq 0 ] && [ ${#new} -eq 36 ]
	ok "retry-new: its id"
	kedge list -s "lmdb://$tmp/order" --unserved
	[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 2 ] && grep -q "^$new " out
	ok "list --unserved: no worker is there"
	kedge pause -s "lmdb://$tmp/order" "$new" && kedge pause -s "lmdb://$tmp/order" "$new"
	[ $status -eq 0 ] && grep -qx 'status=paused' out && grep -qx 'outcome=already' out
	ok "pause, twice"
	kedge abandon -s "lmdb://$tmp/order" "$new" --why 'enough' && grep -qx 'status=aborted' out &&
		kedge show -s "lmdb://$tmp/order" "$new"
	[ $status -eq 0 ] && grep -qx 'error=enough' out
	ok "abandon, and why"
	kedge show -s "lmdb://$tmp/order" order-1001
	[ $status -eq 0 ] && grep -qx 'status=failed' out && grep -q '^reserve  *-  *undone ' out &&
		grep -q 'ship  *charge,screen  *compensated ' out
	ok "show: what was taken back"
	kedge show -s "$runs" failed
	[ $status -eq 0 ] && grep -q '^error=broken$' out && grep -q '^error_step=step 0$' out &&
		grep -q '^step 0  *-  *failed  *2 .* broken *$' out
	ok "show of a run whose definition is not known"
	kedge show -s "$runs" 'a\x0a\x00\\b'
	[ $status -eq 0 ] && grep -q '^id=a\\x0a\\x00\\\\b$' out
	ok "show takes an id as list shows it"
else
	for t in 'runs are made' 'list' 'list --limit' 'show' 'demo order' 'demo order: KEDGE_STORE' 'demo order --no-kill' 'cancel' 'no such step' 'no step' \
		'retry-new' 'list --unserved' 'pause' 'abandon' 'show of it' \
		'show without a definition' 'show by an escaped id'; do
		skip "lmdb: $t" "this build has no lmdb"
	done
fi
echo "1..$n"
