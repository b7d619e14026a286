#!/bin/sh
# What compilers do not check: the headers for programs can be used from any language, and the
# library takes its memory from the host.
echo "1..3"
check() { # NUMBER NAME, and what was found on standard input
	found=$(cat)
	if [ -z "$found" ]; then
		echo "ok $1 - $2"
	else
		echo "not ok $1 - $2"
		printf '%s\n' "$found" | sed 's/^/# /'
	fi
}

# The declarations of one header, without comments, macros and what it includes; one a line.
declarations() {
	printf '#include <kedge/%s>\n' "$1" |
		$KEDGE_CC -I"$KEDGE_BUILDDIR/include" -I"$KEDGE_SRCDIR/include" -E -x c - |
		awk -v own="kedge/$1\"" '/^# / { ours = index($3, own) > 0; next } ours' |
		tr '\n' ' ' | tr ';{}' '[\n*]' | sed "s,^,$1: ,"
}

all=$(for h in admin base error reactor run value worker store testing; do declarations "$h.h"; done)
printf '%s\n' "$all" | grep 'kedge_worker_open' >/dev/null || {
	echo "Bail out! no declarations found"
	exit 99
}
printf '%s\n' "$all" | grep -F '...' | check 1 "no function for programs takes varargs"
printf '%s\n' "$all" | grep -E '[A-Za-z0-9_ ]: *[0-9]+ *$' | grep -vF '?' | check 2 "no structure for programs has bitfields"

# The host itself; definitions and the registry, which belong to no store; what serves tests only.
grep -nE '(^|[^A-Za-z0-9_>.])(malloc|calloc|realloc|strdup|strndup|asprintf)\(' "$KEDGE_SRCDIR"/src/*.c |
	grep -vE '/(host|reactor|reactor_store|registry|wrap|testing|enumerate|judge)\.c:' |
	grep -vE '/store\.c:[0-9]+: +(char \*url = malloc|made = strdup)' |
	check 3 "the engine takes memory from the host only"
