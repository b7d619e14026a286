/* wrap.h - wrappers before backends */
#ifndef KEDGE_SRC_WRAP_H
#define KEDGE_SRC_WRAP_H

#include "registry.h"

/* What NAME, "WRAPPER+NAME", stands for; as kedge_registry_find(). */
int kedge_wrap_find(const char *name, const struct kedge_registered **out, struct kedge_error *err);

#endif
