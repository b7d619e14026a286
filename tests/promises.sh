#!/bin/sh
# What the conformance suite is for: every sentence of the contract has a row in conform/promises.tsv,
# every case that a table names is there, and `kedge conform' can tell both ways.
. "$KEDGE_SRCDIR/tests/support/tap.sh"
conform=$KEDGE_SRCDIR/conform

# rows FILE: without comments
rows() {
	grep -v '^#' "$1"
}
# compare SENTENCES PROMISES: prints what does not fit
compare() {
	rows "$2" | awk -F '\t' -v table="$2" '
		NR == FNR { sentence[++n] = $0; next }
		wrong { next }
		{ row++ }
		NF != 2 || $2 == "" { print "row " row " of " table " has not two columns: " $0; wrong = 1; next }
		row > n { print "there is no sentence for: " $1; wrong = 1; next }
		index(sentence[row], $1) != 1 {
			print "sentence " row " is: " sentence[row]
			print "the table has: " $1
			wrong = 1
		}
		END { if (!wrong && row < n) print "there is no row for: " sentence[row + 1] }' "$1" -
}
# unknown FILE COLUMN: words of that column that mean no case
unknown() {
	rows "$1" | cut -f "$2" | grep -v -e '^-' -e '^note$' | tr ' ' '\n' | sort -u |
		while read -r word; do
			case $word in
			*-*) grep -qx -- "$word" ids ;;
			*) grep -q -- "^$word-" ids ;;
			esac || echo "$word"
		done
}

echo "1..11"
awk -f "$conform/sentences.awk" "$KEDGE_SRCDIR/include/kedge/backend.h" >sentences
"$KEDGE" conform --list | cut -f 1 >ids

compare sentences "$conform/promises.tsv" >out
test ! -s out && test "$(wc -l <sentences)" -gt 300
ok 'every sentence of backend.h has its row, in order'

sed 's,^ \* Run: one execution of a reactor,& and it must be blue. It is a reactor,' \
	"$KEDGE_SRCDIR/include/kedge/backend.h" >changed.h
awk -f "$conform/sentences.awk" changed.h >changed
compare changed "$conform/promises.tsv" >out
grep -q '^sentence' out
ok 'a sentence more is noticed'

sed '$d' sentences >changed
compare changed "$conform/promises.tsv" >out
test -s out
ok 'and one less'

unknown "$conform/promises.tsv" 2 >out
test ! -s out && test -s ids
ok 'every case that keeps a promise is there'

unknown "$conform/catalogue.tsv" 3 >out
test ! -s out
ok 'every case of the catalogue is there'

rows "$conform/catalogue.tsv" | awk -F '\t' '
	NF != 3 || $1 !~ /^[A-Z]+-[0-9][0-9]$/ || $2 == "" || $3 ~ /^(- *)?$/ || seen[$1]++' >out
test ! -s out && test "$(rows "$conform/catalogue.tsv" | wc -l)" -eq 290
ok 'its 290 ids are different, and each has a case or a reason'

rows "$conform/promises.tsv" | grep -e '	-' | grep -v -e '	- [^ ]' >out
test ! -s out
ok 'who names no case gives a reason'

# Files that reasons name.
cat "$conform/promises.tsv" "$conform/catalogue.tsv" | grep -v '^#' |
	grep -oE '(tests|conform)/[a-z_/-]+\.[a-z]+' | sort -u | while read -r file; do
	test -e "$KEDGE_SRCDIR/$file" || echo "$file"
done >out
test ! -s out
ok 'the files of reasons are there'

kedge conform --explain LCK-11
test "$status" -eq 0 && grep -q '^case   leases-05 ' out
ok '--explain knows the ids of the catalogue'

kedge conform --explain leases-05
test "$status" -eq 0 && grep -q '^entry  LCK-11 ' out && grep -q '^keeps  deadline = now + ttl' out
ok '--explain CASE tells what it is for'

kedge conform --list --filter LCK-11
cut -f 1 out | sort | tr '\n' ' ' >sorted
listed=$(cat sorted)
kedge conform --list --filter SEM-01
test "$listed" = 'leases-05 locks-04 ' && test "$status" -eq 2 &&
	err_is "kedge: SEM-01 is asked by no case: there are no semaphores in the contract"
ok '--filter takes them, and says why there is no case'
