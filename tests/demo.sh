#!/bin/sh
# kedge demo archive: odd files, a worker killed with -9, an archive that was damaged.
unset KEDGE_STORE
# shellcheck source=tests/support/tap.sh
. "$KEDGE_SRCDIR/tests/support/tap.sh"

if ! built lmdb; then
	echo "1..0 # SKIP LMDB is not built"
	exit 0
fi
archive() {
	timeout 120 "$KEDGE" demo archive "$@" >out 2>err
	status=$?
}

mkdir src src/sub
archive src dest
if grep -q 'was not built' err; then
	echo "1..0 # SKIP $(cat err)"
	exit 0
fi
[ $status -eq 0 ] && grep -qx 'files=0' out && [ ! -s err ]
ok "no files"

: >src/empty
echo one >"src/a file with spaces"
echo two >"src/sub/100%"
echo three >"$(printf 'src/caf\351')"
echo one >src/sub/same
ln -s empty src/link
archive src dest --store "lmdb://$tmp/store"
[ $status -eq 0 ] && grep -qx 'files=5' out && grep -qx 'steps=20' out && grep -qx 'steps_run_again=0' out
ok "odd names, an empty file, the same content twice"
[ "$(find dest/objects -type f | wc -l)" -eq 4 ] && [ -z "$(ls dest/tmp)" ] &&
	grep -q '"path":"caf%E9"' dest/index/*.json && grep -q '"path":"sub/100%25"' dest/index/*.json
ok "objects once, nothing left over, names in the index"
archive --verify src dest
[ $status -eq 0 ] && grep -qx 'verified=5' out && grep -qx 'different=0' out
ok "it verifies"
archive src dest --store "lmdb://$tmp/store" --workers 1
[ $status -eq 0 ] && grep -qx 'files=5' out && grep -qx 'steps=0' out
ok "the same again does nothing"

object=$(grep -l . dest/index/*.json | xargs grep -h '"path":"empty"' | sed 's/.*"sha256":"\(..\)\([0-9a-f]*\)".*/dest\/objects\/\1\/\2/')
cp "$object" saved && echo damage >"$object"
archive --verify src dest
[ $status -eq 1 ] && grep -qx 'different=1' out && grep -qx 'kedge: empty: its object is damaged' err
ok "a damaged object"
cp saved "$object"
echo more >>src/sub/same
archive --verify src dest
[ $status -eq 1 ] && grep -qx 'kedge: sub/same: the source file is not the one in the index' err
ok "a file that has changed"
echo new >src/new
archive --verify src dest
[ $status -eq 1 ] && grep -qx 'different=2' out && grep -qx 'kedge: new: not in the index' err
ok "a file that is new"

archive src
[ $status -eq 2 ]
ok "a word is missing"
archive src src/sub
[ $status -eq 2 ] && grep -qx 'kedge: DEST must not be inside of SRC' err
ok "not into itself"
archive nowhere dest
[ $status -eq 3 ]
ok "no source"
archive src dest --store mem:
[ $status -eq 2 ]
ok "not in memory"

mkdir many
i=0
while [ $i -lt 400 ]; do
	i=$((i + 1))
	echo $i >many/$i
done
timeout 120 "$KEDGE" demo archive many killed >out 2>err &
parent=$!
victim=
while kill -0 $parent 2>/dev/null; do
	for f in killed/log/*.log; do
		[ -s "$f" ] && victim=${f##*/} && victim=${victim%.log} && break
	done
	[ -n "$victim" ] && break
done
[ -n "$victim" ] && kill -9 "$victim" 2>/dev/null
wait $parent
status=$?
[ $status -eq 0 ] && grep -qx 'files=400' out && grep -qx 'failed=0' out
ok "a worker is killed: the other one ends it"
[ -z "$(cut -d ' ' -f 1,2 killed/log/*.log | sort | uniq -c | awk '$1 > 2')" ]
ok "no step ran more than twice"
archive --verify many killed
[ $status -eq 0 ] && grep -qx 'verified=400' out
ok "and nothing is missing"
echo "1..$n"
