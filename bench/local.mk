# ------------------------------------------------------------------ programs
# Not ours, and so without our warnings.
noinst_LTLIBRARIES += libhdr.la
libhdr_la_SOURCES = %D%/hdr/hdr_atomic.h %D%/hdr/hdr_histogram.c %D%/hdr/hdr_histogram.h
libhdr_la_CFLAGS = $(KEDGE_CFLAGS) $(PTHREAD_CFLAGS) -w
libhdr_la_LIBADD = -lm
EXTRA_DIST += %D%/hdr/COPYING.txt %D%/hdr/LICENSE.txt %D%/hdr/README.md %D%/hdr/.clang-format

# What both programs are made of: bare clients, slices, workloads of the store and of the engine.
noinst_LTLIBRARIES += libbench.la
libbench_la_SOURCES = \
	%D%/bare.c %D%/bare.h \
	%D%/engine.h \
	%D%/harness.c %D%/harness.h \
	%D%/made.c %D%/made.h \
	%D%/outside.c %D%/outside.h \
	%D%/population.c %D%/population.h \
	%D%/procs.c %D%/procs.h \
	%D%/resume.c \
	%D%/saga.c %D%/saga.h \
	%D%/server.c %D%/server.h \
	%D%/subject.c %D%/subject.h \
	backends/kit/url.c backends/kit/mask.c backends/kit/url.h
libbench_la_CPPFLAGS = $(AM_CPPFLAGS)
libbench_la_LIBADD = libhdr.la libkedge.la $(PTHREAD_LIBS)
if BENCH_LMDB
libbench_la_SOURCES += %D%/bare_lmdb.c
libbench_la_CPPFLAGS += -DBENCH_LMDB $(LMDB_CFLAGS)
libbench_la_LIBADD += $(LMDB_LIBS)
endif
if BENCH_REDIS
libbench_la_SOURCES += %D%/bare_redis.c
libbench_la_CPPFLAGS += -DBENCH_REDIS $(HIREDIS_CFLAGS)
libbench_la_LIBADD += $(HIREDIS_LIBS)
endif
if BENCH_POSTGRESQL
libbench_la_SOURCES += %D%/bare_postgresql.c
libbench_la_CPPFLAGS += -DBENCH_POSTGRESQL $(LIBPQ_CFLAGS)
libbench_la_LIBADD += $(LIBPQ_LIBS)
endif

# kedge bench.  Paths of the build are not for others to see.
pkglibexec_PROGRAMS += kedge-bench
kedge_bench_SOURCES = \
	%D%/compare.c %D%/compare.h \
	%D%/facts.c %D%/facts.h \
	%D%/flushes.c %D%/flushes.h \
	%D%/hdr_log.c %D%/hdr_log.h \
	%D%/kedge_bench.c \
	%D%/measure.c %D%/measure.h \
	%D%/print.c %D%/print.h \
	%D%/results.c \
	%D%/settings.c %D%/settings.h \
	%D%/workload.c %D%/workload.h \
	%D%/works_engine.c \
	%D%/works_recover.c \
	%D%/works_store.c
kedge_bench_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS) -DBENCH_CFLAGS='"$(filter-out \
	-ffile-prefix-map=% -fdebug-prefix-map=% -fmacro-prefix-map=%,$(CFLAGS) $(KEDGE_CFLAGS))"'
# Its own functions are to be found by the libraries: see flushes.c.
kedge_bench_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
kedge_bench_LDADD = libbench.la libhdr.la libkedge.la $(CJSON_LIBS) -lm

# What the storage contract and the engine cost on a store, next to a bare client of the same kind:
# one for each backend of this build that is not in memory; for those who work on kedge.
noinst_PROGRAMS += spike
spike_SOURCES = %D%/engine.c %D%/parked.c %D%/spike.c
spike_LDADD = libbench.la libhdr.la libkedge.la
# The name it had when LMDB was all it could measure.
noinst_SCRIPTS = spike_lmdb
spike_lmdb: spike$(EXEEXT)
	$(AM_V_GEN)rm -f $@ && $(LN_S) spike$(EXEEXT) $@
CLEANFILES += spike_lmdb

# kedge's side of the comparison with other engines.
noinst_PROGRAMS += kedge_peer
kedge_peer_SOURCES = %D%/peers/kedge_peer.c
kedge_peer_LDADD = libkedge.la $(PTHREAD_LIBS)
EXTRA_DIST += \
	%D%/peers/README.md %D%/peers/run.sh %D%/peers/package.json %D%/peers/package-lock.json \
	%D%/peers/peers.mjs %D%/peers/table.mjs %D%/peers/worker.mjs \
	%D%/peers/bullmq.mjs %D%/peers/bullmq-flow.mjs %D%/peers/dbos.mjs \
	%D%/peers/openworkflow.mjs %D%/peers/restate.mjs

EXTRA_DIST += %D%/README.md %D%/run.sh %D%/performance.sh
dist_check_SCRIPTS += %D%/smoke.sh
TESTS += %D%/smoke.sh

# ------------------------------------------------------- `make bench' and run
# BENCH_STORE: lmdb, redis, postgresql (the last two on a server that is started for it), or a URL.
# BENCH_FLAGS='--only one' selects; --dir D measures another disk than this one.
BENCH_STORE = lmdb
BENCH_FLAGS =
bench: spike$(EXEEXT) $(backend_LTLIBRARIES)
	KEDGE_BACKEND_PATH='$(abs_builddir)/.libs' KEDGE_SRCDIR='$(abs_srcdir)' \
	KEDGE_BUILDDIR='$(abs_builddir)' $(SHELL) '$(srcdir)/bench/run.sh' '$(BENCH_STORE)' $(BENCH_FLAGS)
.PHONY: bench

# PEERS_FLAGS: options and peers, as bench/peers/run.sh has them.
PEERS_FLAGS =
bench-peers: kedge_peer$(EXEEXT) kedge$(EXEEXT) $(backend_LTLIBRARIES)
	KEDGE_SRCDIR='$(abs_srcdir)' KEDGE_BUILDDIR='$(abs_builddir)' \
	$(SHELL) '$(srcdir)/bench/peers/run.sh' $(PEERS_FLAGS)
.PHONY: bench-peers
distclean-local:
	rm -rf peers
