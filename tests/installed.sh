#!/bin/sh
# What `make install' put there, and nothing of the source tree but the sources of programs: they are
# built from installed files and run.  `make installcheck' calls this, and so does `make distcheck'.
#
# The directories of make (BINDIR, LIBDIR, ...) and DESTDIR are in the environment, as is what
# tests/local.mk names.  Prints TAP; the exit status is 1 if a test failed.
tmp=$(mktemp -d) || exit 1
plugged= # the module that is installed for a while
trap 'rm -rf "$tmp"; [ -z "$plugged" ] || rm -f "$plugged"' EXIT
trap 'exit 1' INT TERM
cd "$tmp" || exit 1
unset KEDGE_STORE KEDGE_BACKEND_PATH

PKG_CONFIG=${PKG_CONFIG:-pkg-config}
export PKG_CONFIG_PATH="$DESTDIR$PKGCONFIGDIR" PKG_CONFIG_SYSROOT_DIR="$DESTDIR"
export LD_LIBRARY_PATH="$DESTDIR$LIBDIR"
kedge=$DESTDIR$BINDIR/kedge
shared=$DESTDIR$LIBDIR/libkedge.so
static=$DESTDIR$LIBDIR/libkedge.a
modules=$DESTDIR$BACKENDDIR
warn='-Wall -Wextra -Wpedantic -Werror'
# Sanitizers and coverage bring names of their own, and want to be in the program.
case " $KEDGE_CFLAGS " in
*-fsanitize* | *--coverage*) instrumented=yes ;;
*) instrumented=no ;;
esac

n=0 failed=0
ok() { # WHAT: the command before decides
	rc=$?
	n=$((n + 1))
	if [ "$rc" -eq 0 ]; then
		echo "ok $n - $1"
	else
		failed=$((failed + 1))
		echo "not ok $n - $1"
		sed 's/^/# /;20q' log
	fi
	: >log
}
skip() { # WHAT WHY
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}
empty() { # TEXT: and if it is not, it is told
	printf '%s' "$1" >log
	[ ! -s log ]
}
pkg() {
	"$PKG_CONFIG" "$@" 2>>log
}
built() { # BACKEND
	case " $KEDGE_BUILT " in *" $1 "*) ;; *) return 1 ;; esac
}
: >log

# ------------------------------------------------------------------- pkg-config
[ "$(pkg --modversion kedge)" = "$VERSION" ] && [ "$(pkg --modversion kedge-backend)" = "$VERSION" ]
ok "pkg-config knows version $VERSION"
[ "$(pkg --variable=backend_abi kedge-backend)" = "$KEDGE_BACKEND_ABI" ]
ok "and the backend ABI"
dir=$(pkg --variable=backenddir kedge-backend)
[ "$DESTDIR${dir#"$DESTDIR"}" = "$modules" ]
ok "and the directory of modules"
proxy=$(pkg --variable=proxy kedge-backend)
"$DESTDIR${proxy#"$DESTDIR"}" --help >help 2>>log && grep -q '^usage: kedge-proxy LISTEN TARGET' help
ok "and the proxy"
# shellcheck disable=SC2046 # words on purpose
for h in kedge backend; do
	printf '#include <kedge/%s.h>\n' "$h" | $CC $(pkg --cflags kedge-backend) -E -x c -
done 2>>log | sed -n 's,^# [0-9]* "\(.*/kedge/[a-z]*\.h\)".*,\1,p' | sort -u >included
grep -q /kedge/worker.h included && grep -q /kedge/backend.h included &&
	empty "$(grep -Fv "$DESTDIR$INCLUDEDIR/kedge/" included)" &&
	[ -z "$(pkg --libs kedge-backend | tr -d ' ')" ] && pkg --libs kedge | grep -q -e -lkedge
ok "flags lead to the installed headers and the library, for a module to the headers alone"

# --------------------------------------------------------------- headers, symbols
ln -s "$DESTDIR$INCLUDEDIR" include
env KEDGE_SRCDIR="$tmp" KEDGE_BUILDDIR="$tmp" KEDGE_CC="$CC" KEDGE_CXX="$CXX" \
	sh "$KEDGE_SRCDIR/tests/headers.sh" >headers.log 2>&1
grep -v '^ok' headers.log | grep -v '^1\.\.' >log
[ ! -s log ] && grep -q '^ok' headers.log
ok "each header compiles alone, in C11 and C++11"

if [ ! -f "$shared" ]; then
	skip "symbols of the library" "this build has no shared library"
else
	names=$($NM -D --defined-only "$shared" | awk '$2 != "A" { print $3 }')
	if [ "$instrumented" = yes ]; then
		skip "symbols of the library" "it is instrumented"
	else
		[ -n "$names" ] && empty "$(printf '%s\n' "$names" | grep -v "^kedge_[a-z0-9_]*@@$KEDGE_ABI_NODE\$")"
		ok "every symbol has the version $KEDGE_ABI_NODE"
		allowed='@GLIBC_|@GCC_'
		case " $KEDGE_BUILT_STATIC " in *" lmdb "*) allowed="$allowed|^mdb_" ;; esac
		case " $KEDGE_BUILT_STATIC " in *" postgresql "*) allowed="$allowed|^PQ" ;; esac
		case " $KEDGE_BUILT_STATIC " in *" redis "*) allowed="$allowed|^redis|^freeReplyObject" ;; esac
		empty "$($NM -D --undefined-only "$shared" |
			awk '$1 != "w" && $1 != "v" { print $2 }' | grep -Ev "$allowed")"
		ok "it needs the C library, the backends inside it, and nothing else"
	fi
	$READELF -d "$shared" >elf.log 2>&1
	grep -q "SONAME.*\[libkedge\.so\.$KEDGE_SO_MAJOR\]" elf.log
	ok "its name is libkedge.so.$KEDGE_SO_MAJOR"
