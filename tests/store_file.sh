#!/bin/sh
# The template for backends, built as others build theirs, keeps the core of the storage contract.
unset KEDGE_STORE
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$tmp"' EXIT
trap 'exit 99' HUP INT TERM
mkdir "$tmp/store"
# shellcheck disable=SC2086 # the compiler may be "gcc -m32"
$KEDGE_CC $KEDGE_CFLAGS -Wall -Wextra -Werror -I"$KEDGE_SRCDIR/include" -I"$KEDGE_SRCDIR/backends" -pthread \
	-fvisibility=hidden -fPIC -shared -o "$tmp/file.so" "$KEDGE_SRCDIR/examples/store-file/file.c" \
	"$KEDGE_SRCDIR"/backends/kit/*.c >"$tmp/log" 2>&1 || {
	sed 's/^/# /' "$tmp/log"
	echo "Bail out! the template does not compile"
	exit 99
}
"$KEDGE" conform --plugin "$tmp/file.so" "file:$tmp/store"
