#!/bin/sh
# server.sh - private servers for tests: start, kill, stop, promote them
#
#	server.sh have KIND                             is there what redis, postgresql, pgbouncer needs?
#	server.sh redis NAME [OPTION VALUE]...          as in redis.conf
#	server.sh redis-replica NAME PRIMARY [OPTION VALUE]...
#	server.sh redis-cluster NAME [OPTION VALUE]...  three nodes: NAME-1, NAME-2, NAME-3
#	server.sh postgresql NAME [SETTING=VALUE]...    as in postgresql.conf; tcp=yes: a port too
#	server.sh postgresql-standby NAME PRIMARY [SETTING=VALUE]...    a synchronous one
#	server.sh pgbouncer NAME POSTGRESQL [SETTING=VALUE]...          in transaction mode
#	server.sh refd NAME [URL]                       kedge-refd of this build
#
#	server.sh start|stop|restart|kill|pause|resume|promote|drop NAME
#	server.sh pid|url|tcp|log NAME                  print the process, the URL, that by TCP, a file's name
#	server.sh address|way NAME [tcp]                where it listens, and a URL for which that is to be
#	                                                filled in (conform/proxy/address.h)
#	server.sh cli NAME [ARGUMENT]...                redis-cli or psql
#	server.sh pg BINARY NAME [ARGUMENT]...          a program of PostgreSQL, as the user of the server
#
# All of it is below $KEDGE_SERVERS, which tests/support/servers.sh makes and removes; C tests may
# call this by system(3).  When a command is over, what it asks for has come about: the server
# answers, or is gone.  Exit status 1, with the end of its log: it did not.
#
#   kill      kill -9, of all its processes; start then finds what it left
#   pause     SIGSTOP, of all its processes
#   stop      as its operator would
#
# What is in $KEDGE_SERVERS/NAME: kind, command (a script that becomes the server), pid, port, log,
# data, and the socket.  Where it is root who asks, servers run as somebody else.  A server listens
# on its socket in a directory that is closed to others, and by TCP on 127.0.0.1.
#
# With KEDGE_TEST_CLOCK, the name of a file made by clock_set, servers are started with the clock
# in that file: tests/support/clockshim.c.  With KEDGE_TEST_FLUSHES, the name of a file of eight bytes
# that anybody may write to, what they flush is counted there: tests/support/flushshim.c.
set -u

patience=60 # seconds, for anything here: a machine that is slower fails
database=postgres
role=kedge

die() {
	echo "server.sh: $*" >&2
	exit 1
}

# ------------------------------------------------------------ which programs, whose

