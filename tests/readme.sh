#!/bin/sh
# The program in README.md is examples/order/order.c, compiles as it stands and does what README says,
# twice in a row on one store; and what README shows of kedge works.
echo "1..5"
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
result() { # GOOD NUMBER WHAT [FILE]
	if [ "$1" = yes ]; then
		echo "ok $2 - $3"
	else
		echo "not ok $2 - $3"
		[ -z "${4-}" ] || sed 's/^/# /' "$4"
	fi
}

# shellcheck disable=SC2016 # backquotes are what is looked for
sed -n '/^```c$/,/^```$/{/^```/d;p}' "$KEDGE_SRCDIR/README.md" >"$tmp/example.c"
if diff "$KEDGE_SRCDIR/examples/order/order.c" "$tmp/example.c" >"$tmp/log" 2>&1; then
	result yes 1 "it is the example"
else
	result no 1 "it is the example" "$tmp/log"
fi

# shellcheck disable=SC2086 # the compiler may be "gcc -m32"
if $KEDGE_CC $KEDGE_CFLAGS -std=c11 -Wall -Wextra -Werror -I"$KEDGE_BUILDDIR/include" -I"$KEDGE_SRCDIR/include" \
	-c -o "$tmp/example.o" "$tmp/example.c" >"$tmp/log" 2>&1 &&
	"$KEDGE_BUILDDIR/libtool" --silent --tag=CC --mode=link $KEDGE_CC $KEDGE_CFLAGS -o "$tmp/example" \
		"$tmp/example.o" "$KEDGE_BUILDDIR/libkedge.la" >>"$tmp/log" 2>&1; then
	result yes 2 "it compiles"
else
	result no 2 "it compiles" "$tmp/log"
fi

# What README shows between the example and the next heading, indented.
sed -n '/^    \$ \.\/order$/,/^$/{/^    \$/d;/^$/d;s/^    //;p}' "$KEDGE_SRCDIR/README.md" >"$tmp/expected"
"$tmp/example" >"$tmp/out" 2>&1
if [ -s "$tmp/expected" ] && diff "$tmp/expected" "$tmp/out" >"$tmp/log" 2>&1; then
	result yes 3 "it prints what README.md says"
else
	result no 3 "it prints what README.md says" "$tmp/log"
fi

case " $KEDGE_BUILT " in
*" lmdb "*) ;;
*)
	echo "ok 4 - twice on one store # SKIP configure did not build lmdb"
	echo "ok 5 - commands # SKIP configure did not build lmdb"
	exit 0
	;;
esac
"$tmp/example" "lmdb:$tmp/store?map_size=64MiB" >"$tmp/out" 2>&1 &&
	"$tmp/example" "lmdb:$tmp/store?map_size=64MiB" >"$tmp/again" 2>&1
if diff "$tmp/expected" "$tmp/out" >"$tmp/log" 2>&1 && diff /dev/null "$tmp/again" >>"$tmp/log" 2>&1; then
	result yes 4 "started a second time on one store nothing runs twice"
else
	result no 4 "started a second time on one store nothing runs twice" "$tmp/log"
fi

# The commands of one section, on a store that has the runs they speak of.
KEDGE_STORE="lmdb:$tmp/runs?map_size=64MiB"
export KEDGE_STORE
"$KEDGE_BUILDDIR/make_runs" "$KEDGE_STORE" examples >"$tmp/log" 2>&1 || echo "make_runs" >"$tmp/bad"
sed -n '/^## Looking at runs/,/^## /s/^    \$ kedge //p' "$KEDGE_SRCDIR/README.md" >"$tmp/lines"
while read -r line; do
	# As a shell reads it: there are quotes, and remarks.
	eval "\"\$KEDGE\" $line" >>"$tmp/log" 2>&1 </dev/null || echo "kedge $line" >>"$tmp/bad"
done <"$tmp/lines"
if [ "$(wc -l <"$tmp/lines")" -ge 8 ] && [ ! -e "$tmp/bad" ]; then
	result yes 5 "the commands work that it shows"
else
	cat "$tmp/bad" >>"$tmp/log" 2>/dev/null
	result no 5 "the commands work that it shows" "$tmp/log"
fi