fi

# ----------------------------------------------------------------- an application
# shellcheck disable=SC2046,SC2086 # words on purpose
compile() { # PROGRAM SOURCE WORDS...: with pkg-config's answers
	out=$1 source=$2
	shift 2
	$CC $KEDGE_CFLAGS -std=c11 $warn $(pkg --cflags kedge) -o "$out" "$source" "$@" $KEDGE_LDFLAGS >>log 2>&1
}
cp "$KEDGE_SRCDIR/examples/order/order.c" . || exit 1
# shellcheck disable=SC2046 # words on purpose
compile order order.c $(pkg --libs kedge)
ok "an application is built"
goes_well() { # PROGRAM URL...
	"$@" >log 2>&1 && [ "$(sed -n '$p' log)" = "undo reserve" ]
}
goes_well ./order mem:
ok "and runs, over memory"
if built lmdb; then
	goes_well ./order "lmdb:$tmp/store?map_size=64MiB" &&
		./order "lmdb:$tmp/store?map_size=64MiB" >log 2>&1 && [ ! -s log ]
	ok "over LMDB, the second time without doing anything again"
else
	skip "over LMDB" "configure did not build lmdb"
fi

if [ -f "$static" ]; then
	if [ "$instrumented" = yes ]; then
		skip "symbols of the static library" "it is instrumented"
	else
		names=$(sed -n '/global:/,/local:/s/^ *\(kedge_[a-z0-9_]*\);.*/\1/p' "$KEDGE_MAP" | sort)
		have=$($NM -g --defined-only "$static" | awk 'NF == 3 { print $3 }' | sort)
		empty "$(printf '%s\n%s\n' "$names" "$have" | sort | uniq -u)"
		ok "the static library has the names of the shared one, and no others"
	fi
	# shellcheck disable=SC2046 # words on purpose
	compile order-static order.c "$static" $(pkg --static --libs kedge | sed 's/-lkedge\( \|$\)/ /') &&
		goes_well env LD_LIBRARY_PATH=/nowhere ./order-static mem:
	ok "an application with the static library"
fi

# ------------------------------------------------------------------------ a module
cp "$KEDGE_SRCDIR/examples/plugin/one.c" "$KEDGE_SRCDIR/examples/plugin/Makefile.example" . || exit 1
$MAKE -s -f Makefile.example CC="$CC" CFLAGS="$KEDGE_CFLAGS" LDFLAGS="$KEDGE_LDFLAGS" one.so >log 2>&1
ok "a module is built"
"$kedge" backends ./one.so >log 2>&1 && "$kedge" -b ./one.so store info one: >log 2>&1
ok "it is usable by its path"
KEDGE_BACKEND_PATH=$tmp "$kedge" backends one >log 2>&1
ok "and by its name, where \$KEDGE_BACKEND_PATH says"
found() {
	"$kedge" backends one >log 2>&1 && grep -q "one\.so" log && "$kedge" store info one: >log 2>&1 &&
		! ./order one: >log 2>&1 && [ "$(cat log)" = "'one' is an example and keeps nothing" ]
}
if [ ! -f "$shared" ]; then
	skip "and in the directory of modules" "this build has no shared library"
elif [ -n "$DESTDIR" ]; then
	skip "and in the directory of modules" "with DESTDIR it is not where it will be"
elif ! mkdir -p "$modules" 2>/dev/null || [ -e "$modules/one.so" ] || ! cp one.so "$modules/one.so" 2>/dev/null; then
	skip "and in the directory of modules" "cannot be written here: $modules"
else
	plugged=$modules/one.so
	rm one.so
	found
	ok "and in the directory of modules, by the program and by an application"
	rm -f "$plugged"
	! "$kedge" backends one >log 2>&1
	ok "and gone with its file"
fi

# ------------------------------------------------------------------ a store of others
# The template for backends with the installed kit, judged by the installed suite.
there() { # VARIABLE of the package, a directory
	dir=$(pkg --variable="$1" kedge-backend)
	printf '%s\n' "$DESTDIR${dir#"$DESTDIR"}"
}
mkdir template
cp "$(there template)"/* template/ 2>>log
$MAKE -s -C template -f Makefile.example CC="$CC" CFLAGS="$KEDGE_CFLAGS" LDFLAGS="$KEDGE_LDFLAGS" \
	KIT="$(there kit)" file.so >>log 2>&1
ok "the template for backends is built"
if "$kedge" conform --list >/dev/null 2>>log; then
	mkdir files
	"$kedge" conform --plugin template/file.so --cert file.json file:files >log 2>&1 && grep -q '^# level C1' log &&
		grep -q '"name":.*"file"' file.json && [ -z "$(ls -A files)" ]
	ok "it is certified, and the cases leave nothing behind"
else
	skip "it is certified" "the installed program has no conform"
fi

# ------------------------------------------------------------------ another language
python=$(command -v python3 || :)
if [ ! -f "$shared" ]; then
	skip "a saga in Python" "this build has no shared library"
elif [ "$instrumented" = yes ]; then
	skip "a saga in Python" "the library is instrumented, Python is not"
elif [ -z "$python" ]; then
	skip "a saga in Python" "there is no python3 here"
else
	urls=mem:
	! built lmdb || urls="$urls lmdb:$tmp/python?map_size=64MiB"
	# shellcheck disable=SC2086 # words on purpose
	PYTHONDONTWRITEBYTECODE=1 "$python" "$KEDGE_SRCDIR/tests/ctypes_smoke.py" "$shared" $urls >log 2>&1
	ok "a saga in Python, over ctypes"
fi

echo "1..$n"
[ "$failed" -eq 0 ]
