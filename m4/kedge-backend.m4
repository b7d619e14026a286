# KEDGE_BACKENDS_INIT
# -------------------
AC_DEFUN([KEDGE_BACKENDS_INIT], [
  kedge_static_backends=
  kedge_module_backends=
  kedge_missing_backends=
  KEDGE_BUILTIN_DECLS=
  KEDGE_PC_REQUIRES_PRIVATE=
])

# KEDGE_SYSTEM_CFLAGS(VAR)
# ------------------------
# Turn -I into -isystem in VAR: our warnings are for our code, and some
# dependencies' headers do not survive -Wconversion.
AC_DEFUN([KEDGE_SYSTEM_CFLAGS],
  [$1=`AS_ECHO(["$$1"]) | $SED 's/\(^\| \)-I *\([[^ ]]\)/\1-isystem \2/g'`])

# _KEDGE_BACKEND_ADD_STATIC(NAME)
# -------------------------------
# Append one entry to the X-macro list in backends/builtin.h.
AC_DEFUN([_KEDGE_BACKEND_ADD_STATIC], [
  kedge_static_backends="${kedge_static_backends:+$kedge_static_backends }$1"
  KEDGE_BUILTIN_DECLS="${KEDGE_BUILTIN_DECLS:+$KEDGE_BUILTIN_DECLS }KEDGE_X($1)"
])

# KEDGE_BACKEND_BUILTIN(NAME): no dependency, always built in.
# ------------------------------------------------------------
AC_DEFUN([KEDGE_BACKEND_BUILTIN], [_KEDGE_BACKEND_ADD_STATIC([$1])])

# KEDGE_BACKEND_MODULE(NAME): no dependency, always a loadable module, where there are such.
# ------------------------------------------------------------------------------------------
AC_DEFUN([KEDGE_BACKEND_MODULE], [
  AS_IF([test "x$enable_shared" = xno],
    [kedge_missing_backends="${kedge_missing_backends:+$kedge_missing_backends }$1"],
    [kedge_module_backends="${kedge_module_backends:+$kedge_module_backends }$1"])
  AM_CONDITIONAL([MODULE_]m4_toupper([$1]), [test "x$enable_shared" != xno])
])

# KEDGE_BACKEND(NAME, VAR, MODULES, [HEADER-ONLY-MODULES])
# --------------------------------------------------------
# --with-NAME=auto|yes|module|no.  'auto' builds the backend into the library if
# its dependencies are found; 'yes' and 'module' fail if they are not: a request
# is never dropped in silence.  VAR_CFLAGS and VAR_LIBS are substituted.  The
# second list is for libraries whose headers are compiled in: they give flags,
# and leave no trace in VAR_LIBS or kedge.pc.
AC_DEFUN([KEDGE_BACKEND], [
  AC_ARG_WITH([$1],
    [AS_HELP_STRING([--with-$1=auto|yes|module|no],
                    [build the $1 backend: into the library (yes), as a loadable module, or not at all @<:@default=auto@:>@])],
    [], [with_$1=auto])
  AS_CASE([$with_$1], [auto|yes|module|no], [],
    [AC_MSG_ERROR([bad value '$with_$1' for --with-$1 (want auto, yes, module or no)])])
  kedge_build_$1=no
  AS_IF([test "x$with_$1" != xno], [
    kedge_errors_$1=
    PKG_CHECK_MODULES([$2], [$3], [kedge_build_$1=yes], [kedge_errors_$1=$$2_PKG_ERRORS])
    m4_ifnblank([$4], [AS_IF([test "x$kedge_build_$1" = xyes],
      [PKG_CHECK_MODULES([$2_HEADERS], [$4], [$2_CFLAGS="$$2_CFLAGS $$2_HEADERS_CFLAGS"],
         [kedge_build_$1=no; kedge_errors_$1=$$2_HEADERS_PKG_ERRORS])])])
    AS_IF([test "x$kedge_build_$1$with_$1" = xnoyes || test "x$kedge_build_$1$with_$1" = xnomodule],
      [AC_MSG_ERROR([--with-$1=$with_$1 was given but pkg-config does not find: $3[]m4_ifnblank([$4], [[, $4]])
$kedge_errors_$1])])
    KEDGE_SYSTEM_CFLAGS([$2_CFLAGS])
    AS_IF([test "x$kedge_build_$1" = xyes],
      [AS_IF([test "x$with_$1" = xmodule], [kedge_build_$1=module], [kedge_build_$1=static])])
  ])
  AS_CASE([$kedge_build_$1],
    [static], [_KEDGE_BACKEND_ADD_STATIC([$1])
               KEDGE_PC_REQUIRES_PRIVATE="${KEDGE_PC_REQUIRES_PRIVATE:+$KEDGE_PC_REQUIRES_PRIVATE, }$3"],
    [module], [AS_IF([test "x$enable_shared" = xno],
                 [AC_MSG_ERROR([--with-$1=module needs shared libraries])])
               kedge_module_backends="${kedge_module_backends:+$kedge_module_backends }$1"],
    [kedge_missing_backends="${kedge_missing_backends:+$kedge_missing_backends }$1"])
  AM_CONDITIONAL([STATIC_]m4_toupper([$1]), [test "x$kedge_build_$1" = xstatic])
  AM_CONDITIONAL([MODULE_]m4_toupper([$1]), [test "x$kedge_build_$1" = xmodule])
])

# KEDGE_BACKENDS_FINISH(PREFERENCE-LIST)
# --------------------------------------
# The default backend: the one asked for, if it is being built; otherwise the
# first of the list that is.
AC_DEFUN([KEDGE_BACKENDS_FINISH], [
  AC_ARG_WITH([default-backend],
    [AS_HELP_STRING([--with-default-backend=NAME],
                    [backend used when a store is named without one @<:@default: first built of $1@:>@])],
    [], [with_default_backend=auto])
  AS_CASE([$with_default_backend],
    [yes|no|""], [AC_MSG_ERROR([--with-default-backend needs a name])],
    [auto],
      [for kedge_b in $1; do
         AS_CASE([" $kedge_static_backends $kedge_module_backends "],
           [*" $kedge_b "*], [with_default_backend=$kedge_b; break])
       done],
    [AS_CASE([" $kedge_static_backends $kedge_module_backends "],
       [*" $with_default_backend "*], [],
       [AC_MSG_ERROR([default backend '$with_default_backend' is not being built (built: $kedge_static_backends${kedge_module_backends:+ }$kedge_module_backends)])])])
  AC_DEFINE_UNQUOTED([KEDGE_DEFAULT_BACKEND], ["$with_default_backend"],
    [Backend used when a store is named without one.])
  AC_SUBST([KEDGE_BUILTIN_DECLS])
  AC_SUBST([KEDGE_PC_REQUIRES_PRIVATE])
  AC_SUBST([kedge_static_backends])
  AC_SUBST([kedge_module_backends])
])
