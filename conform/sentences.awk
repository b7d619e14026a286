# sentences.awk - the comments of a C header, a sentence a line
#
# Comments come in the order of the header, without their decoration and with single blanks.  One
# that follows code on its line has the code's last name before it: "expires: 0: never".  A
# sentence ends with a full stop that follows neither a blank nor another one, where a blank or the
# end of the comment comes after it.  Comments that begin with "--" are headings, and no sentences.

function last_name(code) {
	sub(/\\$/, "", code)
	if (code ~ /#[ \t]*define/) {
		sub(/.*#[ \t]*define[ \t]+/, "", code)
		sub(/[^A-Za-z0-9_].*/, "", code)
		return code
	}
	sub(/[^A-Za-z0-9_]+$/, "", code)
	sub(/ = [0-9]+$/, "", code)
	sub(/\)\(.*/, "", code)
	sub(/.*[^A-Za-z0-9_]/, "", code)
	return code
}

function say(t) {
	gsub(/[ \t]+/, " ", t)
	sub(/^ /, "", t)
	sub(/ $/, "", t)
	if (t == "" || substr(t, 1, 2) == "--")
		return
	if (name != "")
		t = name ": " t
	while (match(t, /[^. ]\. /)) {
		print substr(t, 1, RSTART + 1)
		t = substr(t, RSTART + 3)
	}
	print t
}

{
	line = $0
	for (;;) {
		if (!inside) {
			at = index(line, "/*")
			if (at == 0)
				next
			before = substr(line, 1, at - 1)
			name = before ~ /[A-Za-z0-9_]/ ? last_name(before) : ""
			line = substr(line, at + 2)
			text = ""
			inside = 1
			first = 1
		}
		if (!first)
			sub(/^[ \t]*\*([ \t]|$)/, " ", line)
		first = 0
		at = index(line, "*/")
		if (at == 0) {
			sub(/\\$/, "", line)
			text = text " " line
			next
		}
		say(text " " substr(line, 1, at - 1))
		line = substr(line, at + 2)
		inside = 0
	}
}
