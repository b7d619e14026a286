#!/bin/sh
# mutants.sh [--full] [--repeat K] [ID...] - every defect that the suite is tested with is noticed
#
# For each line of `kedge conform --mutants', or of those named: the cases that are named for it run
# over the backend with that defect, and one of them must fail.  A case that dies of a signal has
# noticed nothing.  Over the same backends without a defect all those cases hold.
#
# Prints the matrix (killed: it failed; alive: it held; skipped), the cases that kill nothing, which
# are those in conform/unkilled.tsv, and last `killed N of N'.
#
#	make check-mutants MUTANTS='--repeat 5 m03 m13'
#
# --full runs all cases of the core tier over each defect, and tells of all that fail.  Without
# it, and without KEDGE_TEST_LONG, cases beyond the core tier are, and so are defects over
# servers and those that no case of the core tier is named for: left out, aloud.
# shellcheck source=tests/support/servers.sh
. "$KEDGE_SRCDIR/tests/support/servers.sh"

mutant_url() { # BACKEND DIRECTORY
	case $1 in
	mem) echo 'mem:{}' ;;
	lmdb) echo "lmdb:$2/{}?gather=1" ;;
	*) server way "$1" ;;
	esac
}

# conform over it; ID is - for none.  OUT gets what it printed, OUT.rc its status.
conform_over() { # ID BACKEND HOW OUT OPTION...
	id=$1 over=$2 how=$3 out=$4
	shift 4
	where=$(mutant_url "$over" "$out.d")
	case $over in
	redis | postgresql) set -- --server "$(server address "$over")" "$@" ;;
	esac
	mkdir -p "$out.d"
	case $how in
	url)
		[ "$id" = - ] || where="mutant,$id+$where"
		"$KEDGE" conform "$@" "$where" >"$out" 2>&1
		;;
	switch)
		KEDGE_MUTANT=$id "$KEDGE" conform "$@" "${over}_mutant+$where" >"$out" 2>&1
		;;
	esac
	echo $? >"$out.rc"
	rm -rf "$out.d"
}

commas() {
	tr ' ' '\n' | sort -u | paste -sd, -
}

# One run of one defect, for xargs.
if [ "${1-}" = --one ]; then
	cases=$(awk -F'\t' -v id="$2" -v over="$3" '$1 == id && $2 == over { print $4 }' \
		"$MUTANTS_DIR/table")
	conform_over "$2" "$3" "$4" "$MUTANTS_DIR/$2-$3.$5" --filter "$(echo "$cases" | commas)"
	if [ -n "$MUTANTS_FULL" ]; then
		conform_over "$2" "$3" "$4" "$MUTANTS_DIR/$2-$3.full" --tier core
	fi
	exit 0
fi

full=
repeat=1
while [ $# -gt 0 ]; do
	case $1 in
	--full) full=1 ;;
	--repeat)
		repeat=$2
		shift
		;;
	-*)
		echo "Bail out! $1: there are --full, --repeat K and ids"
		exit 99
		;;
	*) break ;;
	esac
	shift
done
case " ${KEDGE_MUTANT_MODULES-} " in
*" mutant "*) ;;
*)
	echo "1..0 # SKIP this build has no modules, of which a mutant is one"
	exit 0
	;;
esac

dir=$(mktemp -d "$KEDGE_BUILDDIR/test-mutants.XXXXXX") || exit 99
trap 'servers_end; rm -rf "$dir"' EXIT
trap 'exit 99' HUP INT TERM
MUTANTS_DIR=$dir
MUTANTS_FULL=$full
export MUTANTS_DIR MUTANTS_FULL
"$KEDGE" conform --mutants >"$dir/all" || exit 99
cp "$dir/all" "$dir/table"
for id; do
	awk -F'\t' -v id="$id" '$1 == id' "$dir/all" | grep . || {
		echo "Bail out! $id: there is no such defect"
		exit 99
	}
