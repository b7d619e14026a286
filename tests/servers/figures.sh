# shellcheck shell=sh
# figures.sh - sourced by scripts that count at a PostgreSQL called p: what it did meanwhile
#
#	counted_begin
#	...                     sessions come and go
#	counted_end             when all of them have ended, and have told what they did
#	figure NAME             how much more of it there is since counted_begin
#	note NAME...            say so
#	ok WHAT                 the last command decides
#
# commits, syncs (flushes of the log), wal (bytes of it), executed (statements, if the server was
# started with log_statement=all), and for each table of $namespace, else of toil: TABLE.upd, TABLE.hot (those
# of them that touched no index), TABLE.size.  The clock, the log's writer and the like must not
# write on their own: start p with $quiet.

# shellcheck disable=SC2034 # for those who source this
quiet='autovacuum=off checkpoint_timeout=1h max_wal_size=4GB bgwriter_lru_maxpages=0 wal_writer_delay=10s'

ok() {
	rc=$?
	if [ "$rc" -eq 0 ]; then
		echo "ok - $1"
	else
		echo "not ok - $1"
	fi | tee -a "${dir:?}/tap"
}

# However long it waits it is so many transactions: looking costs the same each time.
figures() {
	server cli p -qF = -v schema="kedge_${namespace-toil}" <<-'sql' || return 1
		do $$ begin
			for i in 1..6000 loop
				exit when not exists (select from pg_stat_activity where pid <> pg_backend_pid()
					and backend_type = 'client backend');
				perform pg_sleep(0.01), pg_stat_clear_snapshot();
			end loop;
		end $$;
		select 'commits', xact_commit from pg_stat_database where datname = current_database();
		select 'syncs', wal_sync from pg_stat_wal;
		select 'wal', pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0');
		select relname || '.upd', n_tup_upd from pg_stat_user_tables where schemaname = :'schema';
		select relname || '.hot', n_tup_hot_upd from pg_stat_user_tables where schemaname = :'schema';
		select relname || '.size', pg_total_relation_size(relid) from pg_stat_user_tables
			where schemaname = :'schema';
	sql
	echo "executed=$(grep -c 'LOG:  execute ' "$(server log p)")"
}

# How many commits looking costs is found out by looking twice.
counted_begin() {
	figures >"$dir/before" && figures >"$dir/begin"
}
counted_end() {
	figures >"$dir/end"
}
value() { # FILE NAME
	sed -n "s/^$2=//p" "$dir/$1"
}
figure() {
	figure_more=$(($(value end "$1") - $(value begin "$1")))
	[ "$1" != commits ] || figure_more=$((figure_more - $(value begin commits) + $(value before commits)))
	echo "$figure_more"
}
note() {
	for figure_name; do
		echo "# $figure_name: $(figure "$figure_name")"
	done
}
