# Every backend is one source list that becomes either a convenience library
# inside libkedge or a loadable module, never both.

KEDGE_STATIC_BACKENDS = libkedge-kit.la
KEDGE_MODULE_LDFLAGS = $(AM_LDFLAGS) $(KEDGE_NO_UNDEFINED) -module -avoid-version -shared \
	-export-symbols-regex '^kedge_backend_entry$$'
KEDGE_WRAPPER_LDFLAGS = $(AM_LDFLAGS) $(KEDGE_NO_UNDEFINED) -module -avoid-version -shared \
	-export-symbols-regex '^kedge_wrapper_entry$$'
KEDGE_STATIC_CPPFLAGS = $(AM_CPPFLAGS) -DKEDGE_BACKEND_STATIC

# ---------------------------------------------------------------------- kit
# What backends share.  It includes <kedge/backend.h> and nothing else of ours.
# Once in the library for all built-in backends, once in each module.  URLs are
# read by the library and by backends alike, so kit/url.c is a part of it.
kit_sources = %D%/kit/url.c %D%/kit/url.h %D%/kit/mask.c %D%/kit/schema.c %D%/kit/schema.h \
	%D%/kit/rules.h %D%/kit/mutant.h %D%/kit/bytes.c %D%/kit/check.c \
	%D%/kit/lease.c %D%/kit/run.c %D%/kit/stage.h %D%/kit/stage.c %D%/kit/guard.c \
	%D%/kit/resend.c %D%/kit/change.c %D%/kit/commit.c \
	%D%/kit/moment.h %D%/kit/await.h %D%/kit/await.c %D%/kit/remote.h %D%/kit/remote.c %D%/kit/view.h %D%/kit/view.c \
	%D%/kit/codec.h %D%/kit/codec.c %D%/kit/stray.h %D%/kit/stray.c \
	%D%/kit/map.h %D%/kit/map.c %D%/kit/map_rows.h %D%/kit/map_rows.c %D%/kit/map_read.c %D%/kit/map_upkeep.c %D%/kit/sorted.h %D%/kit/sorted.c
# Installed as source: whoever writes a backend elsewhere compiles it into his module, with his flags.
kitdir = $(datadir)/kedge/kit
kit_DATA = $(kit_sources)
noinst_LTLIBRARIES += libkedge-kit.la
libkedge_kit_la_SOURCES = $(kit_sources)
libkedge_kit_la_CPPFLAGS = $(AM_CPPFLAGS) $(XXHASH_CFLAGS)

# ---------------------------------------------------------------------- mem
mem_sources = %D%/mem/mem.c %D%/mem/hint.c %D%/mem/limits.h %D%/mem/read.c %D%/mem/space.c %D%/mem/space.h %D%/mem/table.c \
	%D%/mem/table.h %D%/mem/upkeep.c
KEDGE_STATIC_BACKENDS += libkedge-mem.la
noinst_LTLIBRARIES += libkedge-mem.la
libkedge_mem_la_SOURCES = $(mem_sources)
libkedge_mem_la_CPPFLAGS = $(KEDGE_STATIC_CPPFLAGS)
libkedge_mem_la_LIBADD = $(PTHREAD_LIBS)

# --------------------------------------------------------------------- lmdb
lmdb_sources = %D%/lmdb/lmdb.c %D%/lmdb/session.h %D%/lmdb/commits.c %D%/lmdb/claim.c \
	%D%/lmdb/leases.c %D%/lmdb/reads.c %D%/lmdb/lists.c %D%/lmdb/upkeep.c \
	%D%/lmdb/writer.c %D%/lmdb/writer.h %D%/lmdb/cache.c %D%/lmdb/cache.h %D%/lmdb/tables.c %D%/lmdb/tables.h %D%/lmdb/names.c %D%/lmdb/rows.c %D%/lmdb/recent.c %D%/lmdb/recent.h \
	%D%/lmdb/hint.c %D%/lmdb/hint.h %D%/lmdb/env.c %D%/lmdb/env.h %D%/lmdb/shared.c %D%/lmdb/txn.c %D%/lmdb/params.c \
	%D%/lmdb/keys.h
if STATIC_LMDB
KEDGE_STATIC_BACKENDS += libkedge-lmdb.la
noinst_LTLIBRARIES += libkedge-lmdb.la
libkedge_lmdb_la_SOURCES = $(lmdb_sources)
libkedge_lmdb_la_CPPFLAGS = $(KEDGE_STATIC_CPPFLAGS) $(LMDB_CFLAGS)
libkedge_lmdb_la_LIBADD = $(LMDB_LIBS) $(PTHREAD_LIBS)
endif
if MODULE_LMDB
backend_LTLIBRARIES += lmdb.la
lmdb_la_SOURCES = $(lmdb_sources)
lmdb_la_CPPFLAGS = $(AM_CPPFLAGS) $(LMDB_CFLAGS)
lmdb_la_LDFLAGS = $(KEDGE_MODULE_LDFLAGS)
lmdb_la_LIBADD = libkedge-kit.la $(LMDB_LIBS) $(PTHREAD_LIBS)
endif

