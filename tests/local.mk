# How to add a test.
#
# A program that uses Check (srunner_set_tap(sr, "-")); without Check it is
# counted as skipped:
#
#	KEDGE_CHECK_TESTS += test_x
#	test_x_SOURCES = %D%/unit/test_x.c
#	test_x_CPPFLAGS = $(KEDGE_CHECK_CPP)
#	test_x_LDADD = $(KEDGE_CHECK_LINK)    internals and all backends, statically
#
# A program that prints TAP itself: check_PROGRAMS, TESTS, and libkedge-core.la or
# (the library as an application sees it) libkedge.la in its LDADD.
# A script that prints TAP: dist_check_SCRIPTS and TESTS.
# One that runs over a backend sources support/backend.sh, which knows the backends.

TEST_EXTENSIONS = .sh
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER = $(LOG_DRIVER)
# A test that hangs is a test that failed; KEDGE_TEST_TIMEOUT is in seconds.
KEDGE_TEST_TIMEOUT = 900
LOG_COMPILER = timeout -k 10 $(KEDGE_TEST_TIMEOUT)
SH_LOG_COMPILER = $(LOG_COMPILER) $(SHELL)

# What tests may rely on.  The user's own settings go to TESTS_ENVIRONMENT.
#   KEDGE               the kedge program of this build
#   KEDGE_BUILT         names of all backends of this build
#   KEDGE_BUILT_STATIC  those of them that are inside the library
#   KEDGE_WRAPPERS      names of the wrappers of this build
#   KEDGE_MUTANT_MODULES  names of its modules with defects
#   KEDGE_BACKEND_PATH  where this build's modules are
#   KEDGE_SHIM_PATH     where its shims are, which the suite preloads
#   KEDGE_LIB, KEDGE_MAP, KEDGE_NM, KEDGE_CC, KEDGE_CFLAGS, KEDGE_CXX  for tests of the build itself
#   KEDGE_FUZZ_TARGETS  fuzz targets of this build
#   KEDGE_SRCDIR, KEDGE_BUILDDIR  absolute
#   KEDGE_TEST_LONG     set by scripts/check-long.sh: take your time
#   KEDGE_TEST_BACKEND  set by the user: the contract and the engine over this backend alone.
#                       make check KEDGE_TEST_BACKEND=lmdb
kedge_test_backend_known = $(if $(filter-out $(kedge_static_backends) $(kedge_module_backends), \
	$(KEDGE_TEST_BACKEND)),$(error KEDGE_TEST_BACKEND is '$(KEDGE_TEST_BACKEND)', which is not \
	built; built are: $(kedge_static_backends) $(kedge_module_backends)))
AM_TESTS_ENVIRONMENT = $(kedge_test_backend_known) \
	KEDGE='$(abs_builddir)/kedge'; export KEDGE; \
	KEDGE_BUILT='$(kedge_static_backends) $(kedge_module_backends)'; export KEDGE_BUILT; \
	KEDGE_BUILT_STATIC='$(kedge_static_backends)'; export KEDGE_BUILT_STATIC; \
	KEDGE_WRAPPERS='$(kedge_wrappers)'; export KEDGE_WRAPPERS; \
	KEDGE_MUTANT_MODULES='$(kedge_mutants)'; export KEDGE_MUTANT_MODULES; \
	KEDGE_BACKEND_PATH='$(abs_builddir)/.libs'; export KEDGE_BACKEND_PATH; \
	KEDGE_SHIM_PATH='$(abs_builddir)/.libs'; export KEDGE_SHIM_PATH; \
	KEDGE_LIB='$(abs_builddir)/.libs/libkedge.so'; export KEDGE_LIB; \
	KEDGE_MAP='$(abs_builddir)/src/kedge.map'; export KEDGE_MAP; \
	KEDGE_NM='$(NM)'; export KEDGE_NM; \
	KEDGE_CC='$(CC)'; export KEDGE_CC; KEDGE_CXX='$(CXX)'; export KEDGE_CXX; \
	KEDGE_CFLAGS='$(KEDGE_CFLAGS) $(CFLAGS)'; export KEDGE_CFLAGS; \
	KEDGE_CHECK_TESTS='$(KEDGE_CHECK_TESTS)'; export KEDGE_CHECK_TESTS; \
	KEDGE_FUZZ_TARGETS='$(KEDGE_FUZZ_TARGETS)'; export KEDGE_FUZZ_TARGETS; \
	KEDGE_SRCDIR='$(abs_srcdir)'; export KEDGE_SRCDIR; \
	KEDGE_BUILDDIR='$(abs_builddir)'; export KEDGE_BUILDDIR; \
	KEDGE_PAGES='$(kedge_pages)'; export KEDGE_PAGES; \
	srcdir='$(srcdir)'; export srcdir; \
	MALLOC_PERTURB_=$${MALLOC_PERTURB_-$$(( $$$$ % 255 + 1 ))}; export MALLOC_PERTURB_; \
	CK_DEFAULT_TIMEOUT=$${CK_DEFAULT_TIMEOUT-60}; export CK_DEFAULT_TIMEOUT; \
	unset KEDGE_STORE;

