/*
 * optout.h - cases that somebody leaves out, and owes a reason for
 *
 * A line of the file:  CASE | REASON | URL of an issue | YYYY-MM-DD, the last day it is valid
 * Empty lines and those that begin with # say nothing.  A case that is none, an empty reason and a
 * day that is past are mistakes: an opt-out is not to outlive its reason unseen.
 */
#ifndef KEDGE_CONFORM_OPTOUT_H
#define KEDGE_CONFORM_OPTOUT_H

#include <kedge/error.h>

struct opt_out {
    struct opt_out *next;
    char *line; /* what the others point into */
    const char *id;
    const char *reason;
    const char *issue;
    const char *until;
};

/* KEDGE_OK and the list, or KEDGE_ERR_INVALID. */
int opt_outs_read(const char *path, struct opt_out **list, struct kedge_error *err);
void opt_outs_free(struct opt_out *list);
/* NULL: it is not left out. */
const struct opt_out *opt_outs_find(const struct opt_out *list, const char *id);

#endif
