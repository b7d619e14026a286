# covers.awk - promises.tsv, catalogue.tsv and the sentences of the contract, as tables in C
#
#	awk -f covers.awk SENTENCES promises.tsv catalogue.tsv
#
# Row N of promises.tsv is about sentence N.  Where they do not fit (tests/promises.sh says so), the
# row's own words stand for the sentence.

BEGIN { FS = "\t" }
FNR == 1 { file++ }
file == 1 { sentence[FNR] = $0; next }
/^#/ || NF < 2 { next }

function quoted(s) {
	gsub(/\\/, "\\\\", s)
	gsub(/"/, "\\\"", s)
	gsub(/\?\?/, "?\\?", s)
	return "\"" s "\""
}

file == 2 {
	n++
	if ($2 != "note")
		promises = promises sprintf("    { NULL, %s,\n      %s },\n",
			quoted(index(sentence[n], $1) == 1 ? sentence[n] : $1), quoted($2))
	next
}
{
	entries = entries sprintf("    { %s,\n      %s,\n      %s },\n",
		quoted($1), quoted($2), quoted($3))
}

END {
	print "/* Made by covers.awk. */"
	printf "static const struct cover promises[] = {\n%s    { NULL, NULL, NULL },\n};\n", promises
	printf "static const struct cover entries[] = {\n%s    { NULL, NULL, NULL },\n};\n", entries
}