pg_bin=${KEDGE_PG_BIN-}
[ -n "$pg_bin" ] || for d in /usr/lib/postgresql/*/bin; do
	# 9 sorts after 15, and is too old anyway
	[ ! -x "$d/initdb" ] || pg_bin=$d
done
if [ -z "$pg_bin" ] && command -v initdb >/dev/null 2>&1; then
	pg_bin=$(dirname "$(command -v initdb)")
fi
PATH=$PATH:/usr/sbin:/sbin # where Debian has pgbouncer
[ -z "$pg_bin" ] || PATH=$pg_bin:$PATH
export PATH
# Nothing of the caller's own.
unset PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGOPTIONS PGSERVICE PGDATA REDISCLI_AUTH \
	MALLOC_PERTURB_ LD_PRELOAD
export LC_ALL=C PSQLRC=/dev/null

# Who the servers are: PostgreSQL and pgbouncer refuse to be root.
user=
if [ "$(id -u)" -eq 0 ]; then
	for user in postgres nobody; do
		! id "$user" >/dev/null 2>&1 || break
	done
fi

# as_server COMMAND...: become it, in this process
as_server() {
	if [ -n "$user" ]; then
		exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@"
	fi
	exec "$@"
}
owned() { # FILE...
	[ -z "$user" ] || chown -R "$user:$(id -g "$user")" "$@"
}

have() { # KIND
	case $1 in
	refd | shared) user='' && set -- ;; # it is there if the backend is
	redis) set -- redis-server redis-cli ;;
	postgresql) set -- postgres initdb pg_isready psql pg_basebackup tar ;;
	pgbouncer) set -- pgbouncer psql ;;
	*) die "there is no kind of server '$1' (redis, postgresql, pgbouncer, refd)" ;;
	esac
	[ -z "$user" ] || set -- "$@" setpriv
	for program in "$@" setsid tail; do
		command -v "$program" >/dev/null 2>&1 || {
			echo "no $program here"
			return 1
		}
	done
}

# ------------------------------------------------------------------------ processes

# stat_of PID: sets stat_state, stat_parent, stat_began; 1: there is none
stat_of() {
	{ read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return 1
	# shellcheck disable=SC2086 # words on purpose; what is before may have blanks in it
	set -- ${stat_line##*) }
	stat_state=$1 stat_parent=$2 stat_began=${20}
}

# alive NAME: sets pid; a number that went to another process since is not it.  Its parent sees to
# it that it is no more once it is dead: keep().
alive() {
	{ read -r pid began <"$KEDGE_SERVERS/$1/pid"; } 2>/dev/null || return 1
	stat_of "$pid" && [ "$stat_began" = "$began" ]
}
gone() {
	! alive "$1"
}

# below PID...: prints what descends from them
below() {
	for proc in /proc/[0-9]*; do
		stat_of "${proc#/proc/}" || continue
		case " $* " in
		*" $stat_parent "*) ;;
		*) continue ;;
		esac
		case " $* " in
		*" ${proc#/proc/} "*) continue ;;
		esac
		set -- "$@" "${proc#/proc/}"
		echo "${proc#/proc/}"
	done
}

# signal_all NAME SIGNAL: nobody forks in between, as the first one stands still then
signal_all() {
	alive "$1" || return 1
	kill -STOP "$pid" 2>/dev/null
	all=$(below "$pid")
	for p in $all $pid; do
		kill "-$2" "$p" 2>/dev/null
	done
}

# await NAME COMMAND...: until it succeeds; 1: it did not, or the server is gone
await() {
	await_end=$(($(date +%s) + patience))
	awaited=$1
	shift
	until "$@"; do
		[ "$(date +%s)" -lt "$await_end" ] || return 1
		case $1 in
		gone | dead) ;;
		*) alive "$awaited" || return 1 ;;
		esac
		sleep 0.02
	done
}
failed() { # NAME WHAT
	tail -n 15 "$KEDGE_SERVERS/$1/log" | sed 's/^/server.sh: /' >&2
	die "$1 $2"
}

# --------------------------------------------------------------------- starting them

# A port that nobody listens on, below those that connections get by themselves.  Somebody may be
# faster: then the server ends at once, and the next is tried.
free_port() {
	while :; do
		port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 12000))
		# shellcheck disable=SC2046 # each file that is there
		awk -v want="$(printf ':%04X' "$port")" '$2 ~ want "$" { found = 1 } END { exit found }' \
			$(ls /proc/net/tcp /proc/net/tcp6 2>/dev/null) && break
	done
	echo "$port"
}

# make_dir NAME KIND
make_dir() {
	case $1 in
	'' | */* | *[!A-Za-z0-9_-]*) die "'$1' is no name of a server" ;;
	esac
	[ ! -e "$KEDGE_SERVERS/$1" ] || die "there is a server '$1' already"
	mkdir "$KEDGE_SERVERS/$1" "$KEDGE_SERVERS/$1/data" && chmod 700 "$KEDGE_SERVERS/$1/data" || exit 1
	chmod 700 "$KEDGE_SERVERS/$1"
	echo "$2" >"$KEDGE_SERVERS/$1/kind"
	dir=$KEDGE_SERVERS/$1
}

quoted() { # WORD...: as the shell reads them
	for word; do
		printf " '"
		printf %s "$word" | sed "s/'/'\\\\''/g"
		printf "'"
	done
}

# to_run COMMAND...: what `start' starts
to_run() {
	preload=
	if [ -n "${KEDGE_TEST_CLOCK-}" ]; then
		# The build may be where the server's user cannot look.
		cp "$KEDGE_BUILDDIR/.libs/kedge-clock.so" "$dir/" || die "kedge-clock.so is not built"
		preload="LD_PRELOAD=$dir/kedge-clock.so KEDGE_TEST_CLOCK=$KEDGE_TEST_CLOCK"
	fi
	if [ -n "${KEDGE_TEST_FLUSHES-}" ]; then
		cp "$KEDGE_BUILDDIR/.libs/libflushshim.so" "$dir/" || die "libflushshim.so is not built"
		preload="LD_PRELOAD=$dir/libflushshim.so${preload:+:${preload#LD_PRELOAD=}} KEDGE_TEST_FLUSHES=$KEDGE_TEST_FLUSHES"
	fi
	{
		echo "# becomes the server"
		printf 'exec'
		[ -z "$user" ] || quoted setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups
		# shellcheck disable=SC2086 # words on purpose
		[ -z "$preload" ] || quoted env $preload
		quoted "$@"
		echo
	} >"$dir/command"
	: >"$dir/log"
	owned "$dir"
}

