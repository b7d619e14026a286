/* covers.c - from promises and questions to cases, and back */
#include "covers.h"

#include <stdio.h>
#include <string.h>

#include "catalogue.h"
/* promises[] and entries[], made of the two tables by covers.awk */
#include "conform/covers.inc"

static bool is_held(const struct cover *cover)
{
    return cover->cases[0] != '-';
}

static bool names(const struct cover *cover, const char *id)
{
    return is_held(cover) && catalogue_names(cover->cases, id);
}

bool covers_wanted(const char *word, size_t len, const char *id)
{
    for (const struct cover *c = entries; c->text != NULL; c++)
        if (catalogue_means(word, len, c->id) && names(c, id))
            return true;
    return false;
}

const struct cover *covers_unheld(const char *word, size_t len)
{
    for (const struct cover *c = entries; c->text != NULL; c++)
        if (catalogue_means(word, len, c->id) && !is_held(c))
            return c;
    return NULL;
}

bool covers_explain_entry(const char *id)
{
    for (const struct cover *c = entries; c->text != NULL; c++) {
        if (strcmp(c->id, id) != 0)
            continue;
        printf("entry  %s\nasks   %s\n", c->id, c->text);
        if (!is_held(c))
            printf("none   %s\n", c->cases + strspn(c->cases, "- "));
        for (const struct catalogue_entry *e = catalogue(); e->c != NULL; e++)
            if (names(c, e->c->id))
                printf("case   %s  %s\n", e->c->id, e->c->what);
        return true;
    }
    return false;
}

void covers_explain_case(const char *id)
{
    for (const struct cover *c = promises; c->text != NULL; c++)
        if (names(c, id))
            printf("keeps  %s\n", c->text);
    for (const struct cover *c = entries; c->text != NULL; c++)
        if (names(c, id))
            printf("entry  %s  %s\n", c->id, c->text);
}
