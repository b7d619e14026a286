#!/bin/sh
# demo.sh - archive a directory, kill a worker with -9 in the middle, check that nothing is lost
#
#	sh scripts/demo.sh
#
# KEDGE_DEMO_SRC: what to archive (default: /usr/share/doc); KEDGE_DEMO_KEEP: a directory that does
# not exist yet, to archive into and to keep; KEDGE_DEMO_PROGRAM: the kedge to use, instead of one
# that is built in build/ (what that needs is installed).  The exit status is
# 0 only if the archive is complete and no step of a run ran more than twice.
set -u

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/install.sh
. scripts/install.sh

die() {
	echo "demo.sh: $*" >&2
	exit 1
}
src=${KEDGE_DEMO_SRC:-/usr/share/doc}
[ -d "$src" ] || die "there is no directory $src"

if [ -n "${KEDGE_DEMO_PROGRAM-}" ]; then
	kedge=$KEDGE_DEMO_PROGRAM
else
	# shellcheck disable=SC2119 # no more packages
	install_missing || die "cannot install what is missing"
	log=$(mktemp) || exit 1
	echo "building ..."
	# shellcheck disable=SC2119 # no options for configure
	build >"$log" 2>&1 || {
		tail -n 40 "$log"
		rm -f "$log"
		die "the build failed"
	}
	rm -f "$log"
	kedge=build/kedge
fi

if [ -n "${KEDGE_DEMO_KEEP-}" ]; then
	mkdir "$KEDGE_DEMO_KEEP" && dest=$(cd "$KEDGE_DEMO_KEEP" && pwd) || exit 1
else
	dest=$(mktemp -d) || exit 1
	trap 'rm -rf "$dest"' EXIT
	trap 'exit 1' INT TERM
fi
store=lmdb://$dest/store

files=$(find "$src" -type f -printf x | wc -c)
echo "archiving $src, $files files, two worker processes"
"$kedge" demo archive "$src" "$dest" --store "$store" --workers 2 &
parent=$!

# indexed: how many files are done
indexed() {
	find "$dest/index" -type f 2>/dev/null | wc -l
}
while kill -0 "$parent" 2>/dev/null && [ $(($(indexed) * 2)) -lt "$files" ]; do
	sleep 0.02
done
# A worker that has logged something, and is a child of ours.
victim=
for f in "$dest"/log/*.log; do
	pid=${f##*/}
	pid=${pid%.log}
	[ -s "$f" ] && [ "$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)" = "$parent" ] &&
		victim=$pid
done
killed=$(date +%s%6N)
if [ -n "$victim" ] && kill -9 "$victim" 2>/dev/null; then
	echo "killed worker $victim when $(indexed) files were done"
else
	echo "it was over before a worker could be killed; try a larger KEDGE_DEMO_SRC"
	victim=
fi
wait "$parent" || die "the archive failed"

echo
echo "comparing $dest with $src"
verified=yes
"$kedge" demo archive --verify "$src" "$dest" --store "$store" || verified=no

# RUN STEP ATTEMPT FENCE IN_DOUBT PID TIME, by time
echo
sort -n -k 7 "$dest"/log/*.log | awk -v victim="$victim" -v killed="$killed" '
	{
		step = $1 " " $2
		times[step]++
		if (times[step] > most)
			most = times[step]
		if (times[step] == 2) {
			again++
			if (again <= 20)
				list = list "  " step ": process " by[step] ", then " $6 ($5 == 1 ? " (in doubt)" : "") "\n"
		}
		by[step] = $6
		if (victim != "" && !taken && $6 != victim && ($1 in his) && $7 + 0 >= killed + 0)
			taken = $7
		if ($6 == victim)
			his[$1] = 1
	}
	END {
		if (taken)
			printf "takeover: %.1f ms from the kill to the first step of one of its runs elsewhere\n", \
				(taken - killed) / 1000
		else if (victim != "")
			print "takeover: none was needed"
		printf "steps that ran twice: %d\n%s", again, list
		if (again > 20)
			printf "  ... and %d more\n", again - 20
		if (most > 2) {
			printf "a step ran %d times\n", most
			exit 1
		}
	}' || die "a step of a run ran more than twice"
[ "$verified" = yes ] || die "the archive is not what the source is"
