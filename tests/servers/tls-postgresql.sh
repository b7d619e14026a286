#!/bin/sh
# TLS to PostgreSQL, by parameters that are libpq's own: it works with the right certificate, and
# with a wrong one or none it is told in one sentence, without the password.
# shellcheck source=tests/servers/with.sh
. "$KEDGE_SRCDIR/tests/servers/with.sh"
with_backend postgresql
# shellcheck source=tests/servers/info.sh
. "$KEDGE_SRCDIR/tests/servers/info.sh"
if ! command -v openssl >/dev/null 2>&1; then
	echo "1..0 # SKIP no openssl here"
	exit 0
fi
# certificate NAME: NAME.key and NAME.crt, signed by itself
certificate() {
	openssl req -new -x509 -days 2 -nodes -newkey rsa:2048 -subj /CN=localhost \
		-addext subjectAltName=DNS:localhost -keyout "$1.key" -out "$1.crt" >openssl.log 2>&1 || {
		sed 's/^/# /' openssl.log
		echo "Bail out! openssl made no certificate"
		exit 99
	}
}
certificate right
certificate wrong
server postgresql p tcp=yes || exit 99
data=$KEDGE_SERVERS/p/data
cat right.key >"$data/server.key" && cat right.crt >"$data/server.crt" || exit 99
chown --reference="$data/PG_VERSION" "$data/server.key" "$data/server.crt" && chmod 600 "$data/server.key" || exit 99
sed 's/^host[ \t]/hostssl /' "$data/pg_hba.conf" >hba && cat hba >"$data/pg_hba.conf" || exit 99
server cli p -q -c 'alter system set ssl = on' -c 'select pg_reload_conf()' >/dev/null || exit 99
has_tls() {
	[ "$(server cli p -c 'show ssl')" = on ]
}
await has_tls
ok 'the server speaks TLS, and by TCP nothing else'

password=$(cat "$data/password") port=$(cat "$KEDGE_SERVERS/p/port")
# at HOST PARAMETERS
at() {
	echo "postgresql://kedge:$password@$1:$port/postgres?hostaddr=127.0.0.1&$2"
}
# refused STATUSES WORD...: one sentence with these words, without the password
refused() {
	case " $1 " in
	*" $status "*) ;;
	*) return 1 ;;
	esac
	[ ! -s out ] && [ "$(wc -l <err)" -eq 1 ] || return 1
	shift
	for word; do
		grep -qiF -e "$word" err || return 1
	done
	! grep -qF "$password" err
}
url=$(at localhost "sslmode=verify-full&sslrootcert=$dir/right.crt")
kedge store init "$url" && [ $status -eq 0 ] && told "$url" && says 'durability=process server power'
ok 'sslmode=verify-full with the right root'
says 'crash_hints=yes' 'backend.pooler=no' && ! grep -qF "$password" out
ok 'it is no pooler, and the password is not told'
"$KEDGE_BUILDDIR/steps" "$url" 8 10 >out 2>&1
ok 'a worker carries its runs'
kedge store info "$(at localhost "sslmode=verify-full&sslrootcert=$dir/wrong.crt")"
refused 5 certificate
ok 'a wrong root'
kedge store info "$(at localhost "sslmode=verify-full&sslrootcert=$dir/nowhere.crt")"
refused 5 nowhere.crt
ok 'a root that is not there'
kedge store info "$(at elsewhere "sslmode=verify-full&sslrootcert=$dir/right.crt")"
refused 5 elsewhere localhost
ok 'another name than that of the certificate'
kedge store info "$(at localhost sslmode=disable)"
refused '5 9' 'pg_hba.conf'
ok 'without TLS'
kedge store info "$(at localhost "sslmode=verify-full&sslrootcert=$dir/wrong.crt")" --json
[ $status -eq 5 ] && grep -q certificate err out && ! grep -qF "$password" out err
ok 'in JSON too'
plan
