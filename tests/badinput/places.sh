#!/bin/sh
# Places that are no store, or not for everybody, as the user of the program meets them: each is told
# in one sentence that names the place and the way out, and what is there stays as it is.
. "$KEDGE_SRCDIR/tests/support/backend.sh"
use_backend lmdb
tmp=$(mktemp -d) || exit 99
trap 'rm -rf "$dir" "$tmp"' EXIT
chmod 755 "$tmp"
cd "$tmp" || exit 99
unset KEDGE_STORE
place=$KEDGE_BUILDDIR/place
n=0

ok() {
	rc=$?
	n=$((n + 1))
	if [ "$rc" -eq 0 ]; then
		echo "ok $n - $1"
		[ ! -s err ] || sed 's/^/# says: /' err
	else
		echo "not ok $n - $1"
		echo "# exit status $status"
		sed 's/^/# out: /' out
		sed 's/^/# err: /' err
	fi
}
skip() { # WHAT WHY
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}
run() {
	"$@" >out 2>err
	status=$?
}
# refused STATUS WORDS...: one sentence with all of them, nothing on standard output
refused() {
	[ $status -eq "$1" ] && [ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] &&
		grep -q '^\(kedge\|place\): .*\([^.]\| \.\)$' err || return 1
	shift
	for word; do
		grep -qF -- "$word" err || return 1
	done
}

