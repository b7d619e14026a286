#!/bin/sh
# The library exports what the map names, nothing else, and all of it; a module
# exports its entry and nothing else.
plan=0
if [ -f "$KEDGE_LIB" ]; then
	plan=$((plan + 2))
fi
modules=
for m in "$KEDGE_BACKEND_PATH"/*.so; do
	case $m in
	*/lib* | */*-*) ;; # no modules
	*) [ -f "$m" ] && modules="$modules $m" && plan=$((plan + 1)) ;;
	esac
done
if [ "$plan" -eq 0 ]; then
	echo "1..0 # SKIP this build has no shared library"
	exit 0
fi
echo "1..$plan"

exported() {
	# Coverage and sanitizers bring their own; the version node is absolute.
	$KEDGE_NM -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
		grep -Ev '^(__gcov|gcov_|__llvm|mangle_path|__asan|__tsan|__ubsan|__odr_asan|_init$|_fini$)' | sort
}
n=0
check() { # WHAT STRAY-NAMES
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		echo "$2" | sed 's/^/# /'
	fi
}

if [ -f "$KEDGE_LIB" ]; then
	names=$(sed -n '/global:/,/local:/s/^ *\(kedge_[a-z0-9_]*\);.*/\1/p' "$KEDGE_MAP" | sort)
	have=$(exported "$KEDGE_LIB")
	check "nothing is exported that the map does not name" \
		"$(printf '%s\n' "$have" | grep -Fvx "$names")"
	check "everything the map names is exported" \
		"$(printf '%s\n' "$names" | grep -Fvx "$have")"
fi
for m in $modules; do
	check "${m##*/} exports its entry only" "$(exported "$m" | grep -vx 'kedge_\(backend\|wrapper\)_entry')"
done