KEDGE_CHECK_CPP = $(AM_CPPFLAGS) $(CHECK_CFLAGS)
KEDGE_CHECK_LINK = libkedge-core.la $(CHECK_LIBS) $(PTHREAD_LIBS)

KEDGE_CHECK_TESTS =
dist_check_SCRIPTS += %D%/without-check.sh
if HAVE_CHECK
check_PROGRAMS += $(KEDGE_CHECK_TESTS)
TESTS += $(KEDGE_CHECK_TESTS)
else
TESTS += %D%/without-check.sh
endif

# `make check-valgrind' runs these under valgrind; scripts/check-long.sh calls it.
KEDGE_VALGRIND_TESTS = $(KEDGE_CHECK_TESTS)
KEDGE_VALGRIND = valgrind --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,possible \
	--errors-for-leak-kinds=definite --quiet
check-valgrind: all
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(KEDGE_VALGRIND_TESTS)' CK_FORK=no CK_TIMEOUT_MULTIPLIER=20 \
	  LOG_COMPILER='timeout -k 10 $(KEDGE_TEST_TIMEOUT) $(LIBTOOL) --mode=execute $(KEDGE_VALGRIND)'
.PHONY: check-valgrind

# ----------------------------------------------------------- the core: unit
KEDGE_CHECK_TESTS += test_url test_registry test_store
test_url_SOURCES = %D%/unit/test_url.c
test_url_CPPFLAGS = $(KEDGE_CHECK_CPP)
test_url_LDADD = $(KEDGE_CHECK_LINK)
test_registry_SOURCES = %D%/unit/test_registry.c
test_registry_CPPFLAGS = $(KEDGE_CHECK_CPP)
test_registry_LDADD = $(KEDGE_CHECK_LINK)
test_store_SOURCES = %D%/unit/test_store.c
test_store_CPPFLAGS = $(KEDGE_CHECK_CPP)
test_store_LDADD = $(KEDGE_CHECK_LINK)
KEDGE_CHECK_TESTS += test_json
test_json_SOURCES = %D%/unit/test_json.c
test_json_CPPFLAGS = $(KEDGE_CHECK_CPP)
test_json_LDADD = $(KEDGE_CHECK_LINK)
check_PROGRAMS += test_cjson
TESTS += test_cjson
test_cjson_SOURCES = %D%/test_cjson.c
test_cjson_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
test_cjson_LDADD = libkedge.la $(CJSON_LIBS)
KEDGE_CHECK_TESTS += test_testing
test_testing_SOURCES = %D%/unit/test_testing.c
test_testing_CPPFLAGS = $(KEDGE_CHECK_CPP)
test_testing_LDADD = $(KEDGE_CHECK_LINK)
KEDGE_CHECK_TESTS += test_enumerate
test_enumerate_SOURCES = %D%/unit/test_enumerate.c
test_enumerate_CPPFLAGS = $(KEDGE_CHECK_CPP)
test_enumerate_LDADD = $(KEDGE_CHECK_LINK)

