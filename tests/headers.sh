#!/bin/sh
# Every public header alone: in strict C11 and, where there is a C++ compiler, in
# C++11.  Nothing else may be needed first, and including it twice is fine.
headers=$(cd "$KEDGE_SRCDIR/include/kedge" && ls ./*.h)
# An in-tree build has its version.h there as well.
headers=$(printf '%s\n./version.h\n' "$headers" | sort -u | sed 's,^\./,,')
# shellcheck disable=SC2086 # words on purpose
set -- $headers
echo "1..$(($# * 2))"

n=0
try() { # HEADER LANGUAGE COMPILER...
	n=$((n + 1))
	name="$1 alone in $2"
	source=$(printf '#include <kedge/%s>\n#include <kedge/%s>\nextern int used;\n' "$1" "$1")
	shift 2
	if out=$(printf '%s\n' "$source" | "$@" -I"$KEDGE_BUILDDIR/include" -I"$KEDGE_SRCDIR/include" -fsyntax-only - 2>&1); then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		printf '%s\n' "$out" | sed 's/^/# /'
	fi
}
warn='-Wall -Wextra -Wpedantic -Wshadow -Wundef -Werror'
# shellcheck disable=SC2086,SC2153 # words on purpose: the compiler may be "gcc -m32"
for h; do
	try "$h" C11 $KEDGE_CC -x c -std=c11 $warn
	if [ -n "$KEDGE_CXX" ]; then
		try "$h" C++11 $KEDGE_CXX -x c++ -std=c++11 $warn
	else
		n=$((n + 1))
		echo "ok $n - $h alone in C++11 # SKIP no C++ compiler"
	fi
done
