#!/bin/sh
# The program in README.md compiles as it stands and does what it says.
echo "1..2"
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
# shellcheck disable=SC2016 # backquotes are what is looked for
sed -n '/^```c$/,/^```$/{/^```/d;p}' "$KEDGE_SRCDIR/README.md" >"$tmp/example.c"
# shellcheck disable=SC2086 # the compiler may be "gcc -m32"
if $KEDGE_CC $KEDGE_CFLAGS -std=c11 -Wall -Wextra -Werror -I"$KEDGE_BUILDDIR/include" -I"$KEDGE_SRCDIR/include" \
	-c -o "$tmp/example.o" "$tmp/example.c" >"$tmp/log" 2>&1 &&
	"$KEDGE_BUILDDIR/libtool" --silent --tag=CC --mode=link $KEDGE_CC $KEDGE_CFLAGS -o "$tmp/example" \
		"$tmp/example.o" "$KEDGE_BUILDDIR/libkedge.la" >>"$tmp/log" 2>&1; then
	echo "ok 1 - it compiles"
else
	echo "not ok 1 - it compiles"
	sed 's/^/# /' "$tmp/log"
fi
if out=$("$tmp/example" 2>&1) && [ "$out" = "mem:" ]; then
	echo "ok 2 - it opens a store"
else
	echo "not ok 2 - it opens a store"
	printf '%s\n' "$out" | sed 's/^/# /'
fi
