# ------------------------------------------------------------------ programs
# What the storage contract and the engine cost on a store, next to a bare client of the same kind:
# one for each backend of this build that is not in memory.
bench_spike_sources = \
	%D%/bare.c %D%/bare.h \
	%D%/engine.c %D%/engine.h \
	%D%/harness.c %D%/harness.h \
	%D%/outside.c %D%/outside.h \
	%D%/parked.c \
	%D%/procs.c %D%/procs.h \
	%D%/resume.c \
	%D%/saga.c %D%/saga.h \
	%D%/server.c %D%/server.h \
	%D%/spike.c \
	%D%/subject.c %D%/subject.h \
	backends/kit/url.c backends/kit/mask.c backends/kit/url.h
noinst_PROGRAMS += spike
spike_SOURCES = $(bench_spike_sources)
spike_CPPFLAGS = $(AM_CPPFLAGS)
spike_LDADD = libkedge.la $(PTHREAD_LIBS)
if BENCH_LMDB
spike_SOURCES += %D%/bare_lmdb.c
spike_CPPFLAGS += -DBENCH_LMDB $(LMDB_CFLAGS)
spike_LDADD += $(LMDB_LIBS)
endif
if BENCH_REDIS
spike_SOURCES += %D%/bare_redis.c
spike_CPPFLAGS += -DBENCH_REDIS $(HIREDIS_CFLAGS)
spike_LDADD += $(HIREDIS_LIBS)
endif
if BENCH_POSTGRESQL
spike_SOURCES += %D%/bare_postgresql.c
spike_CPPFLAGS += -DBENCH_POSTGRESQL $(LIBPQ_CFLAGS)
spike_LDADD += $(LIBPQ_LIBS)
endif
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

EXTRA_DIST += %D%/README.md %D%/run.sh
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