# ------------------------------------------------------------------------ URLs
wrong() { # URL WORDS...
	run "$KEDGE" store info "$1"
	what=$(printf 'a wrong URL: %.60s' "$1")
	shift
	refused 2 "$@"
	ok "$what"
}
wrong '' "''" 'lmdb:///path'
wrong db "'db' is not a store" 'lmdb:///path'
wrong 'lmdb' "'lmdb' is not a store"
wrong 'LMDB:///x' "'LMDB:///x' is not a store"
wrong 'lmdb:' 'lmdb URL needs a path' 'lmdb:///absolute/path'
wrong 'lmdb://host/x' "'lmdb://host/x'" 'names a host' 'three slashes'
wrong 'lmdb://user:sesame@host/x' "'lmdb://***@host/x'" 'names a host'
wrong 'lmdb:///x?map_siez=1GiB' "'map_siez'" 'known: map_size, gather'
wrong 'lmdb:///x?map_size=much' 'map_size=much is not a size' 'KiB'
wrong 'lmdb:///x?map_size=1' 'from 1MiB to 64TiB'
wrong 'lmdb:///x?map_size=99999999999999999999' 'map_size=99999999999999999999'
wrong 'lmdb:///x?gather=all' 'gather in an lmdb URL is a number from 0 to 65535'
wrong 'lmdb:///x?gather=65536' 'from 0 to 65535'
wrong 'lmdb:///x?gather=' 'from 0 to 65535'
wrong 'lmdb:///x%00y' '%00'
wrong 'lmdb:///x%zz' "'%'" '%25'
wrong 'lmdb:///x#y' "'lmdb:///x#y'" '%23'
wrong "lmdb:///$(printf '%05000d' 1)" 'longer than 4095 bytes'
wrong "lmdb://$tmp/$(printf '%0300d' 1)" "$tmp/000" 'File name too long' 'choose another path'
wrong "$(printf '%064d' 1 | tr 0 a):x" 'too long to be the name of a backend'
for scheme in redis:redis rediss:redis redis+unix:redis postgresql:postgresql postgres:postgresql nowhere:nowhere; do
	name=${scheme#*:} scheme=${scheme%:*}
	if backend_built "$name"; then
		skip "the scheme of a backend that is not here: $scheme" "this build has it: urls-$name.sh"
		continue
	fi
	run "$KEDGE" store info "$scheme://user:sesame@host/db"
	refused 3 "there is no backend '$name'" "$name.so" mem && ! grep -q sesame err
	ok "the scheme of a backend that is not here: $scheme"
done

# --------------------------------------------------------------- no store there
missing() { # WHAT PATH
	run "$KEDGE" store info "lmdb://$tmp/$2"
	refused 3 "$tmp/$2" 'kedge store init'
	ok "$1"
	run "$KEDGE" list -s "lmdb://$tmp/$2"
	refused 3 "$tmp/$2" 'kedge store init'
	ok "$1: list"
}
missing 'a directory that is missing' nowhere
[ ! -e nowhere ]
ok 'and is not made by asking'
mkdir empty
missing 'an empty directory' empty
[ -z "$(ls -A empty)" ]
ok 'and nothing is put there by asking'
mkdir -p other/default
echo 'of another program' >other/default/notes
missing 'a directory with other files' other
[ "$(ls -A other/default)" = notes ]
ok 'and they stay alone'
nothing() { # WHAT URL STATUS WORDS...: to be opened or set up
	what=$1
	where=$2
	want=$3
	shift 3
	run "$KEDGE" store info "$where"
	refused "$want" "$@"
	ok "$what"
	run "$KEDGE" store init "$where"
	refused "$want" "$@"
	ok "$what: nor can one be set up there"
}
echo text >file
nothing 'a file' "lmdb://$tmp/file" 2 "$tmp/file" 'Not a directory' 'choose another path'
nothing 'below a file' "lmdb://$tmp/file/below" 2 "$tmp/file" 'Not a directory' 'choose another path'
[ "$(cat file)" = text ]
ok 'the file is as it was'
ln -s loop loop
nothing 'a link to itself' "lmdb://$tmp/loop" 2 "$tmp/loop" 'symbolic links' 'choose another path'
mkdir -p junk/default
printf 'SQLite format 3%09000d' 1 >junk/default/data.mdb
cp junk/default/data.mdb junk.was
nothing "another program's file" "lmdb://$tmp/junk" 1 "$tmp/junk/default/data.mdb" \
	'choose another path' 'restore it from a copy'
cmp -s junk.was junk/default/data.mdb
ok 'it is as it was'
run "$KEDGE" store init "lmdb://$tmp/a/b/c/d"
[ $status -eq 0 ] && run "$KEDGE" store info "lmdb://$tmp/a/b/c/d" && [ $status -eq 0 ]
ok 'set up below directories that are missing'

# --------------------------------------------------------------- another release
runs="lmdb://$tmp/runs?map_size=64MiB"
data=$tmp/runs/default/data.mdb
run "$KEDGE_BUILDDIR/make_runs" "$runs"
"$KEDGE" list -s "$runs" >runs.was 2>err && [ "$(wc -l <runs.was)" -gt 2 ]
ok 'a store with runs'
# The same runs, without the columns that say how long ago.
same() {
	[ "$(awk '{ print $1, $2 }' <"$1")" = "$(awk '{ print $1, $2 }' <"$2")" ]
}
unchanged() {
	"$KEDGE" list -s "$runs" >out 2>err && same out runs.was
}
cp "$data" data.was
of_release() { # WHAT VERSION WORDS...
	what=$1
	"$place" age "$data" "$2"
	cp "$data" data.aged
	shift 2
	for verb in 'store info' 'store init' 'store migrate' list; do
		# shellcheck disable=SC2086 # two words
		run "$KEDGE" $verb -s "$runs"
		refused 4 "$tmp/runs/default" "$@"
		ok "$what: kedge $verb"
	done
	cmp -s "$data" data.aged
	ok "$what: it is as it was"
}
of_release 'a store of a newer release' 200 'schema 200' 'update kedge'
of_release 'a store of an older release' 0 'schema 0' 'the kedge that wrote it'
cp data.was "$data"
unchanged
ok 'and its runs are there'

# ------------------------------------------------------------------ permissions
if [ "$(id -u)" -ne 0 ]; then
	nobody() { "$@"; }
	why=
elif ! command -v setpriv >/dev/null; then
	why='root, and there is no setpriv to become somebody else by'
else
	nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; }
	nobody "$KEDGE" version >out 2>err && why= || why='nobody may not run the program where it was built'
fi
denied() { # WHAT PATH
	if [ -n "$why" ]; then
		skip "$1" "$why"
		skip "$1: list" "$why"
		return
	fi
	run nobody "$KEDGE" store info "$runs"
	refused 9 "$2" 'permission denied' 'must be readable and writable' 'those who only read too'
	ok "$1"
	run nobody "$KEDGE" list -s "$runs"
	refused 9 "$2" 'permission denied' 'must be readable and writable' 'those who only read too'
	ok "$1: list"
}
closed() { # FILE MODE
	chmod -R a+rwX runs
	chmod "$2" "runs/$1"
}
closed . 0700
[ "$(id -u)" -eq 0 ] || closed . 0
denied "a store below somebody else's directory" "$tmp/runs/default"
closed default 0700
[ "$(id -u)" -eq 0 ] || closed default 0
denied "somebody else's store" "$tmp/runs/default"
chmod -R a=rX runs
denied 'a store that may be read and not written' "$tmp/runs/default"
closed default/data.mdb 0444
denied 'a store whose data may be read and not written' "$tmp/runs/default"
chmod -R u+rwX runs
unchanged
ok 'its runs are there'
mkdir readonly
chmod 0555 readonly
if [ -n "$why" ]; then
	skip 'a new store where nothing may be written' "$why"
