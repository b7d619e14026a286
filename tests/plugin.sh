#!/bin/sh
# Modules built from the public headers alone: found, shown, used; and refused in
# plain words when they are not what they should be.
unset KEDGE_STORE
# shellcheck source=tests/support/tap.sh
. "$KEDGE_SRCDIR/tests/support/tap.sh"
mkdir dir
KEDGE_BACKEND_PATH=$tmp/dir:$KEDGE_BACKEND_PATH
export KEDGE_BACKEND_PATH

# module FILE SED-SCRIPT: the example with a change
module() {
	sed "$2" "$KEDGE_SRCDIR/examples/plugin/one.c" >one.c
	# shellcheck disable=SC2086 # the compiler may be "gcc -m32"
	$KEDGE_CC $KEDGE_CFLAGS -Wall -Wextra -Wno-unused-parameter -I"$KEDGE_SRCDIR/include" -fPIC -shared \
		-o "$1" one.c >cc.log 2>&1
}

# The sizes that messages tell, by the compiler that builds the modules.
cat >sizes.c <<'END'
#include <stdio.h>
#include <kedge/backend.h>
int main(void)
{
	printf("whole=%zu least=%zu limits=%zu\n", sizeof(struct kedge_backend_ops),
	       offsetof(struct kedge_backend_ops, verify), sizeof(struct kedge_limits));
	return 0;
}
END
# shellcheck disable=SC2086
$KEDGE_CC $KEDGE_CFLAGS -I"$KEDGE_SRCDIR/include" -o sizes sizes.c >cc.log 2>&1 && ./sizes >sizes.sh
whole=0 least=0 limits=0
# shellcheck source=/dev/null
. ./sizes.sh

module dir/one.so ''
ok "the example compiles"
kedge backends one
[ $status -eq 0 ] && grep -q '^name=one$' out && grep -q "^origin=$tmp/dir/one.so\$" out && grep -q '^wait=no$' out
ok "it is found by its name"
kedge backends dir/one.so ./dir/one.so one
[ $status -eq 0 ] && [ "$(grep -c '^origin=dir/one.so$' out)" -eq 3 ]
ok "one file is one backend, whatever it is called"
kedge store info one:
[ $status -eq 0 ] && grep -q '^backend=one$' out && grep -q '^server=one 1$' out
ok "a store's scheme finds it"
kedge -b dir/one.so store info ./x
[ $status -eq 0 ] && grep -q '^url=one:./x$' out
ok "a path finds it"
kedge backends
[ $status -eq 0 ] && grep -q '^name=one$' out && grep -q '^name=mem$' out
ok "the list has it"

module script.so 's/^static const struct kedge_backend_ops/static int script(const struct kedge_host *host, const struct kedge_open *open, struct kedge_script *out,\
	struct kedge_error *err)\
{\
	if (open->flags != KEDGE_OPEN_CREATE \&\& open->flags != KEDGE_OPEN_MIGRATE)\
		return refuse(err);\
	static const char lines[] = { 97, 10, 92, 98, 10, 0 };\
	if (open->options == NULL)\
		out->text = lines;\
	else\
		out->text = open->flags == KEDGE_OPEN_CREATE ? open->options : "";\
	out->from = open->flags == KEDGE_OPEN_CREATE ? 0 : 3;\
	out->to = 3;\
	return KEDGE_OK;\
}\
static const struct kedge_backend_ops/;s/"one"/"script"/;s/\.purge = one_purge,/.purge = one_purge, .schema_script = script,/'
kedge backends ./script.so
[ $status -eq 0 ] && grep -qx 'script=yes' out
ok "one that has statements to print"
kedge store init -b ./script.so ./x --print --backend-opt 'a=b c' --backend-opt d=/e
[ $status -eq 0 ] && [ ! -s err ] && [ "$(cat out)" = 'a=b%20c&d=/e' ]
ok "they are printed as they are; options arrive"
kedge store init -b ./script.so ./x --print --backend-opt a=b --json
[ $status -eq 0 ] && out_is '{"schema_from":0,"schema_to":3,"script":"a=b"}'
ok "and in JSON"
kedge store init -b ./script.so ./x --print --json
[ $status -eq 0 ] && out_is '{"schema_from":0,"schema_to":3,"script":"a\n\\b\n"}'
ok "lines are not escaped more than JSON has it"
kedge store migrate -b ./script.so ./x --print --backend-opt a=b
[ $status -eq 0 ] && [ ! -s err ] && [ ! -s out ]
ok "there may be nothing to do"
kedge store migrate -b ./script.so ./x --print --json --backend-opt a=b
[ $status -eq 0 ] && out_is '{"schema_from":3,"schema_to":3}'
ok "which is said in JSON as well"

# promises NAME DURABILITY CAPABILITIES: what is said of a store with these
promises() {
	module "$1.so" "s/\.place = \"nowhere\",/.place = \"a\\\\tb\", .durability = $2, .caps = $3,/;s/\"one\"/\"$1\"/"
	kedge store info -b "./$1.so" ./x
}
promises lossy KEDGE_SURVIVES_PROCESS 'KEDGE_CAP_SHARED | KEDGE_CAP_FENCE_VOLATILE'
[ $status -eq 0 ] && grep -qx 'survives=.* who wrote it; a crash of the store .*' out && grep -qx 'crash_hints=no' out &&
	grep -qx 'fences=may repeat after the store has lost acknowledged writes, .*' out && grep -qxF 'place=a\x09b' out
