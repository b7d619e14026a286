#!/bin/sh
# Random programs (conform/walk.c) over every backend that is built and installed: the same answers
# and the same state at the end, or what would be the same if it were not for clocks and fences.
# KEDGE_TEST_SEED: the seed; else one that is new each time.
# shellcheck source=tests/support/tap.sh
. "$KEDGE_SRCDIR/tests/support/tap.sh"
unset KEDGE_CONTRACT_ARGS
seed=${KEDGE_TEST_SEED-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
echo "# KEDGE_TEST_SEED=$seed"

# The lines "CASE: digest of the WHAT: NUMBER" of a report.
digests() {
	sed -n 's/^# \(walk-[0-9]*: digest of the .*\)/\1/p' "$1"
}

# walked BACKEND: its report is in the file BACKEND.tap
walked() {
	report=$1.tap
	"${SHELL:-/bin/sh}" "$KEDGE_SRCDIR/tests/contract/run.sh" "$1" --seed "$seed" --filter walk \
		>"$report" 2>err
	status=$?
	cp "$report" out
}

# agree A B: each passed, and they say the same
agree() {
	digests "$1" >a
	digests "$2" >b
	[ "$(grep -c . a)" = 6 ] && diff a b >out
}

kedge conform --seed "$seed" --filter walk 'mem:{}'
cp out mem.tap
digests mem.tap >want
[ $status -eq 0 ] && [ "$(grep -c . want)" = 6 ]
ok 'the walks over mem tell what they came to'
for backend in lmdb redis postgresql shared; do
	walked "$backend"
	if why=$(sed -n 's/^1\.\.0 # SKIP *//p' "$backend.tap") && [ -n "$why" ]; then
		skip "$backend and mem come to the same" "$why"
		continue
	fi
	[ $status -eq 0 ] && agree mem.tap "$backend.tap"
	ok "$backend and mem come to the same"
done

# Defects that the walks themselves pass over.
case " ${KEDGE_MUTANT_MODULES-} " in
*" mutant "*)
	for defect in m168:state m130:answers; do
		kedge conform --seed "$seed" --filter walk "mutant,${defect%:*}+mem:{}"
		cp out mutant.tap
		[ $status -eq 0 ] && ! agree mem.tap mutant.tap && grep -q "digest of the ${defect#*:}" out
		ok "one that tells otherwise does not: its ${defect#*:}"
	done
	;;
*) skip 'one that tells otherwise does not' 'this build has no modules, of which a mutant is one' ;;
esac

# The certificate has them, too.
kedge conform --seed "$seed" --filter walk-02 --cert cert.json 'mem:{}'
digests mem.tap | sed -n 's/^walk-02: digest of the \(.*\): \(.*\)/"\1": "\2"/p' >want
tr -d '\t' <cert.json | sed 's/":"/": "/' >flat
[ $status -eq 0 ] && [ "$(grep -c . want)" = 2 ] && while read -r line; do grep -qF "$line" flat || exit 1; done <want
ok 'a certificate tells them'
echo "1..$n"
