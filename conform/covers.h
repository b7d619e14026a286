/*
 * covers.h - what the cases are for: the promises of the contract, and a catalogue of questions
 *
 * promises.tsv has a row for each sentence of <kedge/backend.h>, and catalogue.tsv one for each
 * question that a store for checkpoints, locks and queues is asked in general, whatever its
 * interface.  Either names the cases that hold it, by id, area or glob, or says why none does.
 */
#ifndef KEDGE_CONFORM_COVERS_H
#define KEDGE_CONFORM_COVERS_H

#include <stdbool.h>
#include <stddef.h>

struct cover {
    const char *id;    /* of the catalogue, like LCK-11; NULL: it is a promise */
    const char *text;  /* the sentence, or the question */
    const char *cases; /* words separated by blanks; or "- " and why there is none */
};

/* Is the case named by an entry of the catalogue that WORD means: its id, its area or a glob? */
bool covers_wanted(const char *word, size_t len, const char *id);
/* An entry that WORD means and that no case holds; NULL: there is none. */
const struct cover *covers_unheld(const char *word, size_t len);
/* Lines for the entry of that id, with its cases; false: there is none. */
bool covers_explain_entry(const char *id);
/* Lines for the promises and entries that a case holds. */
void covers_explain_case(const char *id);

#endif