ok "store info: a store that may lose what it acknowledged"
promises hinted 'KEDGE_SURVIVES_PROCESS | KEDGE_SURVIVES_SERVER' 'KEDGE_CAP_SHARED | KEDGE_CAP_HINT'
[ $status -eq 0 ] && grep -qx 'survives=.* any process; power loss may take the last ones' out && grep -qx 'crash_hints=yes' out &&
	grep -qx 'fences=never repeat' out
ok "store info: one that power loss may hurt"
kedge store info -b ./hinted.so ./x --json
[ $status -eq 0 ] && json .crash_hints true && json .fences 'never repeat' && json .durability 'process server' && json .schema 0
ok "and in JSON"

module other.so 's/"1"/"2"/'
kedge backends one ./other.so
[ $status -eq 1 ] && grep -q "^kedge: ./other.so: member name is 'one', which $tmp/dir/one.so has taken already\$" err
ok "a name is taken once"
cp dir/one.so dir/two.so
kedge backends two
[ $status -eq 1 ] && grep -q "^kedge: $tmp/dir/two.so: member name is 'one'; a module of that name must be called one.so\$" err
ok "a module found by name has that name"
kedge backends
[ $status -eq 1 ] && grep -q '^name=one$' out && grep -q '^name=two$' out && grep -q "^problem=$tmp/dir/two.so: member name is 'one'; " out
ok "the list tells what is wrong with it"
rm dir/two.so
module dir/mem.so 's/"one"/"mem"/'
kedge backends mem
[ $status -eq 0 ] && grep -q '^origin=built in$' out
ok "a built-in backend comes first"
kedge backends ./dir/mem.so
[ $status -eq 1 ] && grep -q "^kedge: ./dir/mem.so: member name is 'mem', which is a backend inside the library; no module can replace that\$" err
ok "and cannot be replaced"
rm dir/mem.so
module abi.so 's/KEDGE_BACKEND_HEADER,/.struct_size = sizeof(struct kedge_backend_ops), .abi = 2,/'
kedge backends ./abi.so
[ $status -eq 1 ] && grep -q '^kedge: ./abi.so: member abi is 2, this library loads backends of ABI 1 only; ' err
ok "another ABI is refused"
# refused NAME SED-SCRIPT MESSAGE: said when it is looked at, and when a store is opened by it
refused() {
	module "$1.so" "$2"
	kedge backends "./$1.so"
	[ $status -eq 1 ] && grep -qxF "kedge: ./$1.so: $3" err && kedge -b "./$1.so" store info one: &&
		[ $status -eq 1 ] && grep -qxF "kedge: ./$1.so: $3" err
}
sized() {
	printf 's/KEDGE_BACKEND_HEADER,/.struct_size = %s, .abi = KEDGE_BACKEND_ABI,/' "$1"
}
refused short "$(sized 16)" "member struct_size is 16, ABI 1 begins at $least"
ok "a table that says it is too short is refused"
refused unset "$(sized 0)" "member struct_size is 0, ABI 1 begins at $least"
ok "one that does not say how long it is"
refused half "$(sized 'sizeof(struct kedge_backend_ops) - 4')" "member struct_size is $((whole - 4)), which ends inside a member"
ok "one that says it ends inside a member"
refused odd "$(sized 'sizeof(struct kedge_backend_ops) + 1')" "member struct_size is $((whole + 1)), which ends inside a member"
ok "or beyond its end, where no member is"
refused huge "$(sized 0xfffffff8)" "member struct_size is 4294967288, which no table has: set it with KEDGE_BACKEND_HEADER, or to its sizeof"
ok "one that says it is larger than memory"
refused limits 's/sizeof one_limits/16/' "member limits.struct_size is 16, ABI 1 begins at $limits"
ok "limits that say they are too short"
refused many 's/sizeof one_limits/0xfffffff8/' "member limits.struct_size is 4294967288, which no table has: set it with KEDGE_BACKEND_HEADER, or to its sizeof"
ok "limits that say they are larger than memory"
refused hollow 's/\.claim = [a-z_]*/.claim = 0/' "required operation 'claim' is missing"
ok "a table of the right size with a hole in it"
module newer.so 's/"one"/"newer"/;s/KEDGE_BACKEND_HEADER,/.struct_size = sizeof(struct kedge_backend_ops), .abi = KEDGE_BACKEND_ABI, .caps = UINT64_C(1) << 63,/'
kedge backends ./newer.so
[ $status -eq 0 ] && grep -q '^name=newer$' out && grep -q '^capabilities=none$' out
ok "a capability that this library does not know is passed over"
module less.so '/\.purge = /d'
kedge backends ./less.so
[ $status -eq 1 ] && grep -q "^kedge: ./less.so: required operation 'purge' is missing\$" err
ok "a missing operation is named"
module none.so 's/^KEDGE_BACKEND_DEFINE.*/extern int x; const void *y = \&one_ops;/'
kedge backends ./none.so
[ $status -eq 1 ] && grep -q '^kedge: ./none.so: it has no function kedge_backend_entry, so it is not a backend$' err
ok "no entry: not a backend"
module unresolved.so 's/return refuse(err);/extern int nowhere(void); return nowhere();/'
kedge backends ./unresolved.so
[ $status -eq 1 ] && grep -q '^kedge: ./unresolved.so: undefined symbol: nowhere$' err
ok "what cannot be linked is refused when it is loaded, not when it is called"
(cd dir && cp one.so libone.so)
kedge backends
[ $status -eq 0 ] && ! grep -q libone out
ok "libraries beside modules are left alone"
echo "1..$n"