KEDGE_CHECK_TESTS += test_record
test_record_SOURCES = %D%/unit/test_record.c
test_record_CPPFLAGS = $(KEDGE_CHECK_CPP) $(XXHASH_CFLAGS)
test_record_LDADD = $(KEDGE_CHECK_LINK)
KEDGE_CHECK_TESTS += test_progress
test_progress_SOURCES = %D%/unit/test_progress.c
test_progress_CPPFLAGS = $(KEDGE_CHECK_CPP) $(XXHASH_CFLAGS)
test_progress_LDADD = $(KEDGE_CHECK_LINK)
KEDGE_CHECK_TESTS += test_reactor
test_reactor_SOURCES = %D%/unit/test_reactor.c
test_reactor_CPPFLAGS = $(KEDGE_CHECK_CPP) $(XXHASH_CFLAGS)
test_reactor_LDADD = $(KEDGE_CHECK_LINK)

KEDGE_CHECK_TESTS += test_start
test_start_SOURCES = %D%/unit/test_start.c %D%/support/journal.c %D%/support/journal.h
test_start_CPPFLAGS = $(KEDGE_CHECK_CPP)
test_start_LDADD = $(KEDGE_CHECK_LINK)

KEDGE_CHECK_TESTS += test_inspect
test_inspect_SOURCES = %D%/unit/test_inspect.c
test_inspect_CPPFLAGS = $(KEDGE_CHECK_CPP)
test_inspect_LDADD = $(KEDGE_CHECK_LINK)

KEDGE_CHECK_TESTS += test_worker
test_worker_SOURCES = %D%/unit/test_worker.c
test_worker_CPPFLAGS = $(KEDGE_CHECK_CPP)
test_worker_LDADD = $(KEDGE_CHECK_LINK)

# ------------------------------------------------------ the rules of the contract
KEDGE_CHECK_TESTS += test_rules test_mem test_remote
test_remote_SOURCES = %D%/unit/test_remote.c
test_remote_CPPFLAGS = $(KEDGE_CHECK_CPP)
test_remote_LDADD = $(KEDGE_CHECK_LINK)
test_rules_SOURCES = %D%/unit/test_rules.c
test_rules_CPPFLAGS = $(KEDGE_CHECK_CPP)
test_rules_LDADD = $(KEDGE_CHECK_LINK)
test_mem_SOURCES = %D%/unit/test_mem.c
test_mem_CPPFLAGS = $(KEDGE_CHECK_CPP)
test_mem_LDADD = $(KEDGE_CHECK_LINK)

# ----------------------------------------------- the checkers of histories
KEDGE_CHECK_TESTS += test_checkers
test_checkers_SOURCES = %D%/unit/test_checkers.c $(KEDGE_CHECKERS)
test_checkers_CPPFLAGS = $(KEDGE_CHECK_CPP) $(CJSON_CFLAGS)
test_checkers_LDADD = $(CHECK_LIBS) $(CJSON_LIBS) $(PTHREAD_LIBS)

# -------------------------------------------------- the build and the program
check_PROGRAMS += test_abi
TESTS += test_abi
test_abi_SOURCES = %D%/test_abi.c

# Runs for cli.sh, from below: without a worker.
check_PROGRAMS += make_runs
make_runs_SOURCES = %D%/support/make_runs.c %D%/support/journal.c %D%/support/journal.h
make_runs_LDADD = libkedge-core.la $(PTHREAD_LIBS)

# A member of a JSON document, for scripts.
check_PROGRAMS += json_get
json_get_SOURCES = %D%/support/json_get.c
json_get_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
json_get_LDADD = $(CJSON_LIBS)
EXTRA_DIST += %D%/support/tap.sh %D%/support/long.sh

dist_check_SCRIPTS += %D%/headers.sh %D%/sources.sh %D%/exports.sh %D%/cli.sh %D%/cli_runs.sh %D%/man.sh %D%/docs.sh \
	%D%/plugin.sh %D%/wrap.sh %D%/readme.sh %D%/conform.sh %D%/bench.sh
TESTS += %D%/headers.sh %D%/sources.sh %D%/exports.sh %D%/cli.sh %D%/cli_runs.sh %D%/man.sh %D%/docs.sh \
	%D%/plugin.sh %D%/wrap.sh %D%/readme.sh %D%/conform.sh %D%/bench.sh

# The sentences of the contract, the catalogue, and the cases that hold them.
dist_check_SCRIPTS += %D%/promises.sh
TESTS += %D%/promises.sh