answers() {
	case $kind in
	redis) [ "$(redis-cli -s "$KEDGE_SERVERS/$1/sock" ping 2>/dev/null)" = PONG ] ;;
	postgresql) pg_isready -q -h "$KEDGE_SERVERS/$1" -p "$(pg_port "$1")" ;;
	pgbouncer) cli "$1" -c 'show version' -d pgbouncer >/dev/null 2>&1 ;;
	refd) [ -S "$KEDGE_SERVERS/$1/sock" ] ;;
	esac
}

kind_of() { # NAME: sets kind
	{ read -r kind <"$KEDGE_SERVERS/$1/kind"; } 2>/dev/null || die "there is no server '$1'"
}

# keep NAME: be the parent of the server, as its process number must be free again when it is dead:
# the first process of a container may take its time to see to that
keep() {
	cd "$KEDGE_SERVERS/$1/data" || exit 1
	sh ../command &
	stat_of $! && echo "$! $stat_began" >../pid
	wait $!
	echo "server.sh: it ended with $?" >>../log
}

# start NAME; 1: it did not
start() {
	kind_of "$1"
	! alive "$1" || die "$1 runs already"
	rm -f "$KEDGE_SERVERS/$1/pid"
	# Its socket is there as soon as it listens; one that was killed leaves it.
	[ "$kind" != refd ] || rm -f "$KEDGE_SERVERS/$1/sock"
	# No descriptor of the caller's stays open in it.
	setsid sh "$0" keep "$1" </dev/null >>"$KEDGE_SERVERS/$1/log" 2>&1 \
		3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
	until [ -s "$KEDGE_SERVERS/$1/pid" ]; do
		kill -0 $! 2>/dev/null || return 1
		sleep 0.01
	done
	await "$1" answers "$1"
}

# ----------------------------------------------------------------------------- redis

