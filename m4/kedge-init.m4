# KEDGE_INIT_AUTOMAKE(OPTIONS)
# ----------------------------
# AM_INIT_AUTOMAKE without its refusal to configure outside a source tree that
# has been configured in place.  Automake refuses because VPATH would make the
# outer build take objects of the inner one for its own.  Our Makefile.am
# replaces VPATH by `vpath' lines for sources only, so that cannot happen here,
# and one clone can serve an in-tree build and any number of others.
#
# Should a later automake word its message differently, the refusal comes back
# and nothing else breaks.
AC_DEFUN([KEDGE_INIT_AUTOMAKE],
[m4_copy([AC_MSG_ERROR], [_KEDGE_MSG_ERROR])dnl
m4_pushdef([AC_MSG_ERROR], m4_defn([_KEDGE_MSG_ERROR_BUT_CONFIGURED]))dnl
AM_INIT_AUTOMAKE([$1])dnl
m4_popdef([AC_MSG_ERROR])])

# _KEDGE_MSG_ERROR_BUT_CONFIGURED(MESSAGE, [STATUS])
# --------------------------------------------------
# AC_MSG_ERROR, deaf to one message.
m4_define([_KEDGE_MSG_ERROR_BUT_CONFIGURED],
[m4_if(m4_index([$1], [source directory already configured]), [-1],
   [_KEDGE_MSG_ERROR($@)],
   [:])])
