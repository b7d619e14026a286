/* mutants.c - defects that the suite is tested with, and which cases must notice them */
#include "mutants.h"

#include <stdio.h>
#include <string.h>

#include "conform.h"

static const struct conform_mutant table[] = {
#define MUTANT(id, over, cases, promise, defect) { #id, "url", over, cases, promise, defect },
#define SWITCH(id, over, cases, promise, defect) { #id, "switch", over, cases, promise, defect },
#define ALSO(id, over, cases)                    { #id, "url", over, cases, NULL, NULL },
#include "backends/wrap/mutants.def"
#undef MUTANT
#undef SWITCH
#undef ALSO
    { NULL, NULL, NULL, NULL, NULL, NULL },
};

const struct conform_mutant *mutants(void)
{
    return table;
}

const struct conform_mutant *mutant_main(const struct conform_mutant *m)
{
    const struct conform_mutant *named = table;

    while (strcmp(named->id, m->id) != 0 || named->defect == NULL)
        named++;
    return named;
}

int mutant_is_for(const struct conform_mutant *m, const char *id)
{
    size_t len = strlen(id);

    for (const char *p = m->cases; (p = strstr(p, id)) != NULL; p += len)
        if (p[len] == '\0' || p[len] == ' ')
            return 1;
    return 0;
}

enum conform_exit conform_mutants(void)
{
    for (const struct conform_mutant *m = table; m->id != NULL; m++)
        printf("%s\t%s\t%s\t%s\t%s\t%s\n", m->id, m->over, m->how, m->cases,
               mutant_main(m)->promise, mutant_main(m)->defect);
    return CONFORM_CERTIFIED;
}
