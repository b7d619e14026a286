#!/bin/sh
# check-long.sh - what takes longer than `make check', one part after the other
#
#	sh scripts/check-long.sh [PART...]
#
# Without PART: all of them.  Each part builds for itself below check-long/ in
# the current directory (or $KEDGE_LONG_DIR) and leaves PART.log there.  A part
# whose tool is not installed is skipped and counted.  Exit status 1 if any failed.
set -u

src=$(cd "$(dirname "$0")/.." && pwd) || exit 1
out=${KEDGE_LONG_DIR:-$(pwd)/check-long}
jobs=$(nproc 2>/dev/null || echo 2)
all='format shellcheck headers cppcheck tidy analyzer clang matrix trees valgrind asan tsan fuzz install long distcheck bare'

# A part returns this when its tool is missing.
skip=77

need() {
	for tool; do
		command -v "$tool" >/dev/null 2>&1 || {
			echo "no $tool here"
			return 1
		}
	done
}

# configured NAME [OPTION...]: cd into a build of our own, configured from nothing
configured() {
	dir=$out/$1
	shift
	rm -rf "$dir" && mkdir -p "$dir" && cd "$dir" && "$src/configure" --enable-werror "$@"
}

# checked NAME [OPTION...]: build it and run everything
checked() {
	configured "$@" && make -j "$jobs" && make -j "$jobs" check
}

# The C files and headers that are ours, from git or from an unpacked tarball.
sources() {
	(cd "$src" && find include src backends conform cli tests bench examples \
		\( -name '*.c' -o -name '*.h' -o -name '*.cc' \) \
		! -path 'bench/hdr/*' ! -name builtin.h ! -name version.h | sort)
}

scripts() {
	(cd "$src" && { find scripts tests bench -name '*.sh'; echo .ci/run; } | sort)
}

part_format() {
	need clang-format || return $skip
	cd "$src" && sources | xargs clang-format --dry-run -Werror
}

part_shellcheck() {
	need shellcheck || return $skip
	cd "$src" && scripts | xargs shellcheck
}

