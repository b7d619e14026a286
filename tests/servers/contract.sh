# shellcheck shell=sh
# contract.sh - sourced by scripts that run the contract over a server that is set up in their way
#
#	contract_begin postgresql       its server is called store; the clock is moved, as in run.sh
#	contract URL [OPTION...]
#	pooled URL                      the same behind a pooler
#	plan
#
# The long tests (KEDGE_TEST_LONG) take all cases, the others those of $areas.

# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
# shellcheck source=tests/support/backend.sh
. "$KEDGE_SRCDIR/tests/support/backend.sh"

areas='commit batch claim leases resend'
# Behind a pooler nobody can see who else has a store open, nor whether a process is there.
pooled_areas="$areas matrix fences locks cells runs slots lists purge data wait threads memory"

contract_begin() {
	# shellcheck disable=SC2034 # for use_backend
	backend_clock=moved
	use_backend "$1"
	: >"$dir/tap"
	# shellcheck source=tests/servers/info.sh
	. "$KEDGE_SRCDIR/tests/servers/info.sh"
}

# cases: as an option, unless the caller gives its own
cases() {
	[ -z "${KEDGE_TEST_LONG-}" ] || return 0
	printf ' --filter %s' "$(printf '%s' "$areas" | tr ' ' ,)"
}

# pooled URL: of the long tests those that need no session of their own
pooled() {
	[ -z "${KEDGE_TEST_LONG-}" ] || areas=$pooled_areas
	# shellcheck disable=SC2046 # words on purpose
	contract "$1" $(KEDGE_TEST_LONG='' cases)
}

contract() {
	contract_url=$1
	shift
	# shellcheck disable=SC2046 # words on purpose
	[ $# -gt 0 ] || set -- $(cases)
	tally "$KEDGE" conform --tier concurrent "$@" "$contract_url"
}
