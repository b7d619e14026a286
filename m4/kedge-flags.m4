# KEDGE_DEVELOPER_FLAGS
# ---------------------
# Everything a developer may switch on.  The user's CFLAGS are never touched:
# the results go to KEDGE_CFLAGS / KEDGE_LDFLAGS, which Makefile.am puts into
# AM_CFLAGS / AM_LDFLAGS, so that `make CFLAGS=...' still wins.
AC_DEFUN([KEDGE_DEVELOPER_FLAGS], [
  KEDGE_CFLAGS=
  KEDGE_LDFLAGS=
  KEDGE_WFLAGS=

  AC_ARG_ENABLE([warnings],
    [AS_HELP_STRING([--disable-warnings], [do not add our set of compiler warnings])],
    [], [enable_warnings=yes])
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [turn warnings into errors (developers and CI only)])],
    [], [enable_werror=no])
  AS_IF([test "x$enable_warnings" = xyes], [
    AX_APPEND_COMPILE_FLAGS([dnl
      -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wvla dnl
      -Wstrict-prototypes -Wmissing-prototypes -Wmissing-declarations dnl
      -Wold-style-definition -Wredundant-decls -Wnested-externs dnl
      -Wcast-qual -Wcast-align=strict -Wpointer-arith -Wwrite-strings dnl
      -Wformat=2 -Wformat-signedness -Wundef -Winit-self -Wfloat-equal dnl
      -Wswitch-enum -Wimplicit-fallthrough -Wnull-dereference dnl
      -Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wdouble-promotion],
      [KEDGE_WFLAGS], [-Werror])
  ])
  AS_IF([test "x$enable_werror" = xyes], [KEDGE_WFLAGS="$KEDGE_WFLAGS -Werror"])

  AC_ARG_WITH([sanitizer],
    [AS_HELP_STRING([--with-sanitizer=LIST], [compile with -fsanitize=LIST, e.g. address,undefined or thread])],
    [], [with_sanitizer=no])
  AS_CASE([$with_sanitizer], [no], [],
    [AS_IF([test "x$with_sanitizer" = xyes], [with_sanitizer=address,undefined])
     KEDGE_CFLAGS="$KEDGE_CFLAGS -fsanitize=$with_sanitizer -fno-omit-frame-pointer -fno-sanitize-recover=undefined"
     KEDGE_LDFLAGS="$KEDGE_LDFLAGS -fsanitize=$with_sanitizer"])

  AC_ARG_ENABLE([coverage],
    [AS_HELP_STRING([--enable-coverage], [instrument for gcov])],
    [], [enable_coverage=no])
  AS_IF([test "x$enable_coverage" = xyes],
    [KEDGE_CFLAGS="$KEDGE_CFLAGS --coverage"
     KEDGE_LDFLAGS="$KEDGE_LDFLAGS --coverage"])

  AX_CHECK_COMPILE_FLAG([-fvisibility=hidden], [KEDGE_CFLAGS="$KEDGE_CFLAGS -fvisibility=hidden"], [], [-Werror])
  AX_CHECK_LINK_FLAG([-Wl,-z,relro -Wl,-z,now], [KEDGE_LDFLAGS="$KEDGE_LDFLAGS -Wl,-z,relro -Wl,-z,now"])
  dnl -z defs makes an unresolved symbol a link error; it cannot be combined
  dnl with the sanitizers, whose runtime is only linked into the program.
  AS_IF([test "x$with_sanitizer" = xno],
    [AX_CHECK_LINK_FLAG([-Wl,-z,defs], [KEDGE_NO_UNDEFINED=-Wl,-z,defs])])
  dnl Under -z defs, --as-needed only drops what a .pc file named in vain.
  AX_CHECK_LINK_FLAG([-Wl,--as-needed], [KEDGE_LDFLAGS="$KEDGE_LDFLAGS -Wl,--as-needed"])
  AX_CHECK_LINK_FLAG([-Wl,--version-script=$srcdir/m4/conftest.map],
    [have_version_script=yes], [have_version_script=no])
  AM_CONDITIONAL([HAVE_VERSION_SCRIPT], [test "x$have_version_script" = xyes])
  AC_SUBST([KEDGE_CFLAGS])
  AC_SUBST([KEDGE_LDFLAGS])
  AC_SUBST([KEDGE_WFLAGS])
  AC_SUBST([KEDGE_NO_UNDEFINED])
])