dist_check_SCRIPTS += %D%/demo.sh
TESTS += %D%/demo.sh

# Servers of a test's own: support/server.sh says how.  PostgreSQL's first files are made once.
dist_check_SCRIPTS += %D%/servers.sh
TESTS += %D%/servers.sh
EXTRA_DIST += %D%/support/servers.sh %D%/support/server.sh
CLEANFILES += pg-template-*.tar

# What such a server flushes, counted.  It is preloaded into programs that are not ours, so it has
# neither sanitizers nor coverage in it; nor has kedge-clock.so (conform/local.mk).
check_LTLIBRARIES += libflushshim.la
libflushshim_la_SOURCES = %D%/support/flushshim.c
libflushshim_la_CFLAGS = $(KEDGE_WFLAGS)
libflushshim_la_LDFLAGS = -avoid-version -shared -rpath /nowhere
libflushshim_la_LIBADD = $(DL_LIBS)
check_PROGRAMS += clock_set
clock_set_SOURCES = conform/clock_set.c conform/clockfile.h
dist_check_SCRIPTS += %D%/clock.sh
TESTS += %D%/clock.sh

# ------------------------------------------------- storage contract (backends)
# The tiers of the conformance suite (conform/) over each backend.
kedge_contract_tests = %D%/contract/mem.sh %D%/contract/lmdb.sh %D%/contract/gather-lmdb.sh %D%/contract/redis.sh \
	%D%/contract/postgresql.sh %D%/contract/shared.sh %D%/contract/digests.sh \
	%D%/contract/faults-lmdb.sh %D%/contract/faults-redis.sh %D%/contract/faults-postgresql.sh
dist_check_SCRIPTS += $(kedge_contract_tests)
TESTS += $(kedge_contract_tests)
# The template for backends of others, built as they build theirs.
dist_check_SCRIPTS += %D%/store_file.sh
TESTS += %D%/store_file.sh
EXTRA_DIST += %D%/engine/takeovers.sh %D%/contract/run.sh %D%/support/backend.sh

# The suite notices what it must: broken backends (backends/wrap/mutants.def).
#	make check-mutants [MUTANTS='[--full] [--repeat K] [ID...]']
dist_check_SCRIPTS += %D%/mutants.sh
TESTS += %D%/mutants.sh
EXTRA_DIST += conform/unkilled.tsv
check-mutants: all $(check_LTLIBRARIES) clock_set$(EXEEXT)
	@$(AM_TESTS_ENVIRONMENT) KEDGE_TEST_LONG=1; export KEDGE_TEST_LONG; \
	  $(SHELL) '$(abs_srcdir)/tests/mutants.sh' $(MUTANTS)
.PHONY: check-mutants

# ---------------------------------------------------------- crash and hammer
# Programs over the LMDB backend; each can be run by hand and prints its seed.
# KEDGE_TEST_DIR: where the stores are; KEDGE_TEST_KEEP: leave them there.
# libcrash.la holds the shim for writing calls, which must be in the program and
# in its dynamic symbol table, so that liblmdb finds it first.
check_LTLIBRARIES += libcrash.la
libcrash_la_SOURCES = conform/iofault.c conform/iofault.h %D%/crash/crash.c \
	%D%/crash/crash.h %D%/support/tsan.h %D%/crash/dump.c %D%/crash/client.c %D%/crash/client.h \
	%D%/crash/script.c %D%/crash/script.h %D%/crash/disk.c %D%/crash/disk.h
KEDGE_CRASH_TESTS = crash_shim crash_enumerate crash_stall crash_wakeup crash_full crash_room \
	crash_refuse crash_reboot crash_hammer
