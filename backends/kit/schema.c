/* schema.c - the three ways in which a schema does not fit; see schema.h */
#include <inttypes.h>

#include "schema.h"

int kit_schema_check(const char *where, uint32_t have, uint32_t want, uint32_t oldest,
                     struct kedge_error *err)
{
    if (have == want)
        return KEDGE_OK;
    if (have == 0)
        return kedge_error_set(err, KEDGE_ERR_SCHEMA_MISSING, 0,
                               "%s was never set up: do that first, as with 'kedge store init'",
                               where);
    if (have > want)
        return kedge_error_set(err, KEDGE_ERR_SCHEMA_NEW, 0,
                               "%s has schema %" PRIu32 ", this kedge knows %" PRIu32
                               ": update kedge",
                               where, have, want);
    if (have < oldest)
        return kedge_error_set(err, KEDGE_ERR_SCHEMA_OLD, 0,
                               "%s has schema %" PRIu32
                               ", which this kedge cannot bring to %" PRIu32
                               ": migrate it with an older kedge first",
                               where, have, want);
    return kedge_error_set(err, KEDGE_ERR_SCHEMA_OLD, 0,
                           "%s has schema %" PRIu32 ", this kedge wants %" PRIu32
                           ": bring it up to date with 'kedge store migrate'",
                           where, have, want);
}
