#!/bin/sh
# Wrappers before backends, by the names of stores: what they do, alone and before one another, and
# what is said of those that make no sense.
unset KEDGE_STORE
# shellcheck source=tests/support/tap.sh
. "$KEDGE_SRCDIR/tests/support/tap.sh"
if [ -z "$KEDGE_WRAPPERS" ]; then
	echo "1..0 # SKIP wrappers are modules, and this build has no shared libraries"
	exit 0
fi

# --------------------------------------------------------------------- listed
kedge backends
four() { # PATTERN-WITH-@: is each of them listed, so?
	for wrapper in count fault record trace; do
		grep -q "$(printf '%s' "$1" | sed "s/@/$wrapper/")" out || return 1
	done
}
[ $status -eq 0 ] && four '^name=@$' && four '^origin=.*/@\.so$' && [ "$(grep -c '^wrapper=yes$' out)" -ge 4 ]
ok "wrappers are listed, as what they are"
kedge backends --jsonl
[ $status -eq 0 ] && four '"name":"@","wrapper":"yes"'
ok "and in JSON"
kedge backends count+mem
[ $status -eq 0 ] && grep -qx name=count+mem out && grep -qx 'origin=.*/count.so' out && sed 1,3d out >pair
kedge backends mem
sed 1,3d out | cmp -s - pair && [ -s pair ]
ok "with a wrapper before it a backend promises what it did"
kedge backends fault
[ $status -eq 1 ] && grep -q '/fault.so: this is a wrapper, which stands before a backend: name the store fault+URL, or' err
ok "alone it is no backend"

# ------------------------------------------------------------------ count, trace
kedge store info "count,to=$tmp/counts+mem:"
[ $status -eq 0 ] && [ ! -s err ] && grep -qx "url=count,to=$tmp/counts+mem:" out && grep -qx backend=count+mem out &&
	[ "$(tail -n 1 counts)" = 'info=1 store_open=1 store_close=1 session_open=1 session_close=1' ]
ok "count: what one command asks of its store"
kedge store info count+mem:
[ $status -eq 0 ] && grep -q '^info=1 ' err
ok "count: on standard error"
kedge -b count+mem store info count+mem: && [ $status -eq 0 ] && kedge -b mem store info count+mem: && [ $status -eq 0 ]
ok "a backend that is asked for may be named with its wrappers or without"
kedge -b count+mem store info mem:
[ $status -eq 2 ] && err_is "kedge: the store 'mem:' is for the backend 'mem', and 'count+mem' was asked for"
ok "but not with more than the store has"
kedge store info "trace,to=$tmp/trace+mem:"
[ $status -eq 0 ] && [ ! -s err ] && grep -q "^[0-9][0-9]* info: OK after [0-9][0-9]* us\$" trace &&
	grep -q "^[0-9]* store_open 'default': ERR_SCHEMA_MISSING: there is no such store" trace
ok "trace: a line for each call"
kedge store info "trace,to=a%2Cb%2Bc%25+mem:"
[ $status -eq 0 ] && [ -s 'a,b+c%' ]
ok "a value may have ',' '+' and '%' in it, encoded"

# ------------------------------------------------------------- the whole contract
# conforms URL [OPTION...]
conforms() {
	kedge conform "$@"
	[ $status -eq 0 ] && grep -q '^ok .*locks-01' out && ! grep -q '^not ok' out
}
conforms "count,to=$tmp/counts+mem:x" && [ "$(wc -l <counts)" -ge 190 ]
ok "count+mem keeps the contract"
conforms "trace,to=$tmp/trace+mem:x" && grep -q '^    append to ' trace
ok "trace+mem keeps the contract"

