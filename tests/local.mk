# How to add a test.  A program that speaks TAP (a Check runner with
# srunner_set_tap, or your own printing):
#
#	check_PROGRAMS += test_x
#	TESTS += test_x
#	test_x_SOURCES = %D%/unit/test_x.c
#	test_x_LDADD = libkedge-core.la        internals and all backends, statically
#	test_x_LDADD = libkedge.la             the library, as an application sees it
#
# With Check: test_x_CPPFLAGS = $(AM_CPPFLAGS) $(CHECK_CFLAGS), $(CHECK_LIBS) in
# LDADD, inside `if HAVE_CHECK'; and its name in KEDGE_CHECK_TESTS, from which a
# build without Check counts its skips.  A script: dist_check_SCRIPTS and TESTS.

TEST_EXTENSIONS = .sh
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = $(SHELL)

# What tests may rely on.  The user's own settings go to TESTS_ENVIRONMENT.
#   KEDGE               the kedge program of this build
#   KEDGE_BUILT         names of all backends of this build
#   KEDGE_BUILT_STATIC  those of them that are inside the library
#   KEDGE_BACKEND_PATH  where this build's modules are
#   KEDGE_LIB, KEDGE_MAP, KEDGE_NM, KEDGE_CC, KEDGE_CXX  for tests of the build itself
#   KEDGE_SRCDIR, KEDGE_BUILDDIR  absolute
AM_TESTS_ENVIRONMENT = \
	KEDGE='$(abs_builddir)/kedge'; export KEDGE; \
	KEDGE_BUILT='$(kedge_static_backends) $(kedge_module_backends)'; export KEDGE_BUILT; \
	KEDGE_BUILT_STATIC='$(kedge_static_backends)'; export KEDGE_BUILT_STATIC; \
	KEDGE_BACKEND_PATH='$(abs_builddir)/.libs'; export KEDGE_BACKEND_PATH; \
	KEDGE_LIB='$(abs_builddir)/.libs/libkedge.so'; export KEDGE_LIB; \
	KEDGE_MAP='$(abs_builddir)/src/kedge.map'; export KEDGE_MAP; \
	KEDGE_NM='$(NM)'; export KEDGE_NM; \
	KEDGE_CC='$(CC)'; export KEDGE_CC; KEDGE_CXX='$(CXX)'; export KEDGE_CXX; \
	KEDGE_SRCDIR='$(abs_srcdir)'; export KEDGE_SRCDIR; \
	KEDGE_BUILDDIR='$(abs_builddir)'; export KEDGE_BUILDDIR; \
	srcdir='$(srcdir)'; export srcdir; \
	MALLOC_PERTURB_=$${MALLOC_PERTURB_-$$(( $$$$ % 255 + 1 ))}; export MALLOC_PERTURB_; \
	unset KEDGE_STORE;

# ----------------------------------------------------------- the core: unit
KEDGE_CHECK_TESTS =
if HAVE_CHECK
endif

# -------------------------------------------------- the build and the program

# ------------------------------------------------- storage contract (backends)

# ---------------------------------------------------------- crash and hammer
