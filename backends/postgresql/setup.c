/*
 * setup.c - a namespace is made, opened, and taken away
 *
 * Whatever is there is told apart before anything else is read: nothing, an older version, a newer
 * one, or another namespace whose long name begins and hashes alike.  Making it is one transaction.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "session.h"

/* How long a drop waits for sessions that have just ended. */
#define IN_USE_US INT64_C(500000)

/* ------------------------------------------------------------------ the texts */

struct texts {
    char **list;
    size_t n;
    size_t cap;
    bool failed;
};

static void texts_add(struct texts *t, char *text)
{
    if (text != NULL && t->n == t->cap) {
        size_t cap = t->cap == 0 ? 64 : t->cap * 2;
        char **list = realloc(t->list, cap * sizeof *list);

        if (list != NULL) {
            t->list = list;
            t->cap = cap;
        } else {
            free(text);
            text = NULL;
        }
    }
    if (text == NULL)
        t->failed = true;
    else
        t->list[t->n++] = text;
}

static void texts_free(struct texts *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->list[i]);
    free(t->list);
    memset(t, 0, sizeof *t);
}

/* TEXT, which is taken over, goes on with the last one. */
static void texts_append(struct texts *t, char *text)
{
    char *both = NULL;
    size_t before;

    if (text != NULL && t->n != 0 && !t->failed) {
        before = strlen(t->list[t->n - 1]);
        both = realloc(t->list[t->n - 1], before + strlen(text) + 1);
        if (both != NULL) {
            memcpy(both + before, text, strlen(text) + 1);
            t->list[t->n - 1] = both;
        }
    }
    t->failed = t->failed || both == NULL;
    free(text);
}

static void texts_migration(struct texts *t, const struct pg_place *place,
                            const struct pg_migration *m)
{
    for (size_t i = 0; i < m->n; i++) {
        bool goes_on = m->texts[i][0] == '&';
        char *text = pg_sql_expand(m->texts[i] + (goes_on ? 1 : 0), place->quoted);

        if (goes_on)
            texts_append(t, text);
        else
            texts_add(t, text);
    }
}

static void texts_migrate(struct texts *t, const struct pg_place *place, uint32_t from)
{
    for (uint32_t v = from; v < PG_SCHEMA_VERSION; v++)
        texts_migration(t, place, &pg_migrations[v]);
}

/* The name of the namespace, in a row that tells what this schema is. */
static char *meta_row(const struct pg_place *place)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *p = place->ns.data;
    size_t room = strlen(place->quoted) + 2 * place->ns.len + 160;
    char *text = malloc(room);
    int n;

    if (text == NULL)
        return NULL;
    n = snprintf(text, room, "insert into %s.meta (version,created,ns) values (%u,%s,'\\x",
                 place->quoted, PG_SCHEMA_VERSION, PG_NOW);
    for (size_t i = 0; i < place->ns.len; i++) {
        text[n++] = hex[p[i] >> 4];
        text[n++] = hex[p[i] & 15];
    }
    memcpy(text + n, "')", 3);
    return text;
}

static char *one(const char *before, const char *name, const char *after)
{
    size_t room = strlen(before) + strlen(name) + strlen(after) + 1;
    char *text = malloc(room);

    if (text != NULL)
        (void)snprintf(text, room, "%s%s%s", before, name, after);
    return text;
}

/* Two that make the same one wait for each other. */
static void texts_create(struct texts *t, const struct pg_place *place, bool schema_there)
{
    texts_add(t, one("begin", "", ""));
    texts_add(t, one("select pg_advisory_xact_lock(hashtextextended('kedge " /* a name has none */,
                     place->schema, "',0))"));
    if (!schema_there)
        texts_add(t, one("create schema ", place->quoted, ""));
    texts_migrate(t, place, 0);
    texts_add(t, meta_row(place));
    texts_add(t, one("commit", "", ""));
}

char *pg_setup_script(const struct pg_place *place)
{
    struct texts t = { 0 };
    size_t room = 1;
    char *all = NULL;

    texts_create(&t, place, false);
    for (size_t i = 0; i < t.n; i++)
        room += strlen(t.list[i]) + 2;
    if (!t.failed)
        all = malloc(room);
    if (all != NULL) {
        char *out = all;

        for (size_t i = 0; i < t.n; i++)
            out += sprintf(out, "%s;\n", t.list[i]);
    }
    texts_free(&t);
    return all;
}

/* -------------------------------------------------------------------- opening */

