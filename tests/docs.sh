#!/bin/sh
# docs/guarantees.md: numbers without gaps, each with tests that exist and have the words; and links
# of all documents lead somewhere.
unset KEDGE_STORE
# shellcheck source=tests/support/tap.sh
. "$KEDGE_SRCDIR/tests/support/tap.sh"
doc=$KEDGE_SRCDIR/docs/guarantees.md

sed -n 's/^- \*\*G\([0-9]*\)\.\*\* .*/\1/p' "$doc" >have
seq 1 "$(wc -l <have)" >want
[ "$(wc -l <have)" -ge 30 ] && diff want have >out
ok "promises are numbered without gaps"

# Lines "NUMBER TESTS".
awk '/^- \*\*G[0-9]+\.\*\*/ { g = $2; gsub(/[^0-9]/, "", g) }
	/^  Tests: / { sub(/^  Tests: /, ""); print g, $0 }' "$doc" >tests
cut -d' ' -f1 tests >have
diff want have >out
ok "each of them names tests"

: >out
while read -r g line; do
	# shellcheck disable=SC2016 # backquotes are what is looked for
	echo "$line" | sed 's/", `/"\n`/g' | while read -r one; do
		# shellcheck disable=SC2016 # likewise
		file=$(echo "$one" | sed -n 's/^`\([^`]*\)` ".*"$/\1/p')
		# shellcheck disable=SC2016 # likewise
		words=$(echo "$one" | sed -n 's/^`[^`]*` "\(.*\)"$/\1/p')
		if [ -z "$file" ] || [ -z "$words" ]; then
			echo "G$g: not a file and words: $one"
		elif [ ! -f "$KEDGE_SRCDIR/$file" ]; then
			echo "G$g: there is no $file"
		elif ! grep -qF -- "$words" "$KEDGE_SRCDIR/$file"; then
			echo "G$g: $file has no '$words'"
		fi
	done
done <tests >out
[ ! -s out ]
ok "the tests are there, and have the words"

: >out
for file in README.md CONTRIBUTING.md docs/architecture.md docs/guarantees.md bench/README.md; do
	[ -f "$KEDGE_SRCDIR/$file" ] || echo "there is no $file"
	grep -o '](\([^)#]*\)' "$KEDGE_SRCDIR/$file" | sed 's/^](//' | grep -v '^https\{0,1\}:' | while read -r link; do
		[ -e "$KEDGE_SRCDIR/${file%"${file##*/}"}$link" ] || echo "$file: $link leads nowhere"
	done
done >out
[ ! -s out ]
ok "links lead somewhere"
echo "1..$n"
