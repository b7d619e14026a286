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
/* Does WORD mean this id: all of it, its area, or as a glob? */
bool catalogue_means(const char *word, size_t len, const char *id);
/* Does one of the words, which are separated by blanks, mean this id? */
bool catalogue_names(const char *words, const char *id);
/* Is this case meant by a word of FILTER, which are separated by commas, or by an entry of
   catalogue.tsv that such a word means?  NULL: yes. */
bool catalogue_wanted(const struct contract_case *c, const char *filter);
/* ERR_INVALID: a word of FILTER means no case at all. */
int catalogue_check(const char *filter, struct kedge_error *err);
/* The same hash, the same cases: 16 hexadecimal digits. */
void catalogue_hash(char out[17]);

#endif
