# ------------------------------------------------------------------ programs
# What the storage contract and the engine cost on a store, next to a bare client of the same kind:
# one for each backend of this build that is not in memory.
# Not ours, and so without our warnings.
noinst_LTLIBRARIES += libhdr.la
libhdr_la_SOURCES = %D%/hdr/hdr_atomic.h %D%/hdr/hdr_histogram.c %D%/hdr/hdr_histogram.h
libhdr_la_CFLAGS = $(KEDGE_CFLAGS) $(PTHREAD_CFLAGS) -w
libhdr_la_LIBADD = -lm
EXTRA_DIST += %D%/hdr/COPYING.txt %D%/hdr/LICENSE.txt %D%/hdr/README.md %D%/hdr/.clang-format

bench_spike_sources = \
	%D%/bare.c %D%/bare.h \
	%D%/engine.c %D%/engine.h \
	%D%/harness.c %D%/harness.h \
	%D%/made.c %D%/made.h \
	%D%/outside.c %D%/outside.h \
	%D%/parked.c \
	%D%/population.c %D%/population.h \
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
spike_LDADD = libhdr.la libkedge.la $(PTHREAD_LIBS)
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