KEDGE_CRASH_LINK = libcrash.la libkedge-core.la $(LMDB_LIBS) $(PTHREAD_LIBS)
KEDGE_CRASH_EXPORT = $(AM_LDFLAGS) -export-dynamic
EXTRA_PROGRAMS += $(KEDGE_CRASH_TESTS)
crash_shim_SOURCES = %D%/crash/shim.c
crash_shim_CPPFLAGS = $(AM_CPPFLAGS) $(LMDB_CFLAGS)
crash_shim_LDADD = $(KEDGE_CRASH_LINK)
crash_shim_LDFLAGS = $(KEDGE_CRASH_EXPORT)
crash_enumerate_SOURCES = %D%/crash/enumerate.c
crash_enumerate_LDADD = $(KEDGE_CRASH_LINK)
crash_enumerate_LDFLAGS = $(KEDGE_CRASH_EXPORT)
crash_stall_SOURCES = %D%/crash/stall.c
crash_stall_LDADD = $(KEDGE_CRASH_LINK)
crash_stall_LDFLAGS = $(KEDGE_CRASH_EXPORT)
crash_wakeup_SOURCES = %D%/crash/wakeup.c
crash_wakeup_LDADD = $(KEDGE_CRASH_LINK)
crash_wakeup_LDFLAGS = $(KEDGE_CRASH_EXPORT)
crash_full_SOURCES = %D%/crash/full.c
crash_full_LDADD = $(KEDGE_CRASH_LINK)
crash_full_LDFLAGS = $(KEDGE_CRASH_EXPORT)
crash_room_SOURCES = %D%/crash/room.c
crash_room_LDADD = $(KEDGE_CRASH_LINK)
crash_room_LDFLAGS = $(KEDGE_CRASH_EXPORT)
crash_refuse_SOURCES = %D%/crash/refuse.c
crash_refuse_CPPFLAGS = $(AM_CPPFLAGS) $(LMDB_CFLAGS)
crash_refuse_LDADD = $(KEDGE_CRASH_LINK)
crash_refuse_LDFLAGS = $(KEDGE_CRASH_EXPORT)
crash_reboot_SOURCES = %D%/crash/reboot.c
crash_reboot_LDADD = libworld.la libkedge.la $(DL_LIBS) $(PTHREAD_LIBS)
crash_reboot_LDFLAGS = $(KEDGE_CRASH_EXPORT)
crash_hammer_SOURCES = %D%/crash/hammer.c %D%/crash/hammer.h %D%/crash/hammer_work.c \
	%D%/crash/hammer_check.c
crash_hammer_LDADD = $(KEDGE_CRASH_LINK)
crash_hammer_LDFLAGS = $(KEDGE_CRASH_EXPORT)
dist_check_SCRIPTS += %D%/crash/gather.sh
TESTS += %D%/crash/gather.sh
if STATIC_LMDB
check_PROGRAMS += $(KEDGE_CRASH_TESTS)
TESTS += $(KEDGE_CRASH_TESTS)
endif
if MODULE_LMDB
check_PROGRAMS += $(KEDGE_CRASH_TESTS)
TESTS += $(KEDGE_CRASH_TESTS)
endif

# ------------------------------------------------------------------ servers
check_PROGRAMS += proxy_test
proxy_test_SOURCES = %D%/support/proxy_test.c
proxy_test_LDADD = libproxy.la
TESTS += proxy_test
# Every operation while its server ends its connections: ./strikes BACKEND URL STRUCK-URL COMMAND
check_PROGRAMS += strikes
strikes_SOURCES = %D%/servers/strikes.c
strikes_LDADD = libworld.la libkedge.la $(PTHREAD_LIBS)
# What a server thinks of a session after each kind of call: ./after BACKEND URL COMMAND
check_PROGRAMS += after
after_SOURCES = %D%/servers/after.c
after_LDADD = libworld.la libkedge.la $(PTHREAD_LIBS)
# A server's answers are none of those expected: ./lies BACKEND URL ADDRESS LIE...
check_PROGRAMS += lies
lies_SOURCES = %D%/servers/lies.c
lies_LDADD = libworld.la libproxy.la libkedge.la $(PTHREAD_LIBS)
# Runs that are under way while their server is in trouble: ./survive NAME URL DIR BREAK HEAL
check_PROGRAMS += survive
survive_SOURCES = %D%/servers/survive.c %D%/servers/survive.h %D%/servers/survive_check.c \
	%D%/engine/effects.c %D%/engine/effects.h
