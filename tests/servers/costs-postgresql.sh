#!/bin/sh
# What commits cost PostgreSQL, as it counts itself: a batch is one statement, one transaction, one
# flush of its log, be it of 1 or of 64; and so are the steps of a worker with 1 or 64 runs.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
# shellcheck source=tests/servers/figures.sh
. "$KEDGE_SRCDIR/tests/servers/figures.sh"
# shellcheck disable=SC2154,SC2086 # set by figures.sh; words on purpose
server postgresql p log_statement=all $quiet || exit 99
url=$(server url p)

# of WHAT COMMAND...: what it costs, in the figures
of() {
	counted_begin && "$@" >"$dir/out" 2>&1 && counted_end && return 0
	sed 's/^/# /' "$dir/out"
	return 1
}
# costs COMMAND...: sets commits, syncs, executed
costs() {
	of "$@" || return 1
	commits=$(figure commits) syncs=$(figure syncs) executed=$(figure executed)
}

# appends RUNS CALLS: exactly one of each per call, beyond what the rest costs
appends() {
	costs "$KEDGE_BUILDDIR/toil" "$url" appends "$1" 0 0 &&
		rest_commits=$commits rest_syncs=$syncs rest_executed=$executed &&
		costs "$KEDGE_BUILDDIR/toil" "$url" appends "$1" "$2" 0 &&
		commits=$((commits - rest_commits)) syncs=$((syncs - rest_syncs)) executed=$((executed - rest_executed)) &&
		echo "# $2 commits of $1: $executed statements, $commits transactions, $syncs flushes"
}
"$KEDGE_BUILDDIR/toil" "$url" appends 1 0 0 # the namespace is made
appends 1 500 && [ "$executed" -eq 500 ] && [ "$commits" -eq 500 ] && [ "$syncs" -eq 500 ]
ok 'a commit is one statement, one transaction, one flush'
appends 64 100 && [ "$executed" -eq 100 ] && [ "$commits" -eq 100 ] && [ "$syncs" -eq 100 ]
ok 'a batch of 64 is one statement, one transaction, one flush'

# steps RUNS STEPS: sets began and n
steps() {
	n=$(($1 * $2)) began=$(date +%s)
	costs "$KEDGE_BUILDDIR/steps" "$url" "$1" "$2" || return 1
	took=$(($(date +%s) - began))
	echo "# $1 runs of $2 steps: $executed statements, $commits transactions, $syncs flushes, $took s"
}
# Opening and starting are in it, and in every second what a worker extends and who waits asks.
steps 1 1000 && [ "$commits" -le $((n + 100 + 30 * took)) ] && [ "$syncs" -le $((n + 30 + 3 * took)) ]
ok 'one run: one flush per step, and little beside'
steps 64 60 && [ "$commits" -le $((n / 8 + 100 + 30 * took)) ] && [ "$syncs" -le $((n / 8 + 30 + 3 * took)) ]
ok '64 runs: not one in eight'
plan