# redis_at NAME [OPTION VALUE]...: several times, if a port is taken meanwhile
redis_at() {
	name=$1
	shift
	make_dir "$name" redis
	for try in 1 2 3 4 5; do
		free_port >"$dir/port"
		free_port >"$dir/bus"
		cat >"$dir/redis.conf" <<-end
			bind 127.0.0.1
			port $(cat "$dir/port")
			unixsocket $dir/sock
			dir $dir/data
			appendonly yes
			appendfsync always
			save ""
			repl-diskless-sync-delay 0
			enable-debug-command local
			cluster-port $(cat "$dir/bus")
		end
		while [ $# -ge 2 ] && [ "$try" -eq 1 ]; do
			printf '%s %s\n' "$1" "$2"
			shift 2
		done >"$dir/options"
		cat "$dir/options" >>"$dir/redis.conf"
		to_run redis-server "$dir/redis.conf"
		if start "$name"; then
			return 0
		fi
		grep -q 'Failed listening' "$dir/log" || break
	done
	failed "$name" "did not start"
}

redis_says() { # NAME SECTION LINE
	redis-cli -s "$KEDGE_SERVERS/$1/sock" "$2" "$3" 2>/dev/null | tr -d '\r'
}
redis_info() { # NAME SECTION LINE: is that line there?
	redis_says "$1" info "$2" | grep -qx "$3"
}

redis_replica() {
	name=$1 primary=$2
	shift 2
	redis_at "$name" replicaof "127.0.0.1 $(cat "$KEDGE_SERVERS/$primary/port")" "$@"
	await "$name" redis_info "$name" replication master_link_status:up ||
		failed "$name" "did not get what $primary has"
}

cluster_is_whole() { # NAME
	[ "$(redis_says "$1" cluster info | grep -cx -e cluster_state:ok -e cluster_known_nodes:3)" -eq 2 ]
}
redis_cluster() {
	name=$1
	shift
	for i in 1 2 3; do
		(redis_at "$name-$i" cluster-enabled yes cluster-node-timeout 2000 "$@") || exit 1
		node="redis-cli -s $KEDGE_SERVERS/$name-$i/sock cluster"
		$node set-config-epoch $i >/dev/null
		$node addslotsrange $(((i - 1) * 16384 / 3)) $((i * 16384 / 3 - 1)) >/dev/null
		[ $i -eq 1 ] || $node meet 127.0.0.1 "$(cat "$KEDGE_SERVERS/$name-1/port")" \
			"$(cat "$KEDGE_SERVERS/$name-1/bus")" >/dev/null
	done
	for i in 1 2 3; do
		await "$name-$i" cluster_is_whole "$name-$i" || failed "$name-$i" "is not in one cluster with the others"
	done
}

# ------------------------------------------------------------------------ postgresql

# A new database as a file, made once for a build.  Its password is for TCP: the socket is in a
# directory of the user's own.
pg_template() {
	version=$(postgres --version | tr -cd '0-9.')
	template=${KEDGE_BUILDDIR:-$KEDGE_SERVERS}/pg-template-$version.tar
	[ ! -f "$template" ] || return 0
	new=$(mktemp -d "$KEDGE_SERVERS/template.XXXXXX") || exit 1
	mkdir "$new/data"
	od -An -N12 -tx1 /dev/urandom | tr -d ' \n' >"$new/password"
	owned "$new"
	(cd "$new" && as_server initdb -D data --no-sync -U "$role" -E UTF8 --locale=C --auth-local=trust \
		--auth-host=scram-sha-256 --pwfile=password) >"$new/log" 2>&1 || {
		cat "$new/log" >&2
		die "initdb failed"
	}
	mv "$new/password" "$new/data/password"
	# Several may come this far; whose name is last stays, and each is whole.
	if ! tar -cf "$template.$$" -C "$new" data || ! mv "$template.$$" "$template"; then
		die "cannot write $template"
	fi
	rm -rf "$new"
}

# pg_command NAME SETTING=VALUE...: dir is made, data is there.  $dir/tcp: it has a port.
pg_command() {
	name=$1
	shift
	set -- -c unix_socket_directories="$dir" -c port=5432 -c listen_addresses= -c fsync=on \
		-c synchronous_commit=on -c dynamic_shared_memory_type=mmap -c shared_buffers=32MB "$@"
	# A clock that jumps makes every jump a reason for a checkpoint.
	[ -z "${KEDGE_TEST_CLOCK-}" ] || set -- -c checkpoint_timeout=1d "$@"
	if [ -f "$dir/tcp" ]; then
		free_port >"$dir/port"
		# The socket is named after the port as well.
		set -- "$@" -c listen_addresses=127.0.0.1 -c port="$(cat "$dir/port")"
	fi
	to_run postgres -D "$dir/data" "$@"
}

pg_port() { # NAME
	cat "$KEDGE_SERVERS/$1/port" 2>/dev/null || echo 5432
}

pg_start() { # NAME SETTING=VALUE...
	name=$1
	shift
	n=$#
	while [ "$n" -gt 0 ]; do
		case $1 in
		tcp=yes) : >"$dir/tcp" ;;
		*=*) set -- "$@" -c "$1" ;;
		*) die "'$1' is no SETTING=VALUE" ;;
		esac
		shift
		n=$((n - 1))
	done
	for try in 1 2 3 4 5; do
		pg_command "$name" "$@"
		if start "$name"; then
			return 0
		fi
		grep -q 'could not bind' "$dir/log" || break
	done
	echo "tried $try times" >>"$dir/log"
	failed "$name" "did not start"
}

pg_new() {
	pg_template
	make_dir "$1" postgresql
	tar -xpf "$template" --no-same-owner -C "$dir" || exit 1
	pg_start "$@"
}

pg_asked() { # NAME SQL ANSWER
	[ "$(cli "$1" -qc "$2" 2>/dev/null)" = "$3" ]
}

pg_standby() {
	name=$1 primary=$2
	shift 2
	make_dir "$name" postgresql
	owned "$dir"
	(as_server pg_basebackup -D "$dir/data" -R -X stream -c fast --no-sync \
		-d "host=$KEDGE_SERVERS/$primary port=$(pg_port "$primary") user=$role application_name=$name") ||
		die "cannot copy $primary"
	pg_start "$name" "$@"
	cli "$primary" -qc "alter system set synchronous_standby_names = '\"$name\"'" \
		-c 'select pg_reload_conf()' >/dev/null || die "cannot make $primary wait for $name"
	await "$primary" pg_asked "$primary" \
		"select sync_state from pg_stat_replication where application_name = '$name'" sync ||
		failed "$name" "did not become a synchronous standby of $primary"
}