done >"$dir/wanted" || exit 99
[ $# -eq 0 ] || mv "$dir/wanted" "$dir/table"

# Why nothing can be asked over BACKEND here, or nothing.
cannot() { # BACKEND
	case " $KEDGE_BUILT " in
	*" $1 "*) ;;
	*)
		echo "configure did not build $1"
		return
		;;
	esac
	case $1 in
	redis | postgresql)
		if [ -z "$full${KEDGE_TEST_LONG-}$asked" ]; then
			echo "it takes a server: --full, KEDGE_TEST_LONG=1 or its id"
		else
			server have "$1"
		fi
		;;
	esac
}

asked=$*
: >"$dir/skipped"
# In short only what the core tier notices.
if [ -z "$full${KEDGE_TEST_LONG-}$asked" ]; then
	"$KEDGE" conform --list --tier core | cut -f1 >"$dir/core"
	awk -F'\t' -v OFS='\t' -v beyond="$dir/skipped" '
		NR == FNR { core[$1] = 1; next }
		{
			n = split($4, cases, " ")
			$4 = ""
			for (i = 1; i <= n; i++)
				if (cases[i] in core)
					$4 = $4 " " cases[i]
			sub(/^ /, "", $4)
			if ($4 != "")
				print
			else
				print $1 " " $2 " " $3 " no case of the core tier is for it: --full," \
					" KEDGE_TEST_LONG=1 or its id" >beyond
		}' "$dir/core" "$dir/all" >"$dir/table"
fi
: >"$dir/run"
cut -f2,3 "$dir/table" | sort -u >"$dir/backends"
while read -r over how; do
	why=$(cannot "$over" </dev/null)
	awk -F'\t' -v over="$over" -v how="$how" '$2 == over && $3 == how { print $1, $2, $3 }' \
		"$dir/table" >"$dir/some"
	if [ -n "$why" ]; then
		sed "s|\$| $why|" "$dir/some" >>"$dir/skipped"
		continue
	fi
	cat "$dir/some" >>"$dir/run"
	case $over in
	redis | postgresql)
		[ -n "${KEDGE_SERVERS-}" ] || servers_begin
		[ ! -f "$KEDGE_SERVERS/clock-$over" ] || continue # it is there, for the other way
		KEDGE_TEST_CLOCK=$KEDGE_SERVERS/clock-$over
		export KEDGE_TEST_CLOCK
		"$KEDGE_BUILDDIR/clock_set" "$KEDGE_TEST_CLOCK" real >/dev/null || exit 99
		server "$over" "$over" </dev/null || exit 99
		unset KEDGE_TEST_CLOCK
		;;
	esac
done <"$dir/backends"

# In this process two at a time; over a server, whose clock is moved, one.
one() { # BACKENDS AT-A-TIME
	grep -E "^[^ ]* ($1) " "$dir/run" | while read -r id over how; do
		k=0
		while [ "$((k += 1))" -le "$repeat" ]; do
			echo "$id $over $how $k"
		done
	done | xargs -r -P "$2" -L 1 "${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/mutants.sh" --one
}
for kind in redis postgresql; do
	(
		KEDGE_TEST_CLOCK=${KEDGE_SERVERS-}/clock-$kind
		export KEDGE_TEST_CLOCK
		one "$kind" 1
	) &
done
one 'mem|lmdb' 2
wait

# All that is named for a backend holds over it.
while read -r over how; do
	grep -q "^[^ ]* $over $how\$" "$dir/run" || continue
	case $over in
	redis | postgresql)
		KEDGE_TEST_CLOCK=$KEDGE_SERVERS/clock-$over
		export KEDGE_TEST_CLOCK
		;;
	esac
	conform_over - "$over" "$how" "$dir/none-$over-$how" --filter \
		"$(awk -F'\t' -v over="$over" -v how="$how" '$2 == over && $3 == how { print $4 }' \
			"$dir/table" | commas)" </dev/null
	unset KEDGE_TEST_CLOCK
done <"$dir/backends"

# ----------------------------------------------------------------------- report