# --------------------------------------------------------------- postgresql
postgresql_sources = %D%/postgresql/postgresql.c %D%/postgresql/session.h %D%/postgresql/commits.c \
	%D%/postgresql/look.c %D%/postgresql/apply.c %D%/postgresql/claim.c \
	%D%/postgresql/leases.c %D%/postgresql/hints.c %D%/postgresql/reads.c \
	%D%/postgresql/lists.c %D%/postgresql/upkeep.c %D%/postgresql/wait.c %D%/postgresql/cache.c \
	%D%/postgresql/setup.c %D%/postgresql/schema.c %D%/postgresql/statements.c \
	%D%/postgresql/sql.h %D%/postgresql/rows.c %D%/postgresql/rows.h \
	%D%/postgresql/conn.c %D%/postgresql/conn.h %D%/postgresql/fault.c \
	%D%/postgresql/fault.h %D%/postgresql/params.c %D%/postgresql/params.h
if STATIC_POSTGRESQL
KEDGE_STATIC_BACKENDS += libkedge-postgresql.la
noinst_LTLIBRARIES += libkedge-postgresql.la
libkedge_postgresql_la_SOURCES = $(postgresql_sources)
libkedge_postgresql_la_CPPFLAGS = $(KEDGE_STATIC_CPPFLAGS) $(POSTGRESQL_CFLAGS)
libkedge_postgresql_la_LIBADD = $(POSTGRESQL_LIBS) $(PTHREAD_LIBS)
endif
if MODULE_POSTGRESQL
backend_LTLIBRARIES += postgresql.la
postgresql_la_SOURCES = $(postgresql_sources)
postgresql_la_CPPFLAGS = $(AM_CPPFLAGS) $(POSTGRESQL_CFLAGS)
postgresql_la_LDFLAGS = $(KEDGE_MODULE_LDFLAGS)
postgresql_la_LIBADD = libkedge-kit.la $(POSTGRESQL_LIBS) $(PTHREAD_LIBS)
endif

# -------------------------------------------------------------------- redis
redis_sources = %D%/redis/redis.c %D%/redis/session.h %D%/redis/params.c %D%/redis/params.h \
	%D%/redis/conn.c %D%/redis/conn.h %D%/redis/link.c %D%/redis/scripts.c %D%/redis/scripts.h \
	%D%/redis/keys.c %D%/redis/keys.h %D%/redis/build.c %D%/redis/look.c %D%/redis/cache.c %D%/redis/rows.h %D%/redis/store.c \
	%D%/redis/hints.c %D%/redis/hints.h %D%/redis/commits.c %D%/redis/claim.c %D%/redis/leases.c \
	%D%/redis/reads.c %D%/redis/lists.c %D%/redis/upkeep.c %D%/redis/verify.c %D%/redis/info.c \
	%D%/redis/wait.c
if STATIC_REDIS
KEDGE_STATIC_BACKENDS += libkedge-redis.la
noinst_LTLIBRARIES += libkedge-redis.la
libkedge_redis_la_SOURCES = $(redis_sources)
libkedge_redis_la_CPPFLAGS = $(KEDGE_STATIC_CPPFLAGS) $(REDIS_CFLAGS)
libkedge_redis_la_LIBADD = $(REDIS_LIBS) $(PTHREAD_LIBS)
endif
if MODULE_REDIS
backend_LTLIBRARIES += redis.la
redis_la_SOURCES = $(redis_sources)
redis_la_CPPFLAGS = $(AM_CPPFLAGS) $(REDIS_CFLAGS)
redis_la_LDFLAGS = $(KEDGE_MODULE_LDFLAGS)
redis_la_LIBADD = libkedge-kit.la $(REDIS_LIBS) $(PTHREAD_LIBS)
endif

