#!/bin/sh
# What is made from the program's table: manual pages, examples, completions.
unset KEDGE_STORE
# shellcheck source=tests/support/tap.sh
. "$KEDGE_SRCDIR/tests/support/tap.sh"

# The commands, one a line.
commands() {
	"$KEDGE" help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\( [a-z][a-z-]*\)\{0,1\}\)  .*/\1/p'
}

# ------------------------------------------------------------- manual pages
{
	echo kedge.1
	commands | sed 's/ /-/g;s/.*/kedge-&.1/'
} | sort >have
# shellcheck disable=SC2086 # words on purpose
printf '%s\n' $KEDGE_PAGES | sort >want
[ "$(wc -l <have)" -gt 20 ] && diff have want >out
ok "every command has its page, and every page its command"
for page in $KEDGE_PAGES; do
	name=${page#kedge}
	name=${name#-}
	# shellcheck disable=SC2086 # kedge.1 has no name
	kedge help --man ${name%.1}
	[ $status -eq 0 ] || break
	mv out "$page"
done
[ $status -eq 0 ] && [ "$(grep -l '^\.Dd ' kedge*.1 | wc -l)" -eq "$(wc -l <want)" ]
ok "pages are written"
if command -v mandoc >/dev/null 2>&1; then
	mandoc -Tlint -W warning kedge*.1 >out 2>err
	status=$?
	[ $status -eq 0 ] && [ ! -s out ]
	ok "pages are sound"
else
	skip "pages are sound" "there is no mandoc here"
fi
grep -q '^\.It 130$' kedge-list.1 && grep -q '^\.It Va incarnation$' kedge-list.1 && grep -q '^\.It Fl \\-watch Ns Op = Ns Ar SECONDS$' kedge-list.1
ok "a page has options, keys and exit statuses"
kedge help --man lst
[ $status -eq 2 ] && [ ! -s out ]
ok "no page of a command that there is not"

# ----------------------------------------------------------------- examples
# Each of them works, on the store they speak of.
if built lmdb; then
	"$KEDGE_BUILDDIR/make_runs" "lmdb://$tmp/x?map_size=64MiB" examples >out 2>err
	status=$?
	[ $status -eq 0 ]
	ok "a store for the examples"
	commands | while read -r c; do
		# shellcheck disable=SC2086 # two words on purpose
		"$KEDGE" help $c | sed -n '/^Examples:/,$s/^  kedge //p'
	done >lines
	[ "$(wc -l <lines)" -ge 20 ]
	ok "there are examples"
	while read -r line; do
		want=0 limit=
		case $line in
		*--watch*) want=130 limit='timeout -s INT 1' ;;
		esac
		# As a shell reads it: there are quotes in some.
		(
			KEDGE_STORE="lmdb://$tmp/x?map_size=64MiB"
			export KEDGE_STORE
			eval "$limit \"\$KEDGE\" $line" >out 2>err </dev/null
		)
		status=$?
		# 124: timeout(1) says that it was needed.
		[ $status -eq $want ] || [ "$want.$status" = 130.124 ]
		ok "kedge $line"
	done <lines
else
	skip "examples" "this build has no lmdb"
fi

# -------------------------------------------------------------- completions
kedge completion words -- li
[ $status -eq 0 ] && out_is list
ok "the rest of a command"
kedge completion words -- dem
[ $status -eq 0 ] && out_is demo
ok "once, though there are two that begin so"
kedge completion words -- queue ''
[ $status -eq 0 ] && out_is pause resume
ok "the second word of a command"
kedge completion words -- -s lmdb:///x list --st
[ $status -eq 0 ] && out_is --store --state
ok "options, after one that has a value"
kedge completion words -- show --un
[ $status -eq 0 ] && [ ! -s out ]
ok "only options of the command"
kedge completion words -- list --state pa
[ $status -eq 0 ] && out_is paused
ok "a value"
kedge completion words -- list --state=failed,c
[ $status -eq 0 ] && out_is --state=failed,completed --state=failed,cancelled
ok "one more value of a list"
if built lmdb; then
	kedge completion words -- -s "lmdb://$tmp/x" show order-100
	[ $status -eq 0 ] && [ "$(wc -l <out)" -eq 3 ]
	ok "ids of runs"
	kedge completion words -- -s "lmdb://$tmp/nowhere" show order-100
	[ $status -eq 0 ] && [ ! -s out ] && [ ! -s err ]
	ok "no word when the store is not there"
else
	no_lmdb "ids of runs" "no word when the store is not there"
fi
kedge completion tcsh
[ $status -eq 2 ] && err_is "kedge completion: there is no completion for 'tcsh'; see kedge help completion"
ok "no completion for a shell that is not known"

# through SHELL COMMAND...: what completing a line gave is in out
mkdir bin && printf '#!/bin/sh\nexec "%s" "$@"\n' "$KEDGE" >bin/kedge && chmod +x bin/kedge
PATH=$tmp/bin:$PATH
export PATH
if command -v bash >/dev/null 2>&1; then
	cat >line.bash <<'END'
eval "$(kedge completion bash)"
complete_line() {
	COMP_LINE=$1 COMP_POINT=${#1}
	_kedge
	printf '%s\n' "${COMPREPLY[@]}"
}
complete_line 'kedge canc'
complete_line 'kedge list --state=pau'
complete_line 'kedge store '
END
	bash line.bash >out 2>err
	status=$?
	[ $status -eq 0 ] && out_is cancel paused info init migrate
	ok "bash"
else
	skip "bash" "there is no bash here"
fi
if command -v zsh >/dev/null 2>&1; then
	# compadd works inside of a completion only: what it is given is what counts.
	cat >line.zsh <<'END'
compdef() { : }
compadd() { shift; print -l -- "$@" }
eval "$(kedge completion zsh)"
words=(kedge canc) CURRENT=2
_kedge
words=(kedge list --state=pau) CURRENT=3
_kedge
END
	zsh -f line.zsh >out 2>err
	status=$?
	[ $status -eq 0 ] && out_is cancel --state=paused
	ok "zsh"
else
	skip "zsh" "there is no zsh here"
fi
if command -v fish >/dev/null 2>&1; then
	HOME=$tmp fish --no-config -c 'kedge completion fish | source; complete -C "kedge canc"; complete -C "kedge list --state=pau"' >out 2>err
	status=$?
	[ $status -eq 0 ] && out_is cancel --state=paused
	ok "fish"
else
	skip "fish" "there is no fish here"
fi
echo "1..$n"
