# The conformance suite: cases, what they work with, and what runs and reports them.  It is part of
# the program (kedge conform), and sees of the library what any program sees.
#
# libworld.la is what cases work with, also for other tests: namespace, time, randomness, checks.
# KEDGE_CHECKERS judge what several processes did, and need no store; tests/unit has tests of them.
KEDGE_CHECKERS = %D%/history.c %D%/history.h %D%/check.c %D%/check.h \
	%D%/check_models.c %D%/check_models.h %D%/check_linear.c \
	%D%/check_interval.c %D%/check_fence.c %D%/check_conserve.c
noinst_LTLIBRARIES += libworld.la libconform.la
libworld_la_SOURCES = %D%/world.c %D%/world.h %D%/tx.c %D%/dump.c %D%/clockfile.h \
	%D%/stage.c %D%/stage.h %D%/stage_ops.c %D%/picture.c
libconform_la_SOURCES = \
	%D%/conform.h \
	%D%/catalogue.c %D%/catalogue.h %D%/cases.h \
	%D%/covers.c %D%/covers.h %D%/needs.c %D%/needs.h \
	%D%/results.h %D%/run.c %D%/tap.c %D%/junit.c %D%/cert.c \
	%D%/optout.c %D%/optout.h %D%/clockfile.c %D%/preload.c %D%/preload.h %D%/iofault.h \
	%D%/mutants.c %D%/mutants.h backends/wrap/mutants.def \
	%D%/fault_backend.c %D%/fault_backend.h $(kedge_forward) \
	$(KEDGE_CHECKERS) %D%/crew.h %D%/crew.c %D%/crew_ops.c \
	%D%/linear.c %D%/paused.c %D%/queue.c \
	%D%/batch.c %D%/caps.c %D%/cells.c %D%/claim.c %D%/commit.c %D%/data.c %D%/fences.c \
	%D%/hints.c %D%/leases.c %D%/limits.c %D%/lists.c %D%/locks.c %D%/manners.c %D%/matrix.c \
	%D%/memory.c %D%/processes.c %D%/purge.c %D%/resend.c %D%/resources.c %D%/runs.c \
	%D%/slots.c %D%/store.c %D%/threads.c %D%/wait.c %D%/walk.c \
	%D%/ttl.c %D%/crash.c %D%/iofail.c %D%/sweep.c %D%/clock.c \
	%D%/victim.c %D%/victim.h %D%/remains.c %D%/remains.h
libconform_la_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS) -DKEDGE_SHIM_DIR='"$(pkglibdir)"'
libconform_la_LIBADD = libworld.la libkedge.la $(CJSON_LIBS) $(PTHREAD_LIBS) $(DL_LIBS)

# What is preloaded: the clock of a server, from a file; a process that is killed at its n-th call.
# It gets into programs that are not ours, so it has neither sanitizers nor coverage in it.
if SHARED_LIBRARIES
pkglib_LTLIBRARIES += kedge-clock.la kedge-kill.la
kedge_clock_la_SOURCES = %D%/clockshim.c %D%/clockfile.h
kedge_clock_la_CFLAGS = $(KEDGE_WFLAGS)
kedge_clock_la_LDFLAGS = -module -avoid-version -shared
kedge_clock_la_LIBADD = $(DL_LIBS)
kedge_kill_la_SOURCES = %D%/iofault.c %D%/iofault.h
kedge_kill_la_CFLAGS = $(KEDGE_WFLAGS)
kedge_kill_la_LDFLAGS = -module -avoid-version -shared
endif

# What the cases are for: two tables, and the sentences of the contract that one of them is about.
kedge_covers = %D%/promises.tsv %D%/catalogue.tsv
EXTRA_DIST += $(kedge_covers) %D%/sentences.awk %D%/covers.awk
CLEANFILES += %D%/covers.inc
%D%/covers.inc: $(kedge_covers) %D%/sentences.awk %D%/covers.awk include/kedge/backend.h
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	  $(AWK) -f $(srcdir)/%D%/sentences.awk $(srcdir)/include/kedge/backend.h >$@.s && \
	  $(AWK) -f $(srcdir)/%D%/covers.awk $@.s $(srcdir)/%D%/promises.tsv $(srcdir)/%D%/catalogue.tsv >$@.t && \
	  rm $@.s && mv $@.t $@
$(libconform_la_OBJECTS): | %D%/covers.inc
