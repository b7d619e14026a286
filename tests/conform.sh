#!/bin/sh
# kedge conform: what its words mean, what it exits with, what it writes; and its verdict over backends
# that are not what they should be.
unset KEDGE_STORE
# shellcheck source=tests/support/tap.sh
. "$KEDGE_SRCDIR/tests/support/tap.sh"

# ---------------------------------------------------------------------- words
kedge conform --list
[ $status -eq 0 ] && [ "$(wc -l <out)" -gt 150 ] &&
	! grep -qvE '^[a-z]+-[0-9]+	(core|concurrent|fault|full)	[^	]+$' out
ok 'the list has a line for each case: id, tier, what must hold'
cut -f 1 out | sort | uniq -d >twice
[ ! -s twice ]
ok 'no id is given twice'
kedge conform --list --filter 'leases,walk-0*'
[ $status -eq 0 ] && ! grep -qvE '^(leases|walk)-' out && grep -q '^walk-01' out && grep -q '^leases-01' out
ok 'areas, ids and globs choose'
kedge conform --list --tier core
[ $status -eq 0 ] && ! grep -qv '	core	' out && [ -s out ]
ok 'a tier chooses'
kedge conform --explain leases-01
[ $status -eq 0 ] && grep -q '^case *leases-01$' out && grep -q '^tier *core$' out && grep -q '^holds ' out
ok 'a case is explained'
told() { # STATUS WORDS: the exit status, and one line that has the words
	[ "$status" -eq "$1" ] && [ "$(wc -l <err)" -eq 1 ] && grep -qF -e "$2" err
}
kedge conform --explain leases-99
told 2 "there is no case 'leases-99'"
ok 'a case that is none'
kedge conform --filter leases,nosuch mem:
told 2 "called 'nosuch'"
ok 'a filter that means nothing'
kedge conform --tier most mem:
told 2 '--tier takes core, concurrent, fault or full'
ok 'a tier that is none'
kedge conform
told 2 'no URL given'
ok 'no URL'
kedge conform --server 127.0.0.1:1 mem:
told 2 '--server needs a URL with {server}, {host} or {port}'
ok 'a server that the URL does not lead to'
kedge conform --server nowhere 'mem:{server}'
told 2 "--server takes HOST:PORT or unix:PATH, not 'nowhere'"
ok 'a server that is none'
kedge conform --filter net-36 'mem:{}'
[ $status -eq 1 ] && grep -q '^ok 1 - net-36 .* # SKIP .*(--server)' out
ok 'without a server its connections cannot be harmed'
kedge conform --list mem:
told 2 'take no URL'
ok 'a URL where none is taken'
kedge conform nosuch:x
told 2 "there is no backend 'nosuch'"
ok 'a backend that is none'
kedge conform --plugin mem mem:
told 2 '--plugin takes the path of a module'
ok 'a module that is no path'
kedge conform --plugin ./nosuch.so nosuch:
told 2 "there is no module './nosuch.so'"
ok 'a module that is not there'
kedge conform --filter leases-01 --cert /nosuch/cert.json 'mem:{}'
[ $status -eq 1 ] && grep -q '/nosuch/cert.json' err
ok 'a certificate that cannot be written'

# -------------------------------------------------------------------- a verdict
kedge conform --seed 7 --cert cert.json --junit results.xml 'mem:{}'
[ $status -eq 0 ] && grep -q '^# level C1' out && [ "$(grep -c '^ok' out)" -eq "$(sed -n 's/^1\.\.//p' out)" ] &&
	! grep -q '^not ok' out
ok 'memory passes the core tier'
cp out first
cp cert.json out
json .verdict.level C1 && json .suite.seed 7 && json .backend.name mem && json .suite.tier core && json .limits.id_max.declared 1024 &&
	json .verdict.count.fail 0 && json ".cases[0].id" store-01 && json ".cases[0].outcome" pass
ok 'the certificate says so'
json .limits.id_max.probed.limits-01 pass && json .capabilities.hint.declared no && json .capabilities.hint.probed.caps-01 pass &&
	json .operations.wait.probed.caps-06 pass && grep -q '# SKIP not applicable: it has no crash hints; its twin is caps-01$' first &&
	json ".cases[$(($(grep -n ' - hints-01 ' first | sed 's/.*ok \([0-9]*\).*/\1/') - 1))].twin_outcome" pass
ok 'and what was declared, with the cases that probed it, and the twins of those that do not apply'
# As many as were run, each closed: by the parser of a language that is here, or by counting.
if command -v python3 >/dev/null; then
	python3 -c 'import sys, xml.etree.ElementTree as t
print(len(t.parse("results.xml").findall("./testsuite/testcase")))' >out 2>err
else
	grep -c '<testcase ' results.xml >out
