/*
 * mutant.h - defects inside a backend, for the tests of the conformance suite
 *
 * Where a defect cannot be seen from outside the table, a build with KEDGE_MUTANTS has both ways,
 * and takes the wrong one when the environment variable KEDGE_MUTANT names it (wrap/mutants.def).
 * Every other build has the right way and nothing else.
 */
#ifndef KEDGE_KIT_MUTANT_H
#define KEDGE_KIT_MUTANT_H

#ifdef KEDGE_MUTANTS

#    include <stdbool.h>
#    include <stdlib.h>
#    include <string.h>

static inline bool kit_is_mutant(const char *id)
{
    const char *chosen = getenv("KEDGE_MUTANT");

    return chosen != NULL && strcmp(chosen, id) == 0;
}

/* Never given back: there are few texts, and one program. */
static inline const char *kit_mutant_text(const char *id, const char *text, const char *right,
                                          const char *broken)
{
    const char *at = kit_is_mutant(id) ? strstr(text, right) : NULL;
    char *whole;

    while (at != NULL) {
        size_t before = (size_t)(at - text);

        whole = (char *)malloc(strlen(text) + strlen(broken) + 1);
        if (whole == NULL)
            abort();
        memcpy(whole, text, before);
        memcpy(whole + before, broken, strlen(broken));
        memcpy(whole + before + strlen(broken), at + strlen(right), strlen(at + strlen(right)) + 1);
        text = whole;
        at = strstr(whole + before + strlen(broken), right);
    }
    return text;
}

#    define KIT_MUTANT(id, broken, right) (kit_is_mutant(id) ? (broken) : (right))
/* TEXT with BROKEN wherever it says RIGHT. */
#    define KIT_MUTANT_TEXT(id, text, right, broken)                                               \
        ((text) = kit_mutant_text((id), (text), (right), (broken)))

#else
#    define KIT_MUTANT(id, broken, right)            (right)
#    define KIT_MUTANT_TEXT(id, text, right, broken) ((void)0)
#endif

#endif
