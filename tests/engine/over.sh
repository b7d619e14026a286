# shellcheck shell=sh
# For the scripts of whole sagas: over PROGRAM, over each backend of this build.
over() {
	dir=$(mktemp -d) || exit 99
	trap 'rm -rf "$dir"' EXIT
	set -- "$KEDGE_BUILDDIR/$1"
	for backend in mem lmdb; do
		case " ${KEDGE_TEST_BACKEND:-$KEDGE_BUILT} " in
		*" $backend "*) ;;
		*) continue ;;
		esac
		case $backend in
		mem) set -- "$@" mem: ;;
		lmdb) set -- "$@" "lmdb:$dir/store?map_size=1GiB" ;;
		esac
	done
	if [ $# -eq 1 ]; then
		echo "1..0 # SKIP neither mem nor lmdb is to be tested"
		exit 0
	fi
	"$@"
}
