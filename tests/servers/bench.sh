# shellcheck shell=sh
# bench.sh - sourced: kedge bench over a server, every workload, and nothing of it is left
#
#	bench_over URL STORE LEFT       LEFT prints whatever is in the server
n=0
status=0
ok() {
	rc=$?
	n=$((n + 1))
	[ "$rc" -eq 0 ] || printf 'not '
	echo "ok $n - $1"
	[ "$rc" -eq 0 ] || {
		echo "# exit status $status"
		sed 's/^/# /' "${dir:?}/run" "$dir/err"
	}
}
member() {
	"$KEDGE_BUILDDIR/json_get" "$1" <"$dir/json"
}
above_0() {
	for above_path; do
		[ "$(member "$above_path" | awk '{ print ($1 > 0) }')" = 1 ] || return 1
	done
}
run() {
	"$KEDGE" bench run "$@" --time 200ms --repeat 2 --warmup 0 --steps 50 --among 1000 --json "$dir/json" >"$dir/run" 2>"$dir/err"
	status=$?
	[ $status -eq 0 ] && [ ! -s "$dir/err" ]
}

bench_over() {
	bench_url=$1 bench_store=$2 bench_left=$3
	$bench_left >"$dir/before"
	run checkpoint saga --store "$bench_url" --clients 1,16 --ceiling &&
		[ "$(member .results#)" = 4 ] && [ "$(member .results[3].store)" = "$bench_store" ] && [ "$(member .stores[0].durability)" = 'process server power' ] &&
		above_0 .results[0].ratio .results[1].ceiling_steps_per_s .results[2].p99_us .results[3].ratio .results[0].server_cpu_us_per_step \
			.results[0].server_kib .results[1].bytes_per_step
	ok 'commits and runs beside a bare client, one and sixteen at a time'
	[ "$(grep -c '^verify: .* 0 lost, 0 twice$' "$dir/run")" -eq 4 ] && grep -q "^WARNING  $bench_store: client and server are on one host" "$dir/run"
	ok 'read back, and told to be on one host'
	member .results[0].flushes_per_step | awk '{ exit !($1 > 0.9 && $1 < 1.1) }' && member .results[1].flushes_per_step | awk '{ exit !($1 < 0.1) }'
	ok 'a commit is a flush, and one of sixteen a sixteenth'
	run rollback lock contend claim expired recover resume mixed --store "$bench_url" --clients 3 && [ "$(member .results#)" = 8 ] &&
		above_0 .results[5].p50_us .results[6].p99_us
	ok 'the other workloads'
	run checkpoint saga --store "$bench_url" --rate 200/s --clients 4 --threads 2 && above_0 .results[0].p50_us .results[1].service_percentiles_us.50
	ok 'at a fixed rate'
	$bench_left | cmp -s - "$dir/before"
	ok 'nothing is left'
	"$KEDGE" bench run checkpoint --store "$bench_url" --ceiling >"$dir/run" 2>"$dir/err" &
	bench_pid=$!
	until $bench_left | grep -q checkpoint; do
		kill -0 $bench_pid || break
	done
	kill -INT $bench_pid
	wait $bench_pid
	status=$?
	[ $status -eq 130 ] && $bench_left | cmp -s - "$dir/before"
	ok 'after an interrupt neither'
	echo "1..$n"
}