fi
[ "$(cat out)" = "$(sed -n 's/^1\.\.//p' first)" ]
ok 'the XML has each case'
kedge conform --seed 7 'mem:{}'
grep -v '^# ' first >a
grep -v '^# ' out >b
cmp -s a b
ok 'the same seed, the same words'
kedge conform 'mem:{}' --filter processes-01
[ $status -eq 1 ] && grep -q '# SKIP not applicable: it is for one process' out
ok 'nothing that could be run is no success'
mkdir -p one
if built lmdb; then
	kedge conform "lmdb:$tmp/one" --filter store,leases
	[ $status -eq 0 ] && [ -z "$(ls one)" ]
	ok 'one place for all: nothing is left behind'
else
	no_lmdb 'one place for all: nothing is left behind'
fi

# --------------------------------------------------------------------- opt-outs
opt_out() { # LINE...
	printf '%s\n' "$@" >opt-outs
	kedge conform --opt-out opt-outs --filter leases-01,leases-02 --cert cert.json 'mem:{}'
}
opt_out '# known' '' 'leases-01 | it is | https://example.org/1 | 2999-12-31'
[ $status -eq 0 ] && grep -q '^ok 1 - leases-01 .* # SKIP opted out: it is$' out && grep -q '^ok 2' out &&
	cp cert.json out && json ".cases[0].outcome" 'opted out' && json ".cases[0].why" 'it is' &&
	json ".cases[0].issue" https://example.org/1 && json ".cases[0].until" 2999-12-31
ok 'a case is left out, aloud'
opt_out 'leases-99 | it is | https://example.org/1 | 2999-12-31'
told 2 "line 1: there is no case 'leases-99'"
ok 'an opt-out of no case'
opt_out '#' 'leases-01 |  | https://example.org/1 | 2999-12-31'
told 2 "line 2: no reason is given for 'leases-01'"
ok 'without a reason'
opt_out 'leases-01 | it is | later | 2999-12-31'
told 2 "not the URL of an issue: 'later'"
ok 'without an issue'
opt_out 'leases-01 | it is | https://example.org/1 | 2020-01-01'
told 2 "that day is past: '2020-01-01'"
ok 'past its day'
kedge conform --opt-out nosuch mem:
told 2 'the file of opt-outs: nosuch: No such file'
ok 'a file that is not there'

# --------------------------------------------- modules that are not what they should be
# module FILE STATEMENT: the example, which says STATEMENT where it would refuse
module() {
	sed "s/^    return kedge_error_set(err, KEDGE_ERR_UNSUPPORTED.*/    $2/" \
		"$KEDGE_SRCDIR/examples/plugin/one.c" |
		sed '1i #define _GNU_SOURCE\n#include <signal.h>\n#include <stdlib.h>\n#include <unistd.h>' >bad.c
	# shellcheck disable=SC2086 # words on purpose
	$KEDGE_CC $KEDGE_CFLAGS -w -I"$KEDGE_BUILDDIR/include" -I"$KEDGE_SRCDIR/include" -fPIC -shared -o one.so bad.c >cc.log 2>&1 ||
		cat cc.log >&2
}
# verdict WORDS: none of the cases passes, and each says WORDS
verdict() {
	[ "$status" -eq 1 ] && [ "$(grep -c '^not ok' out)" -eq "$(sed -n 's/^1\.\.//p' out)" ] &&
		grep -qE -e "$1" out
}
module one.so 'return kedge_error_set(err, KEDGE_ERR_UNSUPPORTED, 0, "no");'
kedge conform --plugin ./one.so --filter leases,commit,claim one:
verdict 'got ERR_UNSUPPORTED: no'
ok 'one that refuses everything politely fails everything'
module one.so 'return KEDGE_OK;'
kedge conform --plugin ./one.so --filter leases one:
[ "$status" -eq 1 ] && ! grep -q '^ok' out
ok 'so does one that agrees to everything'
module one.so '(void)raise(SIGSEGV); return 0;'
kedge conform --plugin ./one.so --filter leases-01,claim-01 one:
verdict 'killed by signal 11|ended by itself'
ok 'one that crashes'
module one.so 'exit(0);'
kedge conform --plugin ./one.so --filter leases-01,claim-01 one:
verdict 'its process ended by itself, with status 0'
ok 'one that ends the process is not taken for a success'
module one.so 'puts("ok 1 - all is well"); puts("1..1"); _exit(76 - 76);'
kedge conform --plugin ./one.so --filter leases-01,claim-01 one:
[ "$status" -eq 1 ] && [ "$(grep -c '^ok' out)" -eq 0 ] && [ "$(grep -c '^1\.\.' out)" -eq 1 ]
ok 'nor what it prints for a result'
module one.so 'for (;;) pause();'
kedge conform --plugin ./one.so --timeout 200ms --jobs 4 --filter leases,claim one:
verdict 'not done after 0\.[0-9] s' && grep -q 'too many cases before it ran out of time' out
ok 'one that hangs is left alone soon'

echo "1..$n"
