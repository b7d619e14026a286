#!/bin/sh
# docs/guarantees.md keeps its form, and every test it names is there; every relative link leads somewhere.
echo "1..6"
n=0
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
# none WHAT: nothing was found
none() {
	n=$((n + 1))
	if [ -s "$tmp/found" ]; then
		echo "not ok $n - $1"
		sed 's/^/# /' "$tmp/found"
	else
		echo "ok $n - $1"
	fi
}
doc=$KEDGE_SRCDIR/docs/guarantees.md
[ -r "$doc" ] || {
	echo "Bail out! cannot read $doc"
	exit 99
}

# ------------------------------------------------------------------ promises
# Numbers from 1 on, each once; in any order, as a new promise gets the next one wherever it stands.
sed -n 's/^\*\*G\([0-9]*\)\.\*\* ..*/\1/p' "$doc" | sort -n >"$tmp/numbers"
awk '$1 != NR { print "there is G" $1 " where G" NR " should be"; exit }
	END { if (NR < 50) print "only " NR " promises were found" }' "$tmp/numbers" >"$tmp/found"
none "promises are numbered without gaps"
grep '\*\*G' "$doc" | grep -v '^\*\*G[0-9][0-9]*\.\*\* ' >"$tmp/found"
none "a promise begins its line"

# Below each promise: - `FILE`: `TEXT`, `TEXT`
awk '/^\*\*G[0-9]/ { end(); name = $1; shown = 0 }
	/^## / { end(); name = "" }
	/^- `(tests|conform)\// { shown++ }
	function end() { if (name != "" && !shown) print name " names no test" }
	END { end() }' "$doc" >"$tmp/found"
none "each names a test"

# NUMBER TAB FILE TAB TEXT; what looks like such a line and is none has no text.
awk -F '`' '/^\*\*G[0-9]/ { name = substr($0, 3, index($0, ".") - 3) }
	/^## / { name = "" }
	name != "" && /^- / {
		if ($0 !~ /^- `[^`]+`: `[^`]+`(, `[^`]+`)*$/)
			print name "\t" $0 "\t"
		else
			for (i = 4; i < NF; i += 2)
				print name "\t" $2 "\t" $i
	}' "$doc" >"$tmp/tests"
tab=$(printf '\t')
while IFS=$tab read -r name file text; do
	case $file in
	tests/*.c) grep -qF "${file#tests/}" "$KEDGE_SRCDIR/tests/local.mk" || echo "$name $file is not built" ;;
	conform/*.c) grep -qF "${file#conform/}" "$KEDGE_SRCDIR/conform/local.mk" || echo "$name $file is not built" ;;
	esac
	[ -n "$text" ] && [ -f "$KEDGE_SRCDIR/$file" ] || echo "$name $file"
done <"$tmp/tests" >"$tmp/found"
none "the files are there"
while IFS=$tab read -r name file text; do
	[ -f "$KEDGE_SRCDIR/$file" ] || continue
	case $file in
	tests/unit/*) line="START_TEST($text)" ;;
	conform/*.c) line="{ \"$text\", " ;;
	*) line=$text ;;
	esac
	grep -qF -e "$line" "$KEDGE_SRCDIR/$file" || echo "$name $file: $text"
done <"$tmp/tests" >"$tmp/found"
none "and what is quoted is in them"

# --------------------------------------------------------------------- links
printf '%s\n' README.md CONTRIBUTING.md >"$tmp/pages"
(cd "$KEDGE_SRCDIR" && ls docs/*.md) >>"$tmp/pages"
while read -r page; do
	[ -r "$KEDGE_SRCDIR/$page" ] || echo "$page cannot be read"
	# One a line, without what comes after '#'; those with a scheme lead elsewhere.
	grep -o '](\([^)]*\))' "$KEDGE_SRCDIR/$page" | sed 's/^](//;s/)$//;s/#.*//' | while read -r link; do
		case $link in
		'' | *://* | mailto:*) continue ;;
		esac
		[ -e "$KEDGE_SRCDIR/$(dirname "$page")/$link" ] || echo "$page: $link"
	done
done <"$tmp/pages" >"$tmp/found"
none "every relative link leads somewhere"