# A segment of shared memory outlives a killed server, until the next one comes.
pg_forget_memory() { # NAME
	segment=$(awk 'NR == 7 { print $2 }' "$KEDGE_SERVERS/$1/data/postmaster.pid" 2>/dev/null)
	[ -z "$segment" ] || ipcrm -m "$segment" 2>/dev/null
}

# ------------------------------------------------------------------------- pgbouncer

bouncer() {
	name=$1 behind=$2
	shift 2
	make_dir "$name" pgbouncer
	printf '"%s" ""\n' "$role" >"$dir/users"
	{
		echo '[databases]'
		echo "* = host=$KEDGE_SERVERS/$behind port=$(pg_port "$behind")"
		echo '[pgbouncer]'
		printf '%s\n' "unix_socket_dir = $dir" 'listen_addr =' 'listen_port = 6432' 'auth_type = trust' \
			"auth_file = $dir/users" "admin_users = $role" 'pool_mode = transaction' \
			'max_client_conn = 200' 'default_pool_size = 20' "$@"
	} >"$dir/ini"
	to_run pgbouncer "$dir/ini"
	start "$name" || failed "$name" "did not start"
}

# ------------------------------------------------------------------------------ refd

# It is of this build, which nobody else may be able to look at, and has a clock without a shim.
refd() {
	name=$1 served=${2-}
	make_dir "$name" refd
	user='' clock=${KEDGE_TEST_CLOCK-} KEDGE_TEST_CLOCK='' KEDGE_TEST_FLUSHES=''
	set -- "$KEDGE_BUILDDIR/kedge-refd"
	[ -z "$clock" ] || set -- "$@" --clock "$clock"
	set -- "$@" "$dir/sock"
	[ -z "$served" ] || set -- "$@" "$served"
	to_run "$@"
	start "$name" || failed "$name" "did not start"
}

# ---------------------------------------------------------------------- what is asked

stop() {
	kind_of "$1"
	alive "$1" || return 0
	signal_all "$1" CONT
	case $kind in
	redis | refd) kill -TERM "$pid" ;;
	*) kill -INT "$pid" ;;
	esac
	await "$1" gone "$1" || failed "$1" "does not end"
}

dead() { # PID: nothing of it is left but its number
	! stat_of "$1" || [ "$stat_state" = Z ] || [ "$stat_state" = X ]
}
kill_9() {
	signal_all "$1" KILL || return 0
	for p in $all; do
		await "$1" dead "$p" || die "process $p of $1 does not die"
	done
	await "$1" gone "$1" || die "$1 does not die"
}

promote() {
	kind_of "$1"
	case $kind in
	redis)
		redis-cli -s "$KEDGE_SERVERS/$1/sock" replicaof no one >/dev/null &&
			await "$1" redis_info "$1" replication role:master
		;;
	postgresql) [ "$(cli "$1" -qc "select pg_promote(true, $patience)")" = t ] ;;
	*) die "$kind cannot be promoted" ;;
	esac || failed "$1" "was not promoted"
}

drop() {
	kind_of "$1"
	kill_9 "$1"
	[ "$kind" != postgresql ] || pg_forget_memory "$1"
	rm -rf "${KEDGE_SERVERS:?}/$1"
}

cli() {
	kind_of "$1"
	cli_dir=$KEDGE_SERVERS/$1
	shift
	case $kind in
	redis) redis-cli -s "$cli_dir/sock" "$@" ;;
	postgresql) psql -XAtd "$database" -h "$cli_dir" -p "$(pg_port "${cli_dir##*/}")" -U "$role" "$@" ;;
	pgbouncer) psql -XAtd "$database" -h "$cli_dir" -p 6432 -U "$role" "$@" ;;
	esac
}

url() {
	kind_of "$1"
	case $kind in
	redis) echo "redis+unix://$KEDGE_SERVERS/$1/sock" ;;
	refd) echo "shared:$KEDGE_SERVERS/$1/sock" ;;
	postgresql) echo "postgresql:///$database?host=$KEDGE_SERVERS/$1&port=$(pg_port "$1")&user=$role" ;;
	pgbouncer) echo "postgresql:///$database?host=$KEDGE_SERVERS/$1&port=6432&user=$role" ;;
	esac
}