static int check_version(const struct pg_place *place, uint32_t version, struct kedge_error *err)
{
    if (version < PG_SCHEMA_VERSION)
        return kedge_error_set(err, KEDGE_ERR_SCHEMA_OLD, 0,
                               "%s: schema %s has version %" PRIu32 ", this kedge works with %u; "
                               "migrate it",
                               place->shown, place->schema, version, PG_SCHEMA_VERSION);
    if (version > PG_SCHEMA_VERSION)
        return kedge_error_set(err, KEDGE_ERR_SCHEMA_NEW, 0,
                               "%s: schema %s has version %" PRIu32 ", this kedge works with %u; "
                               "use a newer kedge",
                               place->shown, place->schema, version, PG_SCHEMA_VERSION);
    return KEDGE_OK;
}

/* What is there: version and name. */
static int check_meta(struct pg_conn *c, int64_t end, struct kedge_error *err)
{
    const struct pg_place *place = c->place;
    struct pg_query q;
    int rc;

    pg_begin(c);
    pg_query_init(&q, PG_SQL_OPENED);
    rc = pg_run(c, &q, 1, PG_READ, end, err);
    if (rc != KEDGE_OK)
        return rc;
    if (PQntuples(q.result) != 1)
        rc = kedge_error_set(err, KEDGE_ERR_CORRUPT, 0,
                             "%s: table meta of schema %s does not have one row: restore it from a "
                             "copy",
                             place->shown, place->schema);
    else
        rc = check_version(place, (uint32_t)pg_i64(q.result, 0, 0), err);
    if (rc == KEDGE_OK && !kit_bytes_equal(pg_bytes(q.result, 0, 1), place->ns))
        rc =
            kedge_error_set(err, KEDGE_ERR_INVALID, 0, "%s: schema %s is that of another namespace",
                            place->shown, place->schema);
    pg_clear(&q, 1);
    return rc;
}

static int missing(const struct pg_place *place, struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_SCHEMA_MISSING, 0,
                           "%s: there is no namespace in schema %s; set it up first", place->shown,
                           place->schema);
}

static int create(struct pg_conn *c, int64_t end, struct kedge_error *err)
{
    struct texts t = { 0 };
    struct kedge_error why = { 0 };
    int rc;

    texts_create(&t, c->place, c->schema_there);
    rc = t.failed ? pg_no_memory(&why) : pg_script(c, t.list, t.n, end, &why);
    texts_free(&t);
    /* A new connection sees what there is now; somebody else may have made it meanwhile. */
    pg_conn_drop(c);
    if (pg_conn_ready(c, end, err) == KEDGE_OK && c->set_up)
        return KEDGE_OK;
    if (rc == KEDGE_OK)
        return missing(c->place, err);
    if (err != NULL)
        *err = why;
    return rc;
}

int pg_setup_open(struct pg_conn *c, bool may_create, int64_t end, struct kedge_error *err)
{
    int rc = pg_conn_ready(c, end, err);

    if (rc == KEDGE_OK && !c->set_up)
        rc = may_create ? create(c, end, err) : missing(c->place, err);
    return rc == KEDGE_OK ? check_meta(c, end, err) : rc;
}

/* ------------------------------------------------------------------- dropping */

/* OK: nobody has it open, and nobody can open it until this connection ends. */
static int not_in_use(struct pg_conn *c, int64_t end, struct kedge_error *err)
{
    int64_t patience = pg_mono_us() + IN_USE_US;

    for (;;) {
        struct timespec ts = { 0, 10000000 };
        struct pg_query q;
        bool used;
        int rc;

        pg_begin(c);
        pg_query_init(&q, PG_SQL_IN_USE);
        rc = pg_run(c, &q, 1, PG_READ, end, err);
        if (rc != KEDGE_OK)
            return rc;
        used = pg_bool(q.result, 0, 0);
        pg_clear(&q, 1);
        if (!used)
            return KEDGE_OK;
        if (pg_mono_us() >= patience)
            return KEDGE_HELD;
        (void)nanosleep(&ts, NULL);
    }
}

int pg_setup_drop(struct pg_conn *c, int64_t end, struct kedge_error *err)
{
    int rc = pg_conn_ready(c, end, err);
    char *text;

    if (rc != KEDGE_OK)
        return rc;
    if (!c->set_up)
        return KEDGE_NOT_FOUND;
    rc = check_meta(c, end, err);
    if (rc == KEDGE_OK && !c->pooled)
        rc = not_in_use(c, end, err);
    /* An older one may be dropped as well, a newer one by whoever understands it. */
    if (rc != KEDGE_OK && rc != KEDGE_ERR_SCHEMA_OLD)
        return rc;
    text = one("drop schema ", c->place->quoted, " cascade");
    if (text == NULL)
        return pg_no_memory(err);
    rc = pg_script(c, &text, 1, end, err);
    free(text);
    return rc;
}
