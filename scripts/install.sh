# shellcheck shell=sh
# install.sh - for scripts to source, in the source tree: install what is missing, build in build/
packages='gcc g++ libc6-dev make autoconf automake libtool pkg-config liblmdb-dev libxxhash-dev libsmartcols-dev libssl-dev libzstd-dev check libcjson-dev libhiredis-dev libpq-dev'
# What tests start, each for itself; without these they are skipped.
# shellcheck disable=SC2034 # for those who source this
servers='redis-server redis-tools postgresql pgbouncer'
top=$(pwd)
jobs=$(nproc 2>/dev/null || echo 2)

# install_missing [PACKAGE...]: these too
install_missing() {
	# Elsewhere than on Debian the reader knows better than we do what to install.
	command -v dpkg-query >/dev/null 2>&1 || return 0
	missing=
	for p in $packages "$@"; do
		state=$(dpkg-query -W -f='${db:Status-Status} ' "$p" 2>/dev/null) || state=
		case " $state" in
		*' installed '*) ;;
		*) missing="$missing $p" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	echo "${0##*/}: installing$missing"
	sudo=
	[ "$(id -u)" -eq 0 ] || sudo=sudo
	# shellcheck disable=SC2086 # words on purpose
	$sudo apt-get -qq update && $sudo sh scripts/apt.sh $missing
}

build() {
	if [ ! -f configure ] || [ ! -f Makefile.in ] || [ ! -f config.h.in ]; then
		autoreconf -fi || return 1
	fi
	mkdir -p build || return 1
	rm -f build/test-suite.log
	# Configured for something else, or moved since?  Then again.
	want="$top: --enable-werror $* CC=${CC-}"
	if [ ! -f build/config.status ] || [ "$(cat build/configured-for 2>/dev/null)" != "$want" ]; then
		(cd build && ../configure --enable-werror "$@") || return 1
		printf '%s\n' "$want" >build/configured-for
	fi
	make -C build -j "$jobs"
}