else
	run nobody "$KEDGE" store init "lmdb://$tmp/readonly/new"
	refused 9 "$tmp/readonly/new" 'permission denied' 'must be readable and writable' 'those who only read too'
	ok 'a new store where nothing may be written'
fi

# -------------------------------------------------------- network file systems
# None can be had here: the call that asks which kind it is answers for one.
for fs in 0x6969:NFS 0xFF534D42:CIFS 0xFE534D42:SMB2 0x01021997:9P 0x00C36400:Ceph 0x0BD00BD0:Lustre; do
	run "$place" on "${fs%:*}" "lmdb://$tmp/net?map_size=64MiB"
	refused 2 "$tmp/net/default" "is on ${fs#*:}" 'use a local file system'
	ok "a network file system: ${fs#*:}"
done
run "$place" on 0xEF53 "lmdb://$tmp/net?map_size=64MiB"
[ $status -eq 0 ]
ok 'a local one is taken'

# ---------------------------------------------------------------- pid namespaces
if unshare -pf --mount-proc true 2>/dev/null; then
	elsewhere() { unshare -pf --mount-proc -- "$@"; }
elif unshare -Urpf --mount-proc true 2>/dev/null; then
	elsewhere() { unshare -Urpf --mount-proc -- "$@"; }
else
	elsewhere() { return 1; }
fi
here() { "$@"; }
# two_of_them HOLDER COMER: who comes second is refused, and goes in when the first has gone
two_of_them() {
	mkfifo in told
	"$1" "$place" hold "$runs" <in >told 2>holder.err &
	exec 3>in
	read -r line <told
	[ "$line" = open ] && run "$2" "$KEDGE" list -s "$runs" && refused 2 "$tmp/runs/default" 'open in another pid namespace' 'run all its workers in one'
	rc=$?
	exec 3>&-
	wait $! || rc=1
	rm -f in told
	return $rc
}
if elsewhere true; then
	two_of_them here elsewhere
	ok 'a second pid namespace, while a process of the first has it open'
	two_of_them elsewhere here
	ok 'the other way round'
	unchanged && elsewhere "$KEDGE" list -s "$runs" >out 2>err
	ok 'one after the other they may; its runs are there'
else
	for what in 'a second pid namespace, while a process of the first has it open' 'the other way round' \
		'one after the other they may'; do
		skip "$what" 'no pid namespace may be made here'
	done
fi

# ---------------------------------------------------------------------- full disk
mkdir disk
if unshare -m true 2>/dev/null; then
	on_disk() { unshare -m -- "$@"; }
elif unshare -Urm true 2>/dev/null; then
	on_disk() { unshare -Urm -- "$@"; }
else
	on_disk() { return 1; }
fi
# shellcheck disable=SC2016 # for the shell inside
if on_disk sh -c 'mount -t tmpfs -o size=4k tmpfs disk' 2>/dev/null; then
	on_disk sh -c 'mount -t tmpfs -o size=64k tmpfs disk && exec "$KEDGE" store init "lmdb://$PWD/disk/db?map_size=64MiB"' >out 2>err
	status=$?
	refused 1 "$tmp/disk/db/default" 'make room'
	ok 'a new store on a disk that is full'
	on_disk sh -c 'mount -t tmpfs -o size=4m tmpfs disk && cp -R runs disk/db &&
		dd if=/dev/zero of=disk/ballast 2>/dev/null; "$KEDGE" list -s "lmdb://$PWD/disk/db?map_size=64MiB"' >out 2>err
	status=$?
	if [ $status -eq 0 ]; then
		same out runs.was
	else
		refused 1 "$tmp/disk/db/default" 'make room'
	fi
	ok 'a store on a disk that has become full can be read, or says so'
else
	skip 'a new store on a disk that is full' 'no tmpfs may be mounted here'
	skip 'a store on a disk that has become full' 'no tmpfs may be mounted here'
fi
echo "1..$n"
