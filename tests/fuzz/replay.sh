#!/bin/sh
# Every input of the committed corpus once through its fuzz target.
all='url record fold snapshot definition json cmdline codec'
# shellcheck disable=SC2086 # words on purpose
set -- $all
echo "1..$#"
n=0
for target; do
	n=$((n + 1))
	case " $KEDGE_FUZZ_TARGETS " in
	*" $target "*) ;;
	*)
		echo "ok $n - $target # SKIP configure did not build what it reads"
		continue
		;;
	esac
	program=$KEDGE_BUILDDIR/fuzz_$target
	corpus=$KEDGE_SRCDIR/tests/fuzz/corpus/$target
	if inputs=$("$program" "$corpus") && [ "${inputs:-0}" -gt 0 ]; then
		echo "ok $n - $target: $inputs inputs"
		continue
	fi
	echo "not ok $n - $target"
	for input in "$corpus"/*; do
		"$program" "$input" >/dev/null 2>&1 || echo "# by $input"
	done
done
