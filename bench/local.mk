# ------------------------------------------------------------------ programs
# What the storage contract and the engine cost on LMDB; nothing to hold against without it.
bench_spike_lmdb_sources = \
	%D%/bare.c %D%/bare.h \
	%D%/engine.c %D%/engine.h \
	%D%/harness.c %D%/harness.h \
	%D%/parked.c \
	%D%/procs.c %D%/procs.h \
	%D%/resume.c \
	%D%/saga.c %D%/saga.h \
	%D%/spike_lmdb.c \
	%D%/subject.c %D%/subject.h
bench_programs =
if STATIC_LMDB
noinst_PROGRAMS += spike_lmdb
bench_programs += spike_lmdb$(EXEEXT)
endif
if MODULE_LMDB
noinst_PROGRAMS += spike_lmdb
bench_programs += spike_lmdb$(EXEEXT)
endif
spike_lmdb_SOURCES = $(bench_spike_lmdb_sources)
spike_lmdb_CPPFLAGS = $(AM_CPPFLAGS) $(LMDB_CFLAGS)
spike_lmdb_LDADD = libkedge.la $(LMDB_LIBS) $(PTHREAD_LIBS)

EXTRA_DIST += %D%/README.md
dist_check_SCRIPTS += %D%/smoke.sh
TESTS += %D%/smoke.sh

# ------------------------------------------------------- `make bench' and run
# BENCH_FLAGS='--only one' selects; --dir D measures another disk than this one.
BENCH_FLAGS =
bench: $(bench_programs) $(backend_LTLIBRARIES)
	@test -n '$(strip $(bench_programs))' || { echo 'nothing to measure without LMDB' >&2; exit 1; }
	KEDGE_BACKEND_PATH='$(abs_builddir)/.libs' ./spike_lmdb$(EXEEXT) $(BENCH_FLAGS)
.PHONY: bench