# Plain text: ASCII in code, nothing longer than a screen is wide.
part_headers() {
	cd "$src" || return 1
	bad=$(sources | xargs awk '
		/[^\t -~]/ { printf "%s:%d: not ASCII\n", FILENAME, FNR }
		length > 100 { printf "%s:%d: %d columns\n", FILENAME, FNR, length }
		/[ \t]$/ { printf "%s:%d: blank at the end\n", FILENAME, FNR }')
	printf '%s\n' "$bad"
	[ -z "$bad" ]
}

part_cppcheck() {
	need cppcheck || return $skip
	configured cppcheck || return 1
	# What does not return cppcheck 2.10 knows by gcc's attribute only, and that is for gcc.
	printf '#define %s\n' '_Noreturn __attribute__((noreturn))' '__GNUC__ 12' >noreturn.h
	cd "$src" && sources | grep '\.c$' | xargs cppcheck -j "$jobs" --quiet --std=c11 --error-exitcode=1 \
		--enable=warning,style,performance,portability --inline-suppr \
		--suppressions-list=scripts/cppcheck.suppress --include="$out/cppcheck/noreturn.h" \
		-I "$out/cppcheck/include" -I include -I "$out/cppcheck" -I . -I src -I backends
}

part_tidy() {
	need clang-tidy || return $skip
	configured tidy && make conform/covers.inc || return 1
	# One file a time: clang-tidy 14 confuses the va_lists of several.
	# A compile_flags.txt, one word a line, stands for a compilation database.  Where the
	# libraries' headers are, configure has found out; what is measured against them is checked too.
	{
		printf '%s\n' -std=gnu11 -D_GNU_SOURCE -DKEDGE_BACKEND_DIR=\"/\" -DKEDGE_CONFIGURED_ABI=1 \
			-DKEDGE_SHIM_DIR=\"/\" -DPKGLIBEXECDIR=\"/\" -DBENCH_CFLAGS=\"\" \
			-DBENCH_LMDB -DBENCH_REDIS -DBENCH_POSTGRESQL -DFUZZ_LMDB
		printf -- '-I%s\n' "$out/tidy/include" "$src/include" "$out/tidy" "$src" "$src/src" "$src/backends"
		for lib in SMARTCOLS CJSON LMDB HIREDIS LIBPQ; do
			sed -n "s/^${lib}_CFLAGS = *//p" Makefile | tr -s ' ' '\n'
		done | sed '/^$/d'
	} >compile_flags.txt
	cd "$src" && sources | grep '\.c$' | xargs -P "$jobs" -n 1 clang-tidy -p "$out/tidy" --quiet --warnings-as-errors='*'
}

# gcc 12 takes what is stored in memory from realloc() for lost; leaks are left to the
# sanitizer and to valgrind, which see them happen.
part_analyzer() {
	need gcc || return $skip
	configured analyzer CC=gcc CFLAGS='-O2 -g -fanalyzer -Wno-analyzer-malloc-leak' && make -j "$jobs"
}

part_clang() {
	need clang || return $skip
	checked clang CC=clang
}

# Other choices at configure time.
part_matrix() {
	checked no-lmdb --with-lmdb=no &&
		checked module --with-lmdb=module &&
		checked default-mem --with-default-backend=mem &&
		checked no-check --without-check &&
		checked static --disable-shared --enable-static &&
		checked coverage --enable-coverage &&
		refused bad-word --with-lmdb=perhaps &&
		refused bad-default --with-default-backend=nowhere &&
		refused not-built --with-lmdb=no --with-default-backend=lmdb &&
		refused static-module --with-lmdb=module --disable-shared
}

refused() {
	name=$1
	if configured "$@"; then
		echo "configure accepted: $name"
		return 1
	fi
}

# An in-tree and an out-of-tree build of one tree, in either order.
part_trees() {
	dir=$out/trees
	rm -rf "$dir" && mkdir -p "$dir/in-first" "$dir/out-first" || return 1
	for t in in-first out-first; do
		(cd "$src" && tar -cf - --exclude=./check-long --exclude=./build --exclude='./build-[!a]*' --exclude=./.git .) |
			(cd "$dir/$t" && tar -xf -) || return 1
		(cd "$dir/$t" && { [ ! -f Makefile ] || make -s distclean; }) || return 1
	done
	in_tree() { (cd "$1" && ./configure --enable-werror && make -j "$jobs" && make -j "$jobs" check); }
	out_of_tree() {
		mkdir -p "$1/other" && (cd "$1/other" && ../configure --enable-werror --with-lmdb=no &&
			make -j "$jobs" && make -j "$jobs" check && ./kedge backends >list && ! grep name=lmdb list)
	}
	in_tree "$dir/in-first" && out_of_tree "$dir/in-first" &&
		out_of_tree "$dir/out-first" && in_tree "$dir/out-first" &&
		(cd "$dir/out-first/other" && make -j "$jobs" check)
}

# What gcc warns of depends on how far it optimises, and sanitizers mislead it: the
# instrumented builds are for running, the others for warnings.
part_valgrind() {
	need valgrind || return $skip
	configured valgrind --disable-werror CFLAGS='-O1 -g' && make -j "$jobs" && make -j "$jobs" check-valgrind
}

part_asan() {
	CK_TIMEOUT_MULTIPLIER=10 ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1 \
		checked asan --disable-werror --with-sanitizer=address,undefined CFLAGS='-O1 -g'
}

part_tsan() {
	CK_TIMEOUT_MULTIPLIER=10 TSAN_OPTIONS='halt_on_error=1 die_after_fork=0' checked tsan --disable-werror --with-sanitizer=thread CFLAGS='-O1 -g'
}

# Each fuzz target for $KEDGE_FUZZ_SECONDS, from the committed corpus on.  What is found is left as
# found-TARGET-...; tests/fuzz/local.mk says how to go on from there.
part_fuzz() {
	need clang || return $skip
	echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d == 0 && n != 0; }' |
		clang -fsanitize=fuzzer,address -x c -o "$out/has-fuzzer" - || {
		echo "this clang has no libFuzzer"
		return $skip
	}
	configured fuzz CC=clang --disable-werror --with-sanitizer=address,undefined \
		CFLAGS='-O1 -g -fsanitize=fuzzer-no-link' &&
		make -j "$jobs" fuzz-targets KEDGE_FUZZ_MAIN= LDFLAGS=-fsanitize=fuzzer || return 1
	bad=
	for program in ./fuzz_*; do
		target=${program##*_}
		dict=$src/tests/fuzz/$target.dict
		[ -f "$dict" ] || dict=$src/tests/fuzz/record.dict
		cp -R "$src/tests/fuzz/corpus/$target" "new-$target" || return 1
		echo "== $target"
		ASAN_OPTIONS=detect_leaks=1 "$program" -max_total_time="${KEDGE_FUZZ_SECONDS:-120}" -max_len=600 \
			-timeout=10 -rss_limit_mb=2048 -detect_leaks=1 -print_final_stats=1 -verbosity=1 \
			-artifact_prefix="$out/fuzz/found-$target-" -dict="$dict" "new-$target" || bad="$bad $target"
	done
	[ -z "$bad" ] || echo "broken:$bad"
	[ -z "$bad" ]
}

# Installed, used from there, and gone again: with a static library, with a module, below DESTDIR.
part_install() {
	root=$out/install-root
	installed static "" --enable-static && installed module "" --with-lmdb=module &&
		installed staged "$root/staged" --with-lmdb=no
}

installed() { # NAME DESTDIR OPTION...
	name=$1 staged=$2
	shift 2
	rm -rf "$root" && configured "install-$name" --prefix="$root/prefix" "$@" && make -j "$jobs" || return 1
	for goal in install installcheck uninstall; do
		make DESTDIR="$staged" "$goal" || return 1
	done
	left=$(find "$root" ! -type d)
	[ -z "$left" ] || echo "left after make uninstall: $left"
	[ -z "$left" ]
}

# The same tests, given their time: more kills, more threads, more rounds.
part_long() {
	export KEDGE_TEST_LONG=1
	configured long && make -j "$jobs" && make -j "$jobs" check KEDGE_TEST_TIMEOUT=7200
}

part_distcheck() {
	configured distcheck && make -j "$jobs" distcheck
}

part_bare() {
	rm -rf "$out/bare"
	sh "$src/scripts/bare.sh" "$out/bare"
	rc=$?
	rm -rf "$out/bare"
	return $rc
}

[ $# -gt 0 ] || {
	# shellcheck disable=SC2086 # words on purpose
	set -- $all
}
for part; do
	case " $all " in
	*" $part "*) ;;
	*)
		echo "check-long.sh: no part '$part' (there are: $all)" >&2
		exit 2
		;;
	esac
done
if [ ! -f "$src/configure" ]; then
	(cd "$src" && autoreconf -fi) || exit 1
fi
mkdir -p "$out" || exit 1

passed=0 failed=0 skipped=0
for part; do
	began=$(date +%s)
	("part_$part") >"$out/$part.log" 2>&1
	rc=$?
	took=$(($(date +%s) - began))
	case $rc in
	0)
		passed=$((passed + 1))
		echo "ok      $part (${took} s)"
		;;
	"$skip")
		skipped=$((skipped + 1))
		echo "skipped $part: $(tail -n 1 "$out/$part.log")"
		;;
	*)
		failed=$((failed + 1))
		echo "FAILED  $part (${took} s), see $out/$part.log"
		tail -n 20 "$out/$part.log" | sed 's/^/        /'
		;;
	esac
done
echo "$passed parts passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
