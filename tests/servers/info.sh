# shellcheck shell=sh
# info.sh - sourced by scripts that look at what `kedge store info' says of a server
#
#	told URL [OPTION...]            ask
#	says NAME=VALUE...              all of these lines are there
#	says_of NAME PATTERN            that value fits
#	ok WHAT                         the last command decides

unset KEDGE_STORE
cd "${dir:?}" || exit 99
status=0
: >out
: >err

kedge() {
	"$KEDGE" "$@" >out 2>err </dev/null
	status=$?
}
told() {
	kedge store info "$@"
	[ $status -eq 0 ] && [ ! -s err ]
}
says() {
	for line; do
		grep -qxF -e "$line" out || return 1
	done
}
says_of() {
	sed -n "s/^$1=//p" out | grep -q -e "$2"
}
json() { # PATH VALUE
	[ "$("$KEDGE_BUILDDIR/json_get" "$1" <out)" = "$2" ]
}
ok() {
	rc=$?
	if [ "$rc" -eq 0 ]; then
		echo "ok - $1"
	else
		echo "not ok - $1"
		echo "# exit status $status"
		sed 's/^/# out: /' out
		sed 's/^/# err: /' err
	fi | tee -a "$dir/tap"
}
# await WHAT...: run it again and again until it succeeds, at most for a minute
await() {
	await_end=$(($(date +%s) + 60))
	until "$@"; do
		[ "$(date +%s)" -lt "$await_end" ] || return 1
	done
}