survive_LDADD = libkedge.la $(PTHREAD_LIBS)
# A worker is killed whose word is still under way: ./late URL ADDRESS DIR
check_PROGRAMS += late
late_SOURCES = %D%/servers/late.c %D%/engine/effects.c %D%/engine/effects.h
late_LDADD = libproxy.la libkedge.la $(PTHREAD_LIBS)
# A Redis that is looked at beside the contract, or that something is done to: servers/redis_cases.c
check_PROGRAMS += redis_cases
redis_cases_SOURCES = %D%/servers/redis_cases.c %D%/servers/redis_cases.h \
	%D%/servers/redis_seen.c %D%/servers/redis_seen.h %D%/servers/redis_costs.c \
	%D%/servers/redis_events.c
redis_cases_LDADD = libworld.la libkedge.la $(PTHREAD_LIBS)
check_PROGRAMS += redis_runs
redis_runs_SOURCES = %D%/servers/redis_runs.c %D%/servers/redis_seen.c %D%/servers/redis_seen.h \
	%D%/support/saga.c %D%/support/saga.h
redis_runs_LDADD = libkedge.la $(PTHREAD_LIBS)
# A server that was started again, and leases: ./renewed BACKEND URL ADDRESS RESTART
check_PROGRAMS += renewed
renewed_SOURCES = %D%/servers/renewed.c
renewed_LDADD = libworld.la libproxy.la libkedge.la $(PTHREAD_LIBS)
kedge_servers_tests = %D%/servers/renewed-redis.sh %D%/servers/renewed-postgresql.sh \
	%D%/servers/costs-redis.sh %D%/servers/events-redis.sh \
	%D%/servers/moves-redis.sh %D%/servers/cluster-redis.sh %D%/servers/keys-redis.sh \
	%D%/servers/access-redis.sh \
	%D%/servers/late-redis.sh %D%/servers/late-postgresql.sh \
	%D%/servers/faults-redis.sh %D%/servers/faults-postgresql.sh \
	%D%/servers/strikes-redis.sh %D%/servers/strikes-postgresql.sh %D%/servers/lies-redis.sh \
	%D%/servers/settings-postgresql.sh \
	%D%/servers/trouble-redis.sh %D%/servers/trouble-postgresql.sh \
	%D%/servers/info-redis.sh %D%/servers/info-postgresql.sh \
	%D%/servers/failover-redis.sh %D%/servers/failover-postgresql.sh %D%/servers/disk-postgresql.sh
# So much work of one kind, for scripts that count at the server: ./toil URL WORK N...,
# and over the whole engine: ./steps URL RUNS STEPS
check_PROGRAMS += toil steps
toil_SOURCES = %D%/servers/toil.c
toil_LDADD = libworld.la libkedge.la $(PTHREAD_LIBS)
steps_SOURCES = %D%/servers/steps.c %D%/support/saga.c %D%/support/saga.h
steps_LDADD = libkedge.la $(PTHREAD_LIBS)
kedge_servers_tests += %D%/servers/costs-postgresql.sh %D%/servers/hot-postgresql.sh \
	%D%/servers/growth-postgresql.sh
EXTRA_DIST += %D%/servers/figures.sh
kedge_servers_tests += %D%/servers/bench-redis.sh %D%/servers/bench-postgresql.sh
EXTRA_DIST += %D%/servers/bench.sh
kedge_servers_tests += %D%/servers/prepared-postgresql.sh %D%/servers/lost-postgresql.sh
kedge_servers_tests += %D%/servers/pooler-postgresql.sh %D%/servers/isolation-postgresql.sh \
	%D%/servers/roles-postgresql.sh
EXTRA_DIST += %D%/servers/contract.sh
kedge_servers_tests += %D%/servers/tls-postgresql.sh
# A kedge with tables one version ahead: ./next_schema URL open | migrate | print
next_schema_SOURCES = %D%/servers/next_schema.c
next_schema_LDADD = libkedge-core.la $(PTHREAD_LIBS)
EXTRA_PROGRAMS += next_schema
if STATIC_POSTGRESQL
check_PROGRAMS += next_schema
endif
kedge_servers_tests += %D%/servers/schema-postgresql.sh
# A store that another process serves: ./deaths URL, ./frames URL LOG [SEED]
check_PROGRAMS += deaths frames
deaths_SOURCES = %D%/shared/deaths.c %D%/shared/client.c %D%/shared/client.h
deaths_LDADD = libkedge.la $(PTHREAD_LIBS)
frames_SOURCES = %D%/shared/frames.c %D%/shared/client.c %D%/shared/client.h
frames_LDADD = libkedge-wire.la libkedge.la $(PTHREAD_LIBS)
kedge_servers_tests += %D%/servers/refd-shared.sh %D%/servers/deaths-shared.sh \
	%D%/servers/frames-shared.sh
