# The objects once, as a convenience library that the unit tests link
# statically (they reach internal symbols); the shared library around it.
noinst_LTLIBRARIES += libkedge-core.la
libkedge_core_la_SOURCES = \
	%D%/answer.c \
	%D%/args.c %D%/args.h \
	%D%/asked.c %D%/asked.h \
	%D%/buf.c %D%/buf.h \
	%D%/describe.c %D%/describe.h \
	%D%/drive.c \
	%D%/enumerate.c \
	%D%/fold.h \
	%D%/host.c \
	%D%/import.c %D%/import.h \
	%D%/inflight.c \
	%D%/item.c \
	%D%/journal.c \
	%D%/json.c \
	%D%/judge.c %D%/judge.h \
	%D%/kassert.h \
	%D%/keeper.c \
	%D%/orphan.c \
	%D%/progress.c %D%/progress.h %D%/progress_request.c %D%/progress_snapshot.c \
	%D%/queue.c %D%/queue.h \
	%D%/reactor.c %D%/reactor.h %D%/reactor_store.c \
	%D%/reader.c %D%/reader.h \
	%D%/reconcile.c \
	%D%/record.c %D%/record.h \
	%D%/request.c \
	%D%/registry.c %D%/registry.h \
	%D%/rescue.c %D%/rescue.h \
	%D%/run_read.c \
	%D%/run_steps.c \
	%D%/say.c %D%/say.h \
	%D%/session.c %D%/session.h \
	%D%/start.c \
	%D%/status.c \
	%D%/step.c \
	%D%/store.c %D%/store.h \
	%D%/sweep.c \
	%D%/take.c \
	%D%/testing.c %D%/testing.h \
	%D%/told.c %D%/told.h \
	%D%/utf8.h \
	%D%/why.c \
	%D%/worker.c %D%/worker.h %D%/pool.c \
	%D%/workers.c %D%/workers.h \
	%D%/wrap.c %D%/wrap.h
libkedge_core_la_CPPFLAGS = $(AM_CPPFLAGS) $(XXHASH_CFLAGS) -DKEDGE_BACKEND_DIR='"$(backenddir)"' \
	-DKEDGE_CONFIGURED_ABI=$(KEDGE_BACKEND_ABI)
libkedge_core_la_LIBADD = $(KEDGE_STATIC_BACKENDS) $(PTHREAD_LIBS) $(DL_LIBS)

lib_LTLIBRARIES += libkedge.la
libkedge_la_SOURCES =
libkedge_la_LIBADD = libkedge-core.la
libkedge_la_LDFLAGS = $(AM_LDFLAGS) $(KEDGE_NO_UNDEFINED) -version-info $(KEDGE_LT_VERSION)
EXTRA_libkedge_la_DEPENDENCIES =
if HAVE_VERSION_SCRIPT
libkedge_la_LDFLAGS += -Wl,--version-script=$(builddir)/%D%/kedge.map
EXTRA_libkedge_la_DEPENDENCIES += %D%/kedge.map
else
# Coarser than the map, but still nothing that is not ours.
libkedge_la_LDFLAGS += -export-symbols-regex '^kedge_'
endif
