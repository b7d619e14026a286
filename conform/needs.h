/*
 * needs.h - what cases need of a backend, and what is asked of one that does not promise it
 *
 * A case that does not apply is justified by its twin: a case that applies everywhere and checks
 * that what was not promised is not there, is said not to be there, and does no harm.
 */
#ifndef KEDGE_CONFORM_NEEDS_H
#define KEDGE_CONFORM_NEEDS_H

#include "cases.h"

struct need {
    uint32_t bits;      /* NEEDS_... of <cases.h> */
    const char *what;   /* that is needed */
    const char *absent; /* said of a backend without it */
    const char *twin;   /* id of the case */
};

/* Closed by one without bits; what includes another comes before it. */
extern const struct need needs[];

/* The first thing the case needs that this backend does not promise; NULL: there is none. */
const struct need *need_missing(const struct contract_case *c, struct world *w);
/* The need of which this was said; NULL: there is none. */
const struct need *need_said(const char *absent);

/* What a backend declares, and the cases that probe it, for the certificate. */
struct declaration {
    const char *fact;  /* its name: "capability.hint", "limit.id_max", "operation.wait" */
    const char *cases; /* ids, areas and globs, separated by blanks */
    uint32_t needs;    /* and those that need this */
};
extern const struct declaration declarations[]; /* closed by one without a name */
/* Is it one of the cases? */
bool declaration_probed_by(const struct declaration *d, const struct contract_case *c);

#endif
