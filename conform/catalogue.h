/* catalogue.h - all cases, with the tier each belongs to */
#ifndef KEDGE_CONFORM_CATALOGUE_H
#define KEDGE_CONFORM_CATALOGUE_H

#include "cases.h"
#include "conform.h"

#define CATALOGUE_MAX 1024

struct catalogue_entry {
    const struct contract_case *c;
    enum conform_tier tier;
};

/* In the order in which they are run; closed by an entry without a case. */
const struct catalogue_entry *catalogue(void);
/* Is this case meant by FILTER: its id, its area, or a glob over ids, among others separated by
   commas?  NULL: yes. */
bool catalogue_wanted(const struct contract_case *c, const char *filter);
/* The first word of FILTER that means no case at all, as its length at *WORD; 0: there is none. */
size_t catalogue_unknown(const char *filter, const char **word);
/* The same hash, the same cases: 16 hexadecimal digits. */
void catalogue_hash(char out[17]);

#endif
