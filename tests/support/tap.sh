# shellcheck shell=sh
# tap.sh - for scripts that test the kedge program to source: a directory, TAP, the program
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
n=0
status=0
: >out
: >err

# ok WHAT: the last test command decides
ok() {
	rc=$?
	n=$((n + 1))
	if [ "$rc" -eq 0 ]; then
		echo "ok $n - $1"
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
kedge() {
	"$KEDGE" "$@" >out 2>err
	status=$?
}
built() {
	case " $KEDGE_BUILT " in
	*" $1 "*) return 0 ;;
	esac
	return 1
}
# Exactly these lines.
out_is() {
	printf '%s\n' "$@" | cmp -s - out
}
err_is() {
	printf '%s\n' "$@" | cmp -s - err
}
# json PATH VALUE: that member of what was printed is this
json() {
	[ "$("$KEDGE_BUILDDIR/json_get" "$1" <out)" = "$2" ]
}
# The same of the error.
json_err() {
	[ "$("$KEDGE_BUILDDIR/json_get" "$1" <err)" = "$2" ]
}
# no_lmdb WHAT...: one skip for each
no_lmdb() {
	for t; do
		skip "$t" "this build has no lmdb"
	done
}
# await WHAT...: run it again and again until it succeeds, at most for a minute; a machine that is
# that slow fails.
await() {
	await_end=$(($(date +%s) + 60))
	until "$@"; do
		if [ "$(date +%s)" -ge "$await_end" ]; then
			return 1
		fi
	done
}