dist_check_SCRIPTS += $(kedge_servers_tests)
TESTS += $(kedge_servers_tests)
EXTRA_DIST += %D%/servers/with.sh %D%/servers/info.sh %D%/servers/move-slot.sh

# ------------------------------------------------------------- whole sagas
KEDGE_FAULT = conform/fault_backend.c conform/fault_backend.h %D%/support/fault_store.c \
	%D%/support/fault_store.h $(kedge_forward)
# Over one store, by hand: ./sagas lmdb:/tmp/x; death at every store call, each on a store of its
# own: ./doomed lmdb:/tmp/x/{} [SAGA [K]]
check_PROGRAMS += sagas doomed enumerate takeover chaos frozen timeouts requests inspect
timeouts_SOURCES = %D%/engine/timeouts.c %D%/engine/effects.c %D%/engine/effects.h
timeouts_LDADD = libkedge.la $(PTHREAD_LIBS)
enumerate_SOURCES = %D%/engine/enumerate.c
enumerate_LDADD = libkedge.la $(PTHREAD_LIBS)
TESTS += enumerate
requests_SOURCES = %D%/engine/requests.h %D%/engine/requests_kit.c %D%/engine/requests.c \
	%D%/engine/requests_stuck.c %D%/engine/requests_race.c conform/clockfile.c \
	conform/clockfile.h $(KEDGE_FAULT)
requests_LDADD = libkedge-core.la $(PTHREAD_LIBS)
inspect_SOURCES = %D%/engine/requests.h %D%/engine/requests_kit.c %D%/engine/inspect.h \
	%D%/engine/inspect.c %D%/engine/inspect_journal.c %D%/engine/inspect_workers.c \
	conform/clockfile.c conform/clockfile.h $(KEDGE_FAULT)
inspect_LDADD = libkedge-core.la $(PTHREAD_LIBS)
chaos_SOURCES = %D%/engine/chaos.c %D%/engine/chaos.h %D%/engine/chaos_check.c \
	%D%/engine/effects.c %D%/engine/effects.h
chaos_LDADD = libkedge.la $(PTHREAD_LIBS)
frozen_SOURCES = %D%/engine/frozen.c %D%/engine/effects.c %D%/engine/effects.h
frozen_LDADD = libkedge.la $(PTHREAD_LIBS)
takeover_SOURCES = %D%/engine/takeover.c %D%/engine/takeover.h %D%/engine/takeover_worker.c \
	%D%/support/fault_store.c %D%/support/fault_store.h
takeover_LDADD = libkedge-core.la $(PTHREAD_LIBS)
sagas_SOURCES = %D%/engine/sagas.c
sagas_LDADD = libkedge.la $(PTHREAD_LIBS)
doomed_SOURCES = %D%/engine/doomed.c %D%/engine/doomed.h %D%/engine/doomed_sagas.c \
	%D%/engine/doomed_model.c %D%/engine/doomed_asked.c %D%/engine/doomed_kit.h
doomed_LDADD = libkedge.la $(PTHREAD_LIBS)
kedge_engine_tests = %D%/engine/sagas-mem.sh %D%/engine/sagas-lmdb.sh %D%/engine/doomed-mem.sh \
	%D%/engine/doomed-lmdb.sh %D%/engine/takeover.sh %D%/engine/chaos.sh %D%/engine/frozen.sh \
	%D%/engine/timeouts-mem.sh %D%/engine/timeouts-lmdb.sh \
	%D%/engine/requests-mem.sh %D%/engine/requests-lmdb.sh \
	%D%/engine/inspect-mem.sh %D%/engine/inspect-lmdb.sh

