#!/bin/sh
# bare.sh - both commands of README.md on Debian 12's base system, git, and nothing else
#
#	sh scripts/bare.sh NEW-DIRECTORY
#
# debootstrap makes such a system below NEW-DIRECTORY, with the apt sources of this machine; the
# commit that is checked out here is cloned into it, and the commands are run there as root.  All that
# is mounted, and all that is started, ends with this script, however it ends.  Exit status 77: this
# machine cannot do that.
set -u

cannot() {
	echo "bare.sh: $*"
	exit 77
}
for tool in debootstrap unshare pivot_root git apt-get; do
	command -v "$tool" >/dev/null 2>&1 || cannot "no $tool here"
done
[ "$(id -u)" -eq 0 ] || cannot "only root may make such a system"
unshare --mount --pid --fork true 2>/dev/null || cannot "this machine allows no namespaces"
src=$(cd "$(dirname "$0")/.." && pwd) || exit 1
git -C "$src" rev-parse -q --verify HEAD >/dev/null || cannot "no git clone: $src"
if [ $# -ne 1 ] || [ -e "$1" ]; then
	echo "usage: bare.sh NEW-DIRECTORY"
	exit 2
fi
mkdir "$1" && top=$(cd "$1" && pwd) || exit 1
tree=$top/tree

# Debian's sources, as the machine has them.
# shellcheck disable=SC2016 # apt's own $(...)
apt-get indextargets --format '$(ORIGIN) $(RELEASE) $(REPO_URI) $(COMPONENT)' 'Identifier: Packages' |
	awk '$1 == "Debian" && $2 ~ /^bookworm/ { print "deb", $3, $2, $4 }' | sort -u >"$top/sources"
mirror=$(awk '$3 == "bookworm" && $4 == "main" { print $2; exit }' "$top/sources")
[ -n "$mirror" ] || cannot "apt-get knows no source of Debian 12 here; apt-get update may help"

# in_own COMMAND...: with mounts and processes that do not outlive it
in_own() {
	unshare --mount --propagation private --pid --fork --kill-child "$@"
}
in_own debootstrap --variant=minbase --include=git,ca-certificates bookworm "$tree" "$mirror" || exit 1
cp "$top/sources" "$tree/etc/apt/sources.list" || exit 1
apt-config dump | grep -iE '^Acquire::(https?|check-|retries|forceipv)' >"$tree/etc/apt/apt.conf.d/90machine"
git clone -q "$src" "$tree/srv/kedge" || exit 1

cat >"$tree/root/run" <<'end'
cd /srv/kedge || exit 1
echo "== $(dpkg-query -W | wc -l) packages"
for script in demo test; do
	echo "== sh scripts/$script.sh"
	sh scripts/$script.sh || exit 1
done
end
# As on a machine, / is where something is mounted, and nothing is outside of it.
# shellcheck disable=SC2016 # expanded inside
in_own sh -c 'mount --bind "$1" "$1" && cd "$1" && mount -t proc proc proc && mount --rbind /dev dev &&
	pivot_root . mnt && cd / && umount -l /mnt &&
	exec env -i HOME=/root TERM=dumb PATH=/usr/sbin:/usr/bin:/sbin:/bin sh /root/run </dev/null' - "$tree"