url_by_tcp() {
	kind_of "$1"
	[ -f "$KEDGE_SERVERS/$1/port" ] || die "$1 has no port"
	case $kind in
	redis) echo "redis://127.0.0.1:$(cat "$KEDGE_SERVERS/$1/port")" ;;
	postgresql) echo "postgresql://$role:$(cat "$KEDGE_SERVERS/$1/data/password")@127.0.0.1:$(pg_port "$1")/$database" ;;
	esac
}

address() { # NAME [tcp]
	kind_of "$1"
	case ${2-}$kind in
	redis | refd) echo "unix:$KEDGE_SERVERS/$1/sock" ;;
	postgresql) echo "unix:$KEDGE_SERVERS/$1/.s.PGSQL.$(pg_port "$1")" ;;
	pgbouncer) echo "unix:$KEDGE_SERVERS/$1/.s.PGSQL.6432" ;;
	tcp*) echo "127.0.0.1:$(cat "$KEDGE_SERVERS/$1/port")" ;;
	esac
}

way() { # NAME [tcp]
	kind_of "$1"
	case ${2-}$kind in
	redis) echo 'redis+unix://{server}' ;;
	refd) echo 'shared:{server}' ;;
	postgresql | pgbouncer) url "$1" | sed 's/host=[^&]*/host={host}/' ;;
	tcp*) url_by_tcp "$1" | sed 's/127\.0\.0\.1:[0-9]*/{server}/' ;;
	esac
}

# Who works in there, known or not: who starts a server may have been killed on the way.
workers() {
	for proc in /proc/[0-9]*; do
		case $(readlink "$proc/cwd" 2>/dev/null)/ in
		"$KEDGE_SERVERS"/*) [ "$proc" = "/proc/$$" ] || echo "${proc#/proc/}" ;;
		esac
	done
}

# All servers end, and everything goes.
end() {
	for there in "$KEDGE_SERVERS"/*/kind; do
		[ ! -f "$there" ] || (drop "$(basename "$(dirname "$there")")")
	done
	rm -rf "$KEDGE_SERVERS"
	end_by=$(($(date +%s) + patience))
	while left=$(workers) && [ -n "$left" ] && [ "$(date +%s)" -lt "$end_by" ]; do
		# shellcheck disable=SC2086 # words on purpose
		kill -KILL $left 2>/dev/null
	done
	rm -rf "$KEDGE_SERVERS"
}

# watch PID: end them when that process is gone, however it went
watch() {
	trap '' HUP INT TERM
	tail --pid="$1" -s 0.2 -f /dev/null
	end
}

[ $# -ge 1 ] || die "what? (see the head of $0)"
[ "$1" = have ] || [ -d "${KEDGE_SERVERS-}" ] || die "KEDGE_SERVERS names no directory"
verb=$1
shift
case $verb in
have) have "$1" ;;
redis) redis_at "$@" ;;
redis-replica) redis_replica "$@" ;;
redis-cluster) redis_cluster "$@" ;;
postgresql) pg_new "$@" ;;
postgresql-standby) pg_standby "$@" ;;
pgbouncer) bouncer "$@" ;;
refd) refd "$@" ;;
start) start "$1" || failed "$1" "did not start" ;;
stop) stop "$1" ;;
restart) stop "$1" && { start "$1" || failed "$1" "did not start again"; } ;;
kill) kind_of "$1" && kill_9 "$1" ;;
pause) signal_all "$1" STOP || die "$1 does not run" ;;
resume) signal_all "$1" CONT || die "$1 does not run" ;;
promote) promote "$1" ;;
drop) drop "$1" ;;
pid) alive "$1" && echo "$pid" ;;
url) url "$1" ;;
tcp) url_by_tcp "$1" ;;
address) address "$@" ;;
way) way "$@" ;;
log) echo "$KEDGE_SERVERS/$1/log" ;;
cli) cli "$@" ;;
pg)
	program=$1 name=$2
	shift 2
	cd "$KEDGE_SERVERS/$name" && as_server "$program" "$@"
	;;
keep) keep "$1" ;;
end) end ;;
watch) watch "$1" ;;
*) die "there is no '$verb' (see the head of $0)" ;;
esac