# lines FILE: all of it as one JSON document, on standard output
lines() {
	echo '['
	sed '$!s/$/,/' "$1"
	echo ']'
}
# recorded FILE PATH: of all lines
recorded() {
	lines "$1" | "$KEDGE_BUILDDIR/json_get" "$2"
}
if built lmdb; then
	mkdir stores
	conforms "record,to=$tmp/history+trace,to=$tmp/trace+lmdb:$tmp/stores/{}" --filter 'locks,leases-0*,claim,memory,processes' &&
		[ "$(recorded history '#')" -eq "$(wc -l <history)" ] && [ "$(wc -l <history)" -gt 1000 ]
	ok "record+trace+lmdb keeps it, and what several processes record is JSON, line by line"
	one() { # OP RC: the first line of such a call
		grep -m 1 "\"op\":\"$1\".*\"rc\":\"$2\"" history >line
	}
	one lock_acquire OK && out=$(cat line) && printf '%s' "$out" >out && [ "$("$KEDGE_BUILDDIR/json_get" .lock_fence <out)" -gt 0 ] &&
		[ "$("$KEDGE_BUILDDIR/json_get" .lease <out)" = "$("$KEDGE_BUILDDIR/json_get" .holder <out)" ] &&
		[ "$("$KEDGE_BUILDDIR/json_get" .call <out)" -le "$("$KEDGE_BUILDDIR/json_get" .ret <out)" ]
	ok "record: a lock that was taken, by whom, when, and its fence"
	one lock_acquire HELD && [ "$("$KEDGE_BUILDDIR/json_get" .lock_fence <line)" -gt 0 ]
	ok "record: one that was not, and who has it"
	one lease_extend LOST && "$KEDGE_BUILDDIR/json_get" .lease <line >out
	ok "record: a lease that is dead"
	grep -m 1 '"op":"commit".*"rc":"OK".*"kind":"HELD".*"kind":"APPEND".*"outcome":"OK"' history >line &&
		[ "$("$KEDGE_BUILDDIR/json_get" '.commits[0].guards[0].kind' <line)" = HELD ] &&
		[ "$("$KEDGE_BUILDDIR/json_get" '.commits[0].outcome' <line)" = OK ]
	ok "record: a commit with its guards, changes and outcome"
else
	no_lmdb "record+trace+lmdb" "a lock that was taken" "one that was not" "a dead lease" "a commit"
fi

# ------------------------------------------------------------------------ fault
kedge store info fault,op=info,n=1+mem:
[ $status -eq 5 ] && err_is "kedge: planned fault: 'info' was not sent"
ok "fault: a call that is not sent"
kedge store info fault,op=info,n=2+mem:
[ $status -eq 0 ] && [ ! -s err ]
ok "fault: only the call that was meant"
kedge store info fault,op=info,n=1,when=after+mem:
[ $status -ne 0 ] && err_is "kedge: planned fault: the answer to 'info' was lost"
ok "fault: an answer that is lost"
kedge store info fault,op=store_open,n=1+mem:
[ $status -eq 5 ] && err_is "kedge: planned fault: 'store_open' was not sent"
ok "fault: also what comes before a session"
kedge store info fault,op=session_open,n=1,when=after+mem:
[ $status -ne 0 ] && err_is "kedge: planned fault: the answer to 'session_open' was lost"
ok "fault: and a session that is lost"

# What became of queues that were to be paused.
paused() {
	kedge queues -s "$store"
	[ $status -eq 0 ] && grep -q "$1" out
}
if built lmdb; then
	store=lmdb:$tmp/q
	kedge store init "$store"
	pause() { # WRAPPERS QUEUE
		kedge queue pause "$2" -s "$1+$store" --why because
	}
	pause fault,op=commit,n=1 one
	[ $status -eq 5 ] && err_is "kedge: planned fault: 'commit' was not sent" && ! paused one
	ok "fault: a commit that is not sent is not done"
	: >counts
	pause "count,to=$tmp/counts+fault,op=commit,n=1,when=after" two
	[ $status -eq 0 ] && [ ! -s err ] && grep -q ' *commit=2 ' counts && paused two
	ok "fault: one whose answer is lost is sent again, and found done"
	: >counts
	pause "fault,op=commit,n=1,when=after+count,to=$tmp/counts" three
	[ $status -eq 0 ] && grep -q ' *commit=2 ' counts && paused three
	ok "wrappers may stand in any order"
	pause fault,op=commit,n=1,die four
	[ $status -eq 137 ] && ! paused four
	ok "fault: a process that dies before"
	pause fault,op=commit,n=1,die=1,when=after five
	[ $status -eq 137 ] && paused five
	ok "fault: and one that dies after"
	: >trace
	kedge queue pause six -s "trace,to=$tmp/trace+fault,op=commit,n=1,when=after,cut+$store" --why because --timeout 100ms
	[ $status -eq 1 ] && grep -q "commit' was not sent, as nothing is any more\$" err && paused six &&
		grep -q 'commit: ERR_UNKNOWN: ' trace && grep -q 'commit: ERR_UNAVAILABLE: ' trace && grep -q 'store_close: OK' trace
	ok "fault: a store that is cut off"
	kedge store info "fault,op=now,n=1,cut+fault,op=info,n=1+$store"
	[ $status -eq 5 ]
	ok "the same wrapper may stand there twice"
