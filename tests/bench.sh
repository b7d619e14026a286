#!/bin/sh
# kedge bench, over stores that need no server: every workload, what it writes, what it leaves, and
# the verdicts of compare.  How fast anything is decides nothing.
unset KEDGE_STORE
# shellcheck source=tests/support/tap.sh
. "$KEDGE_SRCDIR/tests/support/tap.sh"

quick='--time 200ms --repeat 2 --warmup 0 --steps 50 --among 1000'
run() { # WORKLOAD... OPTION...
	# shellcheck disable=SC2086 # words on purpose
	kedge bench run "$@" $quick
}
# member FILE PATH: of a document
member() {
	"$KEDGE_BUILDDIR/json_get" "$2" <"$1"
}
is() { # FILE PATH VALUE
	[ "$(member "$1" "$2")" = "$3" ]
}
above_0() { # FILE PATH...
	above_file=$1
	shift
	for above_path; do
		member "$above_file" "$above_path" | grep -Eq '^[0-9.e+-]+$' &&
			[ "$(member "$above_file" "$above_path" | awk '{ print ($1 > 0) }')" = 1 ] || return 1
	done
}

# -------------------------------------------------------------------- command line
kedge bench list
[ $status -eq 0 ] && [ ! -s err ] && [ "$(wc -l <out)" -eq 10 ]
ok "what can be measured"
sed 's/ .*//' out | sort >have
kedge completion words -- bench run ""
sort out | cmp -s - have
ok "and a shell completes it"
refused() { # WHAT MESSAGE WORD...
	refused_what=$1 refused_message=$2
	shift 2
	kedge bench "$@"
	[ $status -eq 2 ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] && grep -qF -e "$refused_message" err && grep -q '^kedge bench .*; see kedge help bench ' err
	ok "$refused_what: one sentence, exit 2"
}
refused 'no workload' 'no workload given (kedge bench list)' run
refused 'an unknown workload' "there is no workload 'chekpoint' (kedge bench list)" run chekpoint --store mem:
refused 'no store' '--store URL, or set KEDGE_STORE' run checkpoint
refused 'no clients' "--clients takes a number from 1 to 1024, not '0'" run checkpoint --store mem: --clients 0
refused 'clients that are no number' "not 'many'" run checkpoint --store mem: --clients 1,many
refused 'more threads than clients' '--threads 3 is more than --clients 1' run checkpoint --store mem: --threads 3
refused 'a time without unit' "like 30s, and at least 1ms, not '10'" run checkpoint --store mem: --time 10
refused 'a payload of nothing' "like 256 or 4KiB, not '0'" run checkpoint --store mem: --payload 0
refused 'a rate by the minute' "--rate takes max, or a number a second like 5000/s, not '5/m'" run checkpoint --store mem: --rate 5/m
refused 'a rate where there is none' '--rate 5/s does not apply to expired' run expired --store mem: --rate 5/s
refused 'a percentile of 101' "not '101'" run checkpoint --store mem: --percentiles 50,101
refused 'a file that cannot be written' "--json: cannot write '/dev/null/x'" run checkpoint --store mem: --json /dev/null/x
refused 'a store that is gone with its process' 'name one that several processes can use' run recover --store mem:
refused 'a namespace' 'takes no --namespace' run checkpoint --store mem: --namespace x
refused 'an option of another command' 'takes no --fail-above' run checkpoint --store mem: --fail-above 5
refused 'one file to compare' 'name two files of results' compare base.json
kedge bench run checkpoint --store nosuch:/x
[ $status -eq 3 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q "there is no backend 'nosuch'" err
ok "a backend that there is not: exit 3"

# ---------------------------------------------------------------------- in memory
run checkpoint saga rollback lock contend claim expired mixed --store mem: --clients 4 --json mem.json --hdr logs --seed 7
[ $status -eq 0 ] && [ ! -s err ] && is mem.json .schema kedge-bench/1 && is mem.json .results# 8
ok "workloads in memory"
[ "$(grep -c '^verify: ' out)" -eq 8 ] && ! grep -q FAILED out
ok "each is read back"
grep -q 'seed 7$' out && is mem.json .params.seed 7 && grep -q '^WARNING  less than 10 s' out && grep -q '^WARNING  fewer than 5 repeats' out && is mem.json .stores[0].durability none
ok "what decides a figure is told, and so is what spoils it"
in_memory() { # MEMBER
	r=$1
	is mem.json "$r".store mem && is mem.json "$r".clients 4 && is mem.json "$r".repeats# 2 && is mem.json "$r".verify.lost 0 && is mem.json "$r".verify.twice 0 &&
		above_0 mem.json "$r".steps_per_s "$r".p50_us "$r".p99_us "$r".repeats[1].steps_per_s "$r".repeats[1].ops &&
		member mem.json "$r".repeats[0].histogram | grep -q '^HISTFAAA' &&
		[ "$(grep -c '^Tag=call,' "logs/$(member mem.json "$r".workload)-mem-4.hlog")" -eq 2 ]
}
all_of() { # HOW-MANY CHECK
	i=0
	while [ $i -lt "$1" ] && "$2" ".results[$i]"; do
		i=$((i + 1))
	done
	[ $i -eq "$1" ]
}
all_of 8 in_memory
ok "results are complete, with their histograms"
! member mem.json .results[0].ratio >/dev/null
ok "and have no ceiling that was not asked for"

run checkpoint saga --store mem: --clients 1,8 --rate max,2000/s --json rate.json
[ $status -eq 0 ] && is rate.json .results# 8 && is rate.json .results[0].rate max && is rate.json .results[2].rate 2000 &&
	is rate.json .results[3].clients 8 && above_0 rate.json .results[2].service_percentiles_us.50 .results[6].percentiles_us.max &&
	member rate.json .results[2].repeats[0].service_histogram | grep -q '^HISTFAAA' && grep -q 'from the intended start; from the call:' out
ok "at a fixed rate: from the intended start, and service time beside it"
run checkpoint --store mem: --rate 100000000/s --json over.json
[ $status -eq 0 ] && is over.json .results[0].reached false && grep -q '^WARNING  checkpoint on mem: 1e+08/s was not reached' out
ok "a rate that is out of reach is told"
run saga rollback --store mem: --pool --threads 3 --clients 8 --json pool.json
[ $status -eq 0 ] && is pool.json .params.steps_run_on pool && is pool.json .results[1].verify.lost 0 && above_0 pool.json .results[0].steps_per_s
ok "steps on the pool"
run checkpoint --store mem: --store mem:other --progress=20ms
[ $status -eq 0 ] && grep -q '^mem-2 ' out && grep -q '^checkpoint on mem, 1 client: .* of 2 repeats done$' err
ok "two stores of a kind, and progress"
KEDGE_STORE=mem: run checkpoint
[ $status -eq 0 ]
ok "the store that KEDGE_STORE names"

# -------------------------------------------------------------- stores with a defect
# broken DEFECT WORKLOAD MESSAGE
broken() {
	run "$2" --store "mutant,$1+mem:" --clients 3
	[ $status -eq 1 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q "^kedge bench: $2: .*$3" err
	ok "$2 notices: $("$KEDGE" conform --mutants | awk -F '\t' -v id="$1" '$1 == id { print $NF }')"
}
if [ -f "${KEDGE_BACKEND_PATH%%:*}/mutant.so" ]; then
	broken m166 checkpoint 'goes on with record'
	broken m28 contend 'the fence of a lock falls from'
	broken m46 claim 'can be claimed of'
else
	skip 'stores with a defect' 'this build has no wrappers'
fi

# --------------------------------------------------------------------------- LMDB
if built lmdb; then
	mkdir real && kedge store init "lmdb:$tmp/real?map_size=64MiB" && find real | sort >before
	run checkpoint saga --store "lmdb:$tmp/real?map_size=1GiB" --clients 1,16 --ceiling --payload 1KiB --json lmdb.json
	[ $status -eq 0 ] && is lmdb.json .results# 4 && is lmdb.json .stores[0].durability 'process server power'
	ok "beside a bare client"
	in_lmdb() { # MEMBER
		r=$1
		is lmdb.json "$r".store lmdb && is lmdb.json "$r".payload 1024 &&
			above_0 lmdb.json "$r".ceiling_steps_per_s "$r".ratio "$r".repeats[0].ratio "$r".flushes_per_step "$r".cpu_us_per_step "$r".peak_kib &&
			[ "$(member lmdb.json "$r".bytes_per_step | awk '{ print ($1 >= 1024) }')" = 1 ]
	}
	all_of 4 in_lmdb
	ok "with ratio, and flushes and bytes of a step"
	[ "$(member lmdb.json .results[0].flushes_per_step)" = 2 ] && [ "$(member lmdb.json .results[1].flushes_per_step)" = 0.125 ]
	ok "which are counted: a commit syncs its pages and its meta page, whatever it carries"
	find real | sort | cmp -s - before
	ok "nothing is left in a store that was there"
	run rollback lock contend claim expired recover resume mixed --store "lmdb:$tmp/none/of/these" --clients 3 --json more.json
	[ $status -eq 0 ] && is more.json .results# 8 && [ "$(grep -c '^verify: ' out)" -eq 8 ] && above_0 more.json .results[5].p50_us .results[6].p99_us
	ok "the other workloads"
	[ ! -e none ]
	ok "nor any directory that was not"
	started() {
		[ -n "$(find none -name data.mdb 2>/dev/null)" ]
	}
	for w in checkpoint recover; do
		"$KEDGE" bench run $w --store "lmdb:$tmp/none" --ceiling >out 2>err &
		pid=$!
		await started && kill -INT $pid
		wait $pid
		status=$?
		[ $status -eq 130 ] && [ ! -e none ]
		ok "$w: nothing after an interrupt"
	done
else
	no_lmdb "beside a bare client" "flushes and bytes" "nothing is left" "an interrupt"
fi

# ------------------------------------------------------------------------- compare
# results FILE WORKLOAD RATE KEY VALUE...: one result with so many repeats
results() {
	results_file=$1 results_head="\"workload\":\"$2\",\"store\":\"x\",\"clients\":1,\"rate\":$3" results_key=$4
	shift 4
	printf '{"schema":"kedge-bench/1","results":[{%s,"repeats":[' "$results_head" >"$results_file"
	results_comma=
	for v; do
		printf '%s{"%s":%s}' "$results_comma" "$results_key" "$v"
		results_comma=,
	done >>"$results_file"
	printf ']}]}\n' >>"$results_file"
}
results base.json checkpoint '"max"' steps_per_s 1000 1010 990 1005 995
results slower.json checkpoint '"max"' steps_per_s 900 910 890 905 895
results noise.json checkpoint '"max"' steps_per_s 700 1300 850 1150 920
results faster.json checkpoint '"max"' steps_per_s 1200 1210 1190 1205 1195
results single.json checkpoint '"max"' steps_per_s 500
results other.json saga '"max"' steps_per_s 1000 1000
results p99.json checkpoint 500 p99_us 100 101 99 100
results late.json checkpoint 500 p99_us 150 151 149 150
echo '{"schema":"kedge-bench/2","results":[]}' >strange.json

compared() { # STATUS WORD FILE FILE [OPTION...]
	compared_status=$1 compared_word=$2
	shift 2
	kedge bench compare "$@"
	[ $status -eq "$compared_status" ] && [ ! -s err ] && [ "$(wc -l <out)" -eq 1 ] && grep -q "$compared_word" out
}
compared 8 'checkpoint/x .* 1000 -> 900  -10.0% (95% CI -11.1 .. -8.9)  REGRESSION$' base.json slower.json
ok "a regression: exit 8, with its interval"
compared 0 'no regression$' base.json noise.json
ok "noise is none"
compared 0 'no regression$' base.json base.json
ok "nor is the same"
compared 0 'better$' base.json faster.json
ok "nor what is better"
compared 0 'no regression$' base.json slower.json --fail-above 15 && compared 8 REGRESSION base.json slower.json --fail-above 9%
ok "--fail-above"
compared 8 'p99 us 100 -> 150 .* REGRESSION$' p99.json late.json && compared 0 'better$' late.json p99.json
ok "at a fixed rate it is latency"
compared 0 'fewer than two repeats' base.json single.json
ok "one repeat has no interval"
refused 'nothing in common' 'no result in common' compare other.json late.json
refused 'another format' "'strange.json' has no results in it" compare base.json strange.json
refused 'a share that is none' "--fail-above takes a number of percent, from 0 to 100, not 'x'" compare base.json base.json --fail-above x
kedge bench compare base.json missing.json
[ $status -eq 3 ] && [ "$(wc -l <err)" -eq 1 ] && grep -q "cannot read 'missing.json'" err
ok "a file that there is not: exit 3"
kedge bench compare mem.json mem.json
[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 8 ]
ok "what run writes, compare reads"
echo "1..$n"
