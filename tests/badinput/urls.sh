# shellcheck shell=sh
# urls.sh - sourced by scripts that try wrong URLs and options of a server's backend
#
#	. "$KEDGE_SRCDIR/tests/badinput/urls.sh"
#	of_backend redis
#	wrong 2 'redis://h:x' port          # exit status, URL, words of the sentence
#	opts='a=1 b=2' wrong 2 ...          # with --backend-opt, for this one
#	with_server && ...                  # from here on $server_url is one of the script's own
#	plan
#
# Each is told in one sentence, with that exit status, on standard error alone, as JSON too; the
# password, which is sesame in all of them, is nowhere.

# shellcheck source=tests/support/servers.sh
. "$KEDGE_SRCDIR/tests/support/servers.sh"
unset KEDGE_STORE PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGPASSFILE PGOPTIONS
n=0

of_backend() {
	kind=$1
	case " $KEDGE_BUILT " in
	*" $1 "*) ;;
	*)
		echo "1..0 # SKIP configure did not build $1"
		exit 0
		;;
	esac
	if [ "${KEDGE_TEST_BACKEND:-$1}" != "$1" ]; then
		echo "1..0 # SKIP KEDGE_TEST_BACKEND is $KEDGE_TEST_BACKEND"
		exit 0
	fi
	tmp=$(mktemp -d) || exit 99
	trap 'servers_end; rm -rf "$tmp"' EXIT
	trap 'exit 99' HUP INT TERM
	cd "$tmp" || exit 99
}

ok() {
	rc=$?
	n=$((n + 1))
	if [ "$rc" -eq 0 ]; then
		echo "ok $n - $1"
		[ ! -s err ] || sed 's/^/# says: /' err
	else
		echo "not ok $n - $1"
		echo "# exit status $status"
		sed 's/^/# out: /' out
		sed 's/^/# err: /' err
	fi
}

kedge() {
	"$KEDGE" "$@" >out 2>err </dev/null
	status=$?
}

# refused STATUSES WORD...: one sentence with all the words, no password, nothing else
refused() {
	case " $1 " in
	*" $status "*) ;;
	*) return 1 ;;
	esac
	[ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] && ! grep -qi 'ses.*ame' err || return 1
	grep -q '^kedge: .*[^.]$' err || grep -q '^{"error":' err || return 1
	shift
	for word; do
		grep -qiF -e "$word" err || return 1
	done
}

# as_given COMMAND... - with the options of the test
as_given() {
	for opt in ${opts-}; do
		set -- "$@" --backend-opt "$opt"
	done
	kedge "$@"
}

# wrong STATUSES URL WORD...: refused by whatever opens it
wrong() {
	statuses=$1 wrong_url=$2
	shift 2
	what=$(printf '%.70s%s' "$wrong_url" "${opts:+ $opts}")
	as_given store info "$wrong_url"
	refused "$statuses" "$@"
	ok "$what"
	as_given store init "$wrong_url" --json
	refused "$statuses" "$@"
	ok "$what: store init, in JSON"
}

# with_server [OPTION...]: false, aloud: there is none to be had
with_server() {
	if ! why=$(server have "$kind"); then
		n=$((n + 1))
		echo "ok $n - with a server # SKIP $why"
		return 1
	fi
	servers_begin
	server "$kind" s "$@" || exit 99
	server_url=$(server url s)
	export server_url
}

plan() {
	echo "1..$n"
}