else
	no_lmdb "a commit that is not sent" "one whose answer is lost" "order" "dies before" "dies after" "cut off" "twice"
fi

# chances FILE RATE SEED: which calls of a case fail, as far as it comes
chances() {
	kedge conform "record,to=$tmp/$1+fault,op=any,rate=$2,seed=$3+mem:x" --filter locks --seed 1 --jobs 1
	sed 's/.*"op":"\([a-z_]*\)".*"rc":"\([A-Z_]*\)".*/\1 \2/' "$1" >"$1.seen"
}
chances a 0.2 7
chances b 0.2 7
chances c 0.2 8
[ $status -eq 1 ] && grep -q UNAVAILABLE a.seen && cmp -s a.seen b.seen && ! cmp -s a.seen c.seen
ok "fault: chance is the same for the same seed, and another for another"
chances d 0 7
[ $status -eq 0 ] && ! grep -q 'UNAVAILABLE\|UNKNOWN' d.seen
ok "fault: a rate of nothing"
kedge store info fault,rate=1+mem:
[ $status -eq 5 ]
ok "fault: a rate of everything"
kedge store info fault,op=info,delay=20000+mem:
[ $status -eq 0 ]
: >trace
kedge store info "trace,to=$tmp/trace+fault,op=info,delay=20000+mem:"
[ $status -eq 0 ] && [ "$(sed -n 's/.* info: OK after \([0-9]*\) us/\1/p' trace)" -ge 20000 ]
ok "fault: a call that takes longer"

# ----------------------------------------------------------------------- mistakes
# wrong STATUS URL MESSAGE
wrong() {
	kedge store info "$2"
	[ $status -eq "$1" ] && [ ! -s out ] && err_is "kedge: $3" && return
	false
}
wrong 2 fault,op=comit,n=1+mem: "fault: op=comit: no operation that can fail; write any, or a member of struct kedge_backend_ops like commit, claim, lease_extend"
ok "no such operation"
wrong 2 fault,op=store_close,n=1+mem: "fault: op=store_close: no operation that can fail; write any, or a member of struct kedge_backend_ops like commit, claim, lease_extend"
ok "one that cannot fail"
wrong 2 fault,n=0+mem: "fault: n=0: write a whole number, 1 or more"
ok "numbers begin with 1"
wrong 2 fault,n=1x+mem: "fault: n=1x: write a whole number, 1 or more"
ok "a number and something"
for r in 1.1 -1 x 0. .5 1e-3 ''; do
	wrong 2 "fault,rate=$r+mem:" "fault: rate=$r: write a number from 0 to 1, like 0.05" || break
done
ok "no rate"
wrong 2 fault,n=1,rate=1+mem: "fault: n= and rate= are both there; one of them says when it happens"
ok "too much"
wrong 2 fault,when=after+mem: "fault: neither n= nor rate= says when it happens"
ok "too little"
wrong 2 fault+mem: "fault: nothing is to happen; say when with n= or rate=, or how long with delay="
ok "nothing at all"
wrong 2 fault,n=1,when=now+mem: "fault: when=now: write before or after"
ok "neither before nor after"
wrong 2 fault,n=1,die=yes+mem: "fault: die=yes: write 1 or 0"
ok "neither yes nor no"
wrong 2 fault,N=1+mem: "fault: there is no setting 'N'; there are op, n, rate, seed, when, die, cut, delay"
ok "no such setting"
wrong 2 record+mem: "record: say with to=PATH where it is to be kept"
ok "record without a place"
wrong 2 trace,to=/nowhere/x+mem: "trace: the file '/nowhere/x' cannot be opened: No such file or directory"
ok "a file that cannot be"
wrong 2 count,to=%+mem: "the to= in the URL has a '%' without two hexadecimal digits after it; write %25 for the character itself"
ok "a '%' that means nothing"
kedge store info fault,n=1
[ $status -eq 2 ] && grep -q "^kedge: 'fault,n=1' is not a store; name it by a URL like .*, with wrappers before it as in count+URL" err
ok "a wrapper with nothing behind it"
kedge store info count+/tmp/x
[ $status -eq 2 ] && grep -q "^kedge: 'count+/tmp/x' is not a store; name it by a URL like " err
ok "a path has no wrappers"
kedge store info nowhere,x=1+mem:
[ $status -eq 3 ] && grep -q "^kedge: there is no wrapper 'nowhere': there is no nowhere.so in " err
ok "no such wrapper"
kedge store info mem,x=1+mem:
[ $status -eq 1 ] && err_is "kedge: 'mem' is a backend; before a '+' or a ',' stands the name of a wrapper"
ok "a backend is no wrapper"
kedge store info count+nowhere:
[ $status -eq 3 ] && grep -q "^kedge: there is no backend 'nowhere': " err
ok "no such backend behind it"
kedge store info 'trace,to=/t+nowhere://user:sesame@host'
[ $status -eq 3 ] && ! grep -q sesame out err
ok "no password is shown"
many=mem
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
	many=count+$many
