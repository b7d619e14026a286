#!/bin/sh
# What steps and heartbeats leave in the tables of PostgreSQL: a step adds its record and updates no
# row, other updates touch no index (HOT), and what is large is not written again with every step.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
# shellcheck source=tests/servers/figures.sh
. "$KEDGE_SRCDIR/tests/servers/figures.sh"
# shellcheck disable=SC2154,SC2086 # set by figures.sh; words on purpose
server postgresql p fsync=off $quiet || exit 99
url=$(server url p)

did() { # ARGUMENT...
	counted_begin && "$KEDGE_BUILDDIR/toil" "$url" "$@" >"$dir/out" 2>&1 && counted_end && return 0
	sed 's/^/# /' "$dir/out"
	return 1
}
# is_hot TABLE N: at least N updates were made of it, 95 of 100 of them HOT
is_hot() {
	note "$1.upd" "$1.hot"
	[ "$(figure "$1.upd")" -ge "$2" ] && [ $(($(figure "$1.hot") * 100)) -ge $(($(figure "$1.upd") * 95)) ]
}
# updates: how many there were of the rows a step might update
updates() {
	note run.upd hot.upd lease.upd beat.upd >&2
	echo $(($(figure run.upd) + $(figure hot.upd) + $(figure lease.upd)))
}
"$KEDGE_BUILDDIR/toil" "$url" appends 1 0 0 # the namespace is made
did appends 1 2000 0 && [ "$(updates)" -eq 0 ]
ok 'steps of one run'
did appends 64 100 0 && [ "$(updates)" -eq 0 ]
ok 'steps of 64 runs at a time'
did beats 2000 && is_hot beat 2000 && [ "$(figure lease.upd)" -eq 0 ]
ok 'heartbeats: the lease itself stays as it is'
namespace=default
"$KEDGE_BUILDDIR/steps" "$url" 1 40 >"$dir/out" && counted_begin &&
	"$KEDGE_BUILDDIR/steps" "$url" 64 40 >"$dir/out" && counted_end && [ "$(updates)" -le $((64 * 5)) ] &&
	is_hot hot 64 && [ $(($(figure lease.upd) - $(figure lease.hot))) -le 1 ] # its end is in an index
ok 'steps of 64 runs of a worker: updates of each run, none of each step'

namespace=toil
# per_step BYTES: sets bytes, of log, for a step of a run with a snapshot of that size
per_step() {
	did appends 1 0 "$1" && rest=$(figure wal) && did appends 1 500 "$1" || return 1
	bytes=$((($(figure wal) - rest) / 500))
	echo "# with $1 bytes: $bytes bytes of log for a step"
}
per_step 0 && small=$bytes && per_step 1048576 && [ "$bytes" -lt 1000 ] && [ "$bytes" -lt $((2 * small + 100)) ]
ok 'a snapshot of 1 MiB and a large context are not written again'
plan
