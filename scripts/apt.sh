#!/bin/sh
# apt.sh - install Debian packages, as root, without anything being set to run
#
#	sh scripts/apt.sh PACKAGE...
#
# A package of a server starts it, now and at each boot, and PostgreSQL's makes a database too.  The
# tests start servers of their own, so all that is suppressed here for what is installed now.  What
# that takes is put back however this ends.
set -eu

policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.conf
saved=
ours=

put_back() {
	[ -z "$ours" ] || rm -f "$policy"
	[ -z "$saved" ] || { cp -p "$saved" "$clusters" && rm -f "$saved"; }
}
trap put_back EXIT
trap 'exit 1' HUP INT TERM

installed() {
	case " $(dpkg-query -W -f='${db:Status-Status} ' "$1" 2>/dev/null)" in
	*' installed '*) return 0 ;;
	esac
	return 1
}
get() {
	apt-get -qq install -y --no-install-recommends "$@"
}

export DEBIAN_FRONTEND=noninteractive
if [ ! -e "$policy" ]; then
	ours=yes
	printf '#!/bin/sh\nexit 101\n' >"$policy" # the answer of invoke-rc.d: not allowed
	chmod 755 "$policy"
fi
fresh=
for package; do
	case $package in
	redis-server | pgbouncer) installed "$package" || fresh="$fresh $package" ;;
	postgresql | postgresql-[1-9]*)
		# Its own package asks this file, which comes with another.
		[ -f "$clusters" ] || get postgresql-common
		if [ -z "$saved" ]; then
			saved=$(mktemp)
			cp -p "$clusters" "$saved"
			echo 'create_main_cluster = false' >>"$clusters"
		fi
		;;
	esac
done
get "$@"
for service in $fresh; do
	update-rc.d "$service" disable
done