done
kedge backends $many
[ $status -eq 0 ] && kedge backends "count+$many" && [ $status -eq 1 ] && grep -q 'one pair of wrapper and backend more than the 16 that' err
ok "there is an end to it"

# ----------------------------------------------------------- wrappers of others
mkdir dir
KEDGE_BACKEND_PATH=$tmp/dir:$KEDGE_BACKEND_PATH
export KEDGE_BACKEND_PATH
cat >none.c <<'END'
#include <kedge/backend.h>

/* Its handles are those of the table behind it, so all but what has none can be taken from there. */
static int none_open(const struct kedge_host *host, const struct kedge_open *outer, void **store,
                     struct kedge_error *err)
{
    struct kedge_open open = *outer;

    open.url = strchr(open.url, '+') + 1;
    return outer->inner->store_open(host, &open, store, err);
}

static int none_drop(const struct kedge_host *host, const struct kedge_open *outer,
                     struct kedge_error *err)
{
    struct kedge_open open = *outer;

    open.url = strchr(open.url, '+') + 1;
    return outer->inner->store_drop(host, &open, err);
}

/* One at a time, and asked for with the library's lock held. */
static struct kedge_backend_ops tables[4];
static unsigned used;

static const struct kedge_backend_ops *none(const struct kedge_backend_ops *inner)
{
    struct kedge_backend_ops *ops = &tables[used++];

    *ops = *inner;
    ops->caps &= ~KEDGE_CAP_HINT;
    ops->store_open = none_open;
    ops->store_drop = none_drop;
    return ops;
}

KEDGE_WRAPPER_DEFINE(none);
END
# module FILE SED-SCRIPT [SOURCE]: with a change
module() {
	sed "$2" "${3:-none.c}" >one.c
	# shellcheck disable=SC2086 # the compiler may be "gcc -m32"
	$KEDGE_CC $KEDGE_CFLAGS -Wall -Wextra -Wno-unused-parameter -I"$KEDGE_SRCDIR/include" -fPIC -shared \
		-o "$1" one.c >cc.log 2>&1
}
module dir/none.so '' && kedge store info none+mem: && [ $status -eq 0 ] && grep -qx backend=none+mem out
ok "one built from the public headers alone"
kedge conform none+count+mem:x --filter store
[ $status -eq 0 ] && ! grep -q '^not ok' out
ok "before another one"
if built lmdb; then
	kedge backends none+lmdb
	[ $status -eq 0 ] && ! grep -q '^capabilities=.*hint' out && kedge backends lmdb && grep -q '^capabilities=.*hint' out
	ok "it may promise less"
else
	no_lmdb "it may promise less"
fi
module dir/one.so '' "$KEDGE_SRCDIR/examples/plugin/one.c" && kedge backends count+one
[ $status -eq 0 ] && grep -qx verify=no out && grep -qx wait=no out && grep -qx script=no out
ok "what a backend cannot do, it cannot do with a wrapper"
module dir/no.so 's/return ops;/return NULL;/' && kedge store info no+mem:
[ $status -eq 1 ] && err_is "kedge: $tmp/dir/no.so: it refuses to stand before the backend 'mem'; it may have been built with another release's headers"
ok "one that refuses"
module dir/hole.so 's/return ops;/ops->claim = 0; return ops;/' && kedge store info hole+mem:
[ $status -eq 1 ] && err_is "kedge: $tmp/dir/hole.so: required operation 'claim' is missing"
ok "one with a hole in it"
module dir/abi.so 's/return ops;/ops->abi = 2; return ops;/' && kedge store info abi+mem:
[ $status -eq 1 ] && grep -q "^kedge: $tmp/dir/abi.so: member abi is 2, this library loads backends of ABI 1 only" err
ok "one of another ABI"
kedge -b ./dir/none.so store info mem:
[ $status -eq 1 ] && grep -q '^kedge: ./dir/none.so: this is a wrapper, which stands before a backend: name the store none+URL' err
ok "the path of one is not that of a backend"
echo "1..$n"
