#!/bin/sh
# performance.sh - the figures of docs/performance.md, on stores and servers of its own
#
#	sh bench/performance.sh [--quick] [--out DIR] [PART...]
#
# PARTs: settings payload length recover lists; all of them if none is named.  KEDGE_BUILDDIR is the build
# that is measured, or else the current directory.  Writes DIR/PART-STORE.json, what kedge bench
# wrote, DIR/tables.md, made of them by jq, and DIR/*.svg, if gnuplot is there.  DIR is `performance'
# unless it is given.
#
# Servers are private ones below TMPDIR, or /tmp, and end with this: that disk is what is measured.
# Redis never rewrites its file and PostgreSQL makes no checkpoint in between.
set -u
KEDGE_SRCDIR=${KEDGE_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
KEDGE_BUILDDIR=${KEDGE_BUILDDIR:-$PWD}
KEDGE_BACKEND_PATH=$KEDGE_BUILDDIR/.libs
export KEDGE_SRCDIR KEDGE_BUILDDIR KEDGE_BACKEND_PATH

die() {
	echo "performance.sh: $*" >&2
	exit 1
}

every='settings payload length recover lists'
out=performance quick='' parts=''
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=yes ;;
	--out) out=${2:?--out: where?} && shift ;;
	*)
		case " $every " in
		*" $1 "*) parts="$parts $1" ;;
		*) die "there is no part '$1' ($every)" ;;
		esac
		;;
	esac
	shift
done
kedge=$KEDGE_BUILDDIR/kedge
[ -x "$kedge" ] || die "$kedge is not built"
command -v jq >/dev/null || die "jq, which makes the tables, is not installed"
mkdir -p "$out" || die "cannot make $out"

# shellcheck source=tests/support/servers.sh
. "$KEDGE_SRCDIR/tests/support/servers.sh"
trap servers_end EXIT
trap 'exit 1' HUP INT TERM
servers_begin

# store_begin SETTING: its server is up, $url leads there.  store_end: it is gone.
n_servers=0
store_begin() {
	pg='shared_buffers=1GB max_wal_size=16GB checkpoint_timeout=1d max_connections=300'
	redis='auto-aof-rewrite-percentage 0 maxmemory-policy noeviction'
	n_servers=$((n_servers + 1))
	place=s$n_servers
	# shellcheck disable=SC2086 # words on purpose
	case $1 in
	lmdb) url=lmdb:$KEDGE_SERVERS/$place ;;
	redis-*) server redis "$place" $redis appendfsync "${1#redis-}" && url=$(server url "$place") ;;
	postgresql-*)
		server postgresql "$place" $pg synchronous_commit="${1#postgresql-}" && url=$(server url "$place")
		;;
	esac || die "the server of $1 did not start"
}

store_end() {
	[ "$1" = lmdb ] || server kill "$place"
	rm -rf "${KEDGE_SERVERS:?}/$place"
}

# bench NAME SETTING OPTION...
bench() {
	name=$1 setting=$2
	shift 2
	echo "== $name, $setting"
	store_begin "$setting"
	[ -z "$quick" ] || set -- "$@" --time 200ms --repeat 2 --warmup 0
	"$kedge" bench run "$@" --store "$url" --json "$out/$name-$setting.json" ||
		die "$name over $setting failed"
	store_end "$setting"
}

durable='lmdb redis-always postgresql-on'
for part in ${parts:-$every}; do
	case $part in
	settings)
		for s in lmdb redis-no redis-everysec redis-always postgresql-off postgresql-on; do
			bench "$part" "$s" checkpoint saga --clients 1,8,64 --ceiling --time 1500ms --warmup 500ms
		done
		;;
	payload)
		for size in 256 1KiB 4KiB 16KiB 64KiB; do
			for s in $durable; do
				bench "$part-$size" "$s" saga --payload $size --clients 64 --ceiling --time 1s --warmup 300ms
			done
		done
		;;
	length)
		for steps in 10 100 1000 10000; do
			for s in $durable; do
				bench "$part-$steps" "$s" saga --steps $steps --clients 1,64 --ceiling --time 1s --warmup 300ms
			done
		done
		;;
	recover)
		for s in $durable; do
			bench "$part" "$s" recover --time 5s --warmup 0
			bench resume "$s" resume --steps 100000 --time 2s --warmup 0
		done
		;;
	lists)
		for s in $durable; do
			bench "$part" "$s" claim lock expired rollback --clients 1 --time 1s --warmup 300ms
		done
		;;
	esac
