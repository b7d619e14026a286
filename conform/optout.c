/* optout.c - reading the file of opt-outs; see optout.h */
#include "optout.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "catalogue.h"

static char *trimmed(char *text)
{
    size_t len;

    text += strspn(text, " \t");
    len = strlen(text);
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
        text[--len] = '\0';
    return text;
}

static bool is_case(const char *id)
{
    for (const struct catalogue_entry *e = catalogue(); e->c != NULL; e++)
        if (strcmp(e->c->id, id) == 0)
            return true;
    return false;
}

/* 2026-02-31 reads as a day, too: it is only compared. */
static bool is_day(const char *text)
{
    static const char shape[] = "dddd-dd-dd";

    if (strlen(text) != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < sizeof shape - 1; i++)
        if (shape[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
            return false;
    return true;
}

static int refused(const char *path, int number, struct kedge_error *err, const char *what,
                   const char *word)
{
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "%s, line %d: %s '%.80s'; a line is CASE | REASON | URL | YYYY-MM-DD",
                           path, number, what, word);
}

static int check(const struct opt_out *o, const char *path, int number, struct kedge_error *err)
{
    time_t now = time(NULL);
    struct tm utc;
    char today[16] = "";

    if (!is_case(o->id))
        return refused(path, number, err, "there is no case", o->id);
    if (o->reason[0] == '\0')
        return refused(path, number, err, "no reason is given for", o->id);
    if (strstr(o->issue, "://") == NULL)
        return refused(path, number, err, "not the URL of an issue:", o->issue);
    if (!is_day(o->until))
        return refused(path, number, err, "not a day:", o->until);
    if (gmtime_r(&now, &utc) == NULL || strftime(today, sizeof today, "%Y-%m-%d", &utc) == 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "what day is it?");
    if (strcmp(o->until, today) < 0)
        return refused(path, number, err, "that day is past:", o->until);
    return KEDGE_OK;
}

/* LINE, which is taken; NULL: out of memory. */
static struct opt_out *parse(char *line)
{
    struct opt_out *o = calloc(1, sizeof *o);
    const char *parts[4];
    char *rest = line;

    if (o == NULL)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char *part = rest;
        size_t len = strcspn(part, "|");

        rest = part + len;
        if (*rest != '\0' && i + 1 < ARRAY_LEN(parts))
            *rest++ = '\0';
        parts[i] = trimmed(part);
    }
    *o = (struct opt_out){
        .line = line, .id = parts[0], .reason = parts[1], .issue = parts[2], .until = parts[3]
    };
    return o;
}

int opt_outs_read(const char *path, struct opt_out **list, struct kedge_error *err)
{
    FILE *f = fopen(path, "re");
    int rc = KEDGE_OK;

    *list = NULL;
    if (f == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, errno, "the file of opt-outs: %s: %s", path,
                               strerror(errno));
    for (int number = 1; rc == KEDGE_OK; number++) {
        char *line = NULL;
        size_t room = 0;
        struct opt_out *o;

        if (getline(&line, &room, f) < 0) {
            free(line);
            break;
        }
        if (line[strspn(line, " \t\r\n")] == '\0' || line[strspn(line, " \t")] == '#') {
            free(line);
            continue;
        }
        o = parse(line);
        if (o == NULL) {
            free(line);
            rc = kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
            break;
        }
        o->next = *list;
        *list = o;
        rc = check(o, path, number, err);
    }
    (void)fclose(f);
    if (rc != KEDGE_OK) {
        opt_outs_free(*list);
        *list = NULL;
    }
    return rc;
}

void opt_outs_free(struct opt_out *list)
{
    while (list != NULL) {
        struct opt_out *next = list->next;

        free(list->line);
        free(list);
        list = next;
    }
}

const struct opt_out *opt_outs_find(const struct opt_out *list, const char *id)
{
    for (const struct opt_out *o = list; o != NULL; o = o->next)
        if (strcmp(o->id, id) == 0)
            return o;
    return NULL;
}
