/* schema.h - which schema a namespace has, and what to do when it is not ours: in one voice */
#ifndef KEDGE_KIT_SCHEMA_H
#define KEDGE_KIT_SCHEMA_H

#include <kedge/backend.h>

/*
 * WHERE (an address without a password, and the namespace) has schema HAVE, 0: was never set up;
 * this program knows WANT.  OLDEST is the first that it can migrate from.  OK, or SCHEMA_MISSING,
 * _OLD, _NEW and the way out.
 */
int kit_schema_check(const char *where, uint32_t have, uint32_t want, uint32_t oldest,
                     struct kedge_error *err);

#endif