done

# ------------------------------------------------------------------ tables
# A table for each part that was measured, a row for each result; files tell what is not in them: part and setting.
rows() { # PART
	for f in "$out/$1"*-*.json; do
		[ ! -f "$f" ] || jq -c --arg name "$(basename "$f" .json)" '
			($name | capture("^(?<part>.*)-(?<store>lmdb|redis-[a-z]+|postgresql-[a-z]+)$")) as $n
			| .results[] + {setting: $n.store}' "$f"
	done
}
table() { # PART
	rows "$1" | jq -rs '
		def r: if . == null then "" elif . >= 100 then (round | tostring)
			else (. * 1000 | round / 1000 | tostring) end;
		def three: if . == null then "" else (. * 100 | round / 100 | tostring) end;
		def ms: if . == null then "" elif . >= 10000 then (. / 1000 | r) + " ms" else r end;
		["lmdb", "redis-no", "redis-everysec", "redis-always", "postgresql-off", "postgresql-on"] as $order
		| sort_by([.workload, (.setting as $s | $order | index($s)), .clients, .payload, .steps])[]
		| [.workload, .setting, .clients, .payload, .steps,
			"\(.steps_per_s | r) (\(.steps_per_s_min | r) .. \(.steps_per_s_max | r))",
			(.p50_us | ms), (.p99_us | ms),
			(if .ratio == null then "" else "\(.ratio | three) (\(.ratio_min | three) .. \(.ratio_max | three))" end),
			(.cpu_us_per_step | r), (.flushes_per_step | r)]
		| "| " + (map(tostring) | join(" | ")) + " |"'
}
for part in $every resume; do
	rows "$part" | read -r _ || continue
	echo "## $part"
	echo
	echo '| workload | store | in flight | bytes | steps | per s, median (range) | p50 us | p99 us | of the ceiling (range) | CPU us | flushes |'
	echo '|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|'
	table "$part"
	echo
done >"$out/tables.md"
echo "tables in $out/tables.md"

# ------------------------------------------------------------------- plots
command -v gnuplot >/dev/null || exit 0
# series PART WORKLOAD X Y: of each durable store the points, for gnuplot
series() {
	for s in $durable; do
		echo "\"$s\""
		for f in "$out/$1"*"-$s.json"; do
			[ ! -f "$f" ] || jq -r --arg w "$2" ".results[] | select(.workload == \$w and .clients == $5) | \"\(.$3) \(.$4)\"" "$f"
		done | sort -n
		printf '\n\n'
	done
}
plot() { # FILE TITLE XLABEL YLABEL
	gnuplot <<-END
		set terminal svg size 720,400 font "sans,12"
		set output "$out/$1.svg"
		set title "$2"
		set xlabel "$3"
		set ylabel "$4"
		set logscale x
		set yrange [0:*]
		set key outside right
		set grid
		plot for [i=0:2] "$out/points" index i using 1:2 with linespoints lw 2 title columnheader(1)
	END
}
series payload saga payload ratio 64 >"$out/points"
plot payload 'Whole engine, 64 runs in flight: share of the ceiling' 'bytes of a step' 'ratio to a bare client'
series length saga steps ratio 64 >"$out/points"
plot length 'Whole engine, 64 runs in flight: share of the ceiling' 'steps of a run' 'ratio to a bare client'
rm -f "$out/points"