# One run, ID-BACKEND.K: "CASE killed", "CASE alive", "CASE skipped" or "CASE died", one per line.
outcomes() { # OUT
	awk '
		/^# [^ ]*: killed by signal/ { died[substr($2, 1, length($2) - 1)] = 1 }
		/^not ok/ { print $5, ($5 in died) ? "died" : "killed" }
		/^ok .* # SKIP/ { print $4, "skipped"; next }
		/^ok/ { print $4, "alive" }' "$1"
}

n=0
killed=0
: >"$dir/kills"
report() { # WHAT
	if [ "$good" = 1 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
	fi
}
while read -r id over how; do
	n=$((n + 1))
	good=1
	k=0
	while [ "$((k += 1))" -le "$repeat" ]; do
		outcomes "$dir/$id-$over.$k" >"$dir/outcomes"
		if [ "$(cat "$dir/$id-$over.$k.rc")" != 1 ] || ! grep -q ' killed$' "$dir/outcomes"; then
			good=0
			sed 's/^/# /' "$dir/$id-$over.$k"
		fi
		[ "$repeat" -gt 1 ] && [ "$good" = 1 ] && [ "$k" -gt 1 ] ||
			echo "# $id $(sed 's/ /:/' "$dir/outcomes" | paste -sd' ' -)"
		sed -n "s/ killed\$/ $id/p" "$dir/outcomes" >>"$dir/kills"
	done
	[ "$good" = 0 ] || killed=$((killed + 1))
	report "$id over $over: $(awk -F'\t' -v id="$id" '$1 == id { print $6; exit }' "$dir/table")"
	if [ -n "$full" ]; then
		outcomes "$dir/$id-$over.full" | sed -n "s/ killed\$/ $id/p" >"$dir/more"
		echo "# $id fails: $(cut -d' ' -f1 "$dir/more" | paste -sd' ' -)"
		cat "$dir/more" >>"$dir/kills"
	fi
done <"$dir/run"
while read -r id over how why; do
	n=$((n + 1))
	echo "ok $n - $id over $over # SKIP $why"
done <"$dir/skipped"
for out in "$dir"/none-*.rc; do
	n=$((n + 1))
	[ "$(cat "$out")" = 0 ] && good=1 || good=0
	[ "$good" = 1 ] || sed 's/^/# /' "${out%.rc}"
	report "without a defect all of it holds: $(basename "${out%.rc}")"
done

# Each promise is in the header, in these words.
header() {
	tr '\n' ' ' <"$KEDGE_SRCDIR/include/kedge/backend.h" | sed 's/ \* / /g; s/  */ /g; s/ \* / /g'
}
header >"$dir/header"
n=$((n + 1))
good=1
while IFS="$(printf '\t')" read -r id _ _ _ promise _; do
	grep -qF "$promise" "$dir/header" || {
		good=0
		echo "# $id: not in backend.h: $promise"
	}
done <"$dir/all"
report "what is broken is promised in backend.h, in these words"

# With all of them: what nothing kills is known, and why.
if [ -z "$asked" ] && [ ! -s "$dir/skipped" ]; then
	n=$((n + 1))
	"$KEDGE" conform --list --tier full | cut -f1 | sort >"$dir/cases"
	cut -d' ' -f1 "$dir/kills" | sort -u >"$dir/kill"
	sed '/^#/d' "$KEDGE_SRCDIR/conform/unkilled.tsv" | cut -f1 | sort >"$dir/known"
	comm -23 "$dir/cases" "$dir/kill" >"$dir/unkilled"
	good=1
	cmp -s "$dir/unkilled" "$dir/known" || good=0
	sed 's/^/# kills nothing: /' "$dir/unkilled"
	[ "$good" = 1 ] || diff "$dir/known" "$dir/unkilled" | sed 's/^/# /'
	report "the cases that kill nothing are those of conform/unkilled.tsv"
fi
echo "1..$n"
echo "# killed $killed of $(grep -c . "$dir/run")"
