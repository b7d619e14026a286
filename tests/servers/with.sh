# shellcheck shell=sh
# with.sh - sourced by the scripts of this folder: a backend, servers of its own, several programs
#
#	. "$KEDGE_SRCDIR/tests/servers/with.sh"
#	with_backend redis              # or all is skipped
#	server redis r
#	survive NAME URL BREAK HEAL [OPTION]...
#	plan
#
# dir is the script's own.  Commands for BREAK and HEAL call $server.

# shellcheck source=tests/support/servers.sh
. "$KEDGE_SRCDIR/tests/support/servers.sh"

with_backend() {
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
	if ! why=$(server have "$1"); then
		echo "1..0 # SKIP $why"
		exit 0
	fi
	dir=$(mktemp -d) || exit 99
	trap 'servers_end; rm -rf "$dir"' EXIT
	trap 'exit 99' HUP INT TERM
	servers_begin
	: >"$dir/tap"
	server="${SHELL:-/bin/sh} $KEDGE_SRCDIR/tests/support/server.sh"
	export server
}

# tally COMMAND...: what it prints, which has no plan of its own, or one that does not count
tally() {
	"$@" >"$dir/out" 2>&1
	tally_rc=$?
	sed -e '/^1\.\.[0-9]/d' -e 's/^\(not \)\{0,1\}ok [0-9][0-9]* - /\1ok - /' "$dir/out" | tee -a "$dir/tap"
	case $tally_rc in
	0 | 1) ;;
	*)
		! grep -q '^Bail out' "$dir/out" || exit 99
		echo "not ok - $1 ends with status $tally_rc" | tee -a "$dir/tap"
		;;
	esac
}

skip() { # WHAT WHY
	echo "ok - $1 # SKIP $2" | tee -a "$dir/tap"
}

# wanted NAME: all are, but for those that KEDGE_TEST_TROUBLE, if it is set, does not name
wanted() {
	[ -n "${KEDGE_TEST_TROUBLE-}" ] || return 0
	case " $KEDGE_TEST_TROUBLE " in
	*" $1 "*) return 0 ;;
	esac
	return 1
}

survive() { # NAME URL BREAK HEAL [OPTION]...
	survive_name=$1 survive_url=$2
	shift 2
	mkdir "$dir/$survive_name" || exit 99
	tally "$KEDGE_BUILDDIR/survive" "$survive_name" "$survive_url" "$dir/$survive_name" "$@"
}

plan() {
	echo "1..$(grep -c -e '^ok' -e '^not ok' "$dir/tap")"
}

# faults SERVER [tcp]: the cases about connections, several at a time as they wait mostly
faults() {
	faults_server=$(server address "$@")
	faults_way=$(server way "$@")
	set -- --filter net --jobs 8
	[ -z "${KEDGE_TEST_LONG-}" ] || set -- "$@" --tier full --timeout 1h
	# shellcheck disable=SC2086 # words on purpose
	tally "$KEDGE" conform --server "$faults_server" ${KEDGE_FAULTS_ARGS-"$@"} "$faults_way"
}