# ----------------------------------------------------------------- wrappers
# Tables that stand before a backend's; always modules, so a build without shared
# libraries has none.  What they share is forward.c and kit.c.
kedge_forward = %D%/wrap/forward.h %D%/wrap/forward.c
kedge_wrappers =
if WRAPPERS
kedge_wrappers += fault record trace count
noinst_LTLIBRARIES += libkedge-wrap.la
libkedge_wrap_la_SOURCES = $(kedge_forward) %D%/wrap/kit.h %D%/wrap/kit.c %D%/wrap/line.c
libkedge_wrap_la_CPPFLAGS = $(AM_CPPFLAGS)
libkedge_wrap_la_LIBADD = libkedge-kit.la
backend_LTLIBRARIES += fault.la record.la trace.la count.la
fault_la_SOURCES = %D%/wrap/fault.c
fault_la_LDFLAGS = $(KEDGE_WRAPPER_LDFLAGS)
fault_la_LIBADD = libkedge-wrap.la $(PTHREAD_LIBS)
record_la_SOURCES = %D%/wrap/record.c
record_la_LDFLAGS = $(KEDGE_WRAPPER_LDFLAGS)
record_la_LIBADD = libkedge-wrap.la $(PTHREAD_LIBS)
trace_la_SOURCES = %D%/wrap/trace.c
trace_la_LDFLAGS = $(KEDGE_WRAPPER_LDFLAGS)
trace_la_LIBADD = libkedge-wrap.la $(PTHREAD_LIBS)
count_la_SOURCES = %D%/wrap/count.c
count_la_LDFLAGS = $(KEDGE_WRAPPER_LDFLAGS)
count_la_LIBADD = libkedge-wrap.la $(PTHREAD_LIBS)
# Defects, by which the conformance suite is tested; not installed.  Which: wrap/mutants.def.
mutant_la_SOURCES = %D%/wrap/mutant.h %D%/wrap/mutants.def %D%/wrap/mutant.c %D%/wrap/mutant_store.c \
	%D%/wrap/mutant_leases.c %D%/wrap/mutant_locks.c %D%/wrap/mutant_commit.c \
	%D%/wrap/mutant_claim.c %D%/wrap/mutant_reads.c %D%/wrap/mutant_whole.c \
	%D%/wrap/mutant_crowd.c %D%/wrap/mutant_guest.c %D%/wrap/mutant_fault.c
mutant_la_LDFLAGS = $(KEDGE_WRAPPER_LDFLAGS) -rpath /nowhere
mutant_la_LIBADD = libkedge-wrap.la $(PTHREAD_LIBS)
endif

# ------------------------------------------------------------------- shared
# A store that kedge-refd serves (conform/refd); what goes between them is wire.c, in both.
noinst_LTLIBRARIES += libkedge-wire.la
libkedge_wire_la_SOURCES = %D%/shared/wire.c %D%/shared/wire.h
shared_sources = %D%/shared/shared.c %D%/shared/link.c %D%/shared/link.h %D%/mem/limits.h
if MODULE_SHARED
backend_LTLIBRARIES += shared.la
shared_la_SOURCES = $(shared_sources)
shared_la_LDFLAGS = $(KEDGE_MODULE_LDFLAGS)
shared_la_LIBADD = libkedge-wire.la libkedge-kit.la
endif

# The same sources once more, with defects that KEDGE_MUTANT chooses (kit/mutant.h); not installed.
kedge_mutants =
KEDGE_MUTANT_CPPFLAGS = $(KEDGE_STATIC_CPPFLAGS) -DKEDGE_MUTANTS
if WRAPPERS
check_LTLIBRARIES += mutant.la
kedge_mutants += mutant
if STATIC_LMDB
check_LTLIBRARIES += lmdb_mutant.la
kedge_mutants += lmdb_mutant
endif
if MODULE_LMDB
check_LTLIBRARIES += lmdb_mutant.la
kedge_mutants += lmdb_mutant
endif
if STATIC_REDIS
check_LTLIBRARIES += redis_mutant.la
kedge_mutants += redis_mutant
endif
if MODULE_REDIS
check_LTLIBRARIES += redis_mutant.la
kedge_mutants += redis_mutant
endif
if STATIC_POSTGRESQL
check_LTLIBRARIES += postgresql_mutant.la
kedge_mutants += postgresql_mutant
endif
if MODULE_POSTGRESQL
check_LTLIBRARIES += postgresql_mutant.la
kedge_mutants += postgresql_mutant
endif
endif
lmdb_mutant_la_SOURCES = %D%/wrap/stand_in.c $(lmdb_sources)
lmdb_mutant_la_CPPFLAGS = $(KEDGE_MUTANT_CPPFLAGS) -DMUTANT_OF=lmdb $(LMDB_CFLAGS)
lmdb_mutant_la_LDFLAGS = $(KEDGE_WRAPPER_LDFLAGS) -rpath /nowhere
lmdb_mutant_la_LIBADD = libkedge-kit.la $(LMDB_LIBS) $(PTHREAD_LIBS)
redis_mutant_la_SOURCES = %D%/wrap/stand_in.c $(redis_sources)
redis_mutant_la_CPPFLAGS = $(KEDGE_MUTANT_CPPFLAGS) -DMUTANT_OF=redis $(REDIS_CFLAGS)
redis_mutant_la_LDFLAGS = $(KEDGE_WRAPPER_LDFLAGS) -rpath /nowhere
redis_mutant_la_LIBADD = libkedge-kit.la $(REDIS_LIBS) $(PTHREAD_LIBS)
postgresql_mutant_la_SOURCES = %D%/wrap/stand_in.c $(postgresql_sources)
postgresql_mutant_la_CPPFLAGS = $(KEDGE_MUTANT_CPPFLAGS) -DMUTANT_OF=postgresql $(POSTGRESQL_CFLAGS)
postgresql_mutant_la_LDFLAGS = $(KEDGE_WRAPPER_LDFLAGS) -rpath /nowhere
postgresql_mutant_la_LIBADD = libkedge-kit.la $(POSTGRESQL_LIBS) $(PTHREAD_LIBS)