# The same, but for several stores in one go: ./turns mem: lmdb:/tmp/x
KEDGE_SAGA = %D%/support/saga.c %D%/support/saga.h
check_PROGRAMS += turns
turns_SOURCES = %D%/engine/turns.c $(KEDGE_SAGA)
turns_LDADD = libkedge.la $(PTHREAD_LIBS)
EXTRA_DIST += %D%/engine/over.sh %D%/engine/run.sh
check_PROGRAMS += alloc behave counts queues upkeep
alloc_SOURCES = %D%/engine/alloc.c $(KEDGE_SAGA)
alloc_LDADD = libkedge.la $(PTHREAD_LIBS)
TESTS += alloc
behave_SOURCES = %D%/engine/behave.c $(KEDGE_SAGA)
behave_LDADD = libkedge.la $(PTHREAD_LIBS)
counts_SOURCES = %D%/engine/counts.c $(KEDGE_SAGA) $(KEDGE_FAULT)
counts_LDADD = libkedge-core.la $(PTHREAD_LIBS)
queues_SOURCES = %D%/engine/queues.c $(KEDGE_SAGA) $(KEDGE_FAULT)
upkeep_SOURCES = %D%/engine/upkeep.c %D%/engine/upkeep.h %D%/engine/upkeep_sweep.c \
	%D%/engine/upkeep_purge.c $(KEDGE_SAGA) $(KEDGE_FAULT)
upkeep_LDADD = libkedge-core.la $(PTHREAD_LIBS)
queues_LDADD = libkedge-core.la $(PTHREAD_LIBS)
kedge_engine_tests += %D%/engine/chaos-shared.sh
kedge_engine_tests += %D%/engine/turns.sh %D%/engine/behave.sh %D%/engine/counts.sh \
	%D%/engine/queues.sh %D%/engine/upkeep.sh

# All of them over the servers, one script each: what is slow is so by itself.
kedge_engine_tests += %D%/engine/sagas-redis.sh %D%/engine/doomed-redis.sh \
	%D%/engine/takeover-redis.sh %D%/engine/chaos-redis.sh %D%/engine/frozen-redis.sh \
	%D%/engine/timeouts-redis.sh %D%/engine/requests-redis.sh %D%/engine/inspect-redis.sh \
	%D%/engine/turns-redis.sh %D%/engine/behave-redis.sh %D%/engine/counts-redis.sh \
	%D%/engine/queues-redis.sh %D%/engine/upkeep-redis.sh
kedge_engine_tests += %D%/engine/sagas-postgresql.sh %D%/engine/doomed-postgresql.sh \
	%D%/engine/takeover-postgresql.sh %D%/engine/chaos-postgresql.sh \
	%D%/engine/frozen-postgresql.sh %D%/engine/timeouts-postgresql.sh \
	%D%/engine/requests-postgresql.sh %D%/engine/inspect-postgresql.sh \
	%D%/engine/turns-postgresql.sh %D%/engine/behave-postgresql.sh \
	%D%/engine/counts-postgresql.sh %D%/engine/queues-postgresql.sh \
	%D%/engine/upkeep-postgresql.sh

dist_check_SCRIPTS += $(kedge_engine_tests)
TESTS += $(kedge_engine_tests)

# --------------------------------------------------------------- bad input
# What a person or a program does wrong, from outside: ./badinput mem: lmdb:/tmp/x
check_PROGRAMS += badinput
badinput_SOURCES = %D%/badinput/badinput.h %D%/support/tsan.h \
	%D%/badinput/badinput.c %D%/badinput/values.c \
	%D%/badinput/names.c %D%/badinput/calls.c %D%/badinput/steps.c %D%/badinput/forked.c $(KEDGE_SAGA)
badinput_LDADD = libkedge.la $(PTHREAD_LIBS)
# It stands in front of a function of the C library, for libkedge too.
check_PROGRAMS += place
place_SOURCES = %D%/badinput/place.c
place_LDADD = libkedge.la $(DL_LIBS)
place_LDFLAGS = $(AM_LDFLAGS) -export-dynamic
kedge_badinput_tests = %D%/badinput/badinput.sh %D%/badinput/badinput-redis.sh \
	%D%/badinput/badinput-postgresql.sh %D%/badinput/places.sh \
	%D%/badinput/urls-redis.sh %D%/badinput/urls-postgresql.sh
EXTRA_DIST += %D%/badinput/urls.sh

dist_check_SCRIPTS += $(kedge_badinput_tests)
TESTS += $(kedge_badinput_tests)
