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

#include "../kit/schema.h"
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

    if (text != NULL && t->n != 0 && !t->failed) {
        size_t before = strlen(t->list[t->n - 1]);
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
    for (uint32_t v = from; v < pg_schema_version; v++)
        texts_migration(t, place, &pg_migrations[v]);
}

/*
 * The name of the namespace, in a row that tells what this schema is.  No statement has a backslash
 * in it: what that means in a string is a setting.
 */
static char *meta_row(const struct pg_place *place)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *p = place->ns.data;
    size_t room = strlen(place->quoted) + 2 * place->ns.len + 200;
    char *text = malloc(room);
    int n;

    if (text == NULL)
        return NULL;
    n = snprintf(text, room, "insert into %s.meta (version,created,ns) values (%u,%s,decode('",
                 place->quoted, pg_schema_version, PG_NOW);
    for (size_t i = 0; i < place->ns.len; i++) {
        text[n++] = hex[p[i] >> 4];
        text[n++] = hex[p[i] & 15];
    }
    memcpy(text + n, "','hex'))", sizeof "','hex'))");
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

/* Reading and writing, and nothing that changes a table: that is all it takes to work. */
static void texts_grant(struct texts *t, const struct pg_place *place)
{
    static const char *const grants[] = {
        "grant usage on schema @ to ",
        "grant select,insert,update,delete on all tables in schema @ to ",
        "grant select,usage,update on all sequences in schema @ to ",
        "grant execute on all functions in schema @ to ",
    };

    for (size_t i = 0; place->grantee[0] != '\0' && i < sizeof grants / sizeof grants[0]; i++) {
        const char *at = strchr(grants[i], '@');
        char before[128];

        (void)snprintf(before, sizeof before, "%.*s%s%s", (int)(at - grants[i]), grants[i],
                       place->quoted, at + 1);
        texts_add(t, one(before, place->grantee, ""));
    }
}

/* Two that make the same one wait for each other. */
static void texts_begin(struct texts *t, const struct pg_place *place)
{
    texts_add(t, one("begin", "", ""));
    texts_add(t,
              one("select pg_advisory_xact_lock(hashtextextended('kedge ", place->schema, "',0))"));
}

static void texts_create(struct texts *t, const struct pg_place *place, bool schema_there)
{
    texts_begin(t, place);
    if (!schema_there)
        texts_add(t, one("create schema ", place->quoted, ""));
    texts_migrate(t, place, 0);
    texts_add(t, meta_row(place));
    texts_grant(t, place);
    texts_add(t, one("commit", "", ""));
}

static void texts_update(struct texts *t, const struct pg_place *place, uint32_t from)
{
    char after[64];

    (void)snprintf(after, sizeof after, ".meta set version=%u", pg_schema_version);
    texts_begin(t, place);
    texts_migrate(t, place, from);
    texts_add(t, one("update ", place->quoted, after));
    texts_grant(t, place);
    texts_add(t, one("commit", "", ""));
}

char *pg_setup_script(const struct pg_place *place, uint32_t from)
{
    struct texts t = { 0 };
    size_t room = 1;
    char *all = NULL;
    size_t n = 0;

    if (from == 0)
        texts_create(&t, place, false);
    else if (from < pg_schema_version)
        texts_update(&t, place, from);
    for (size_t i = 0; i < t.n; i++)
        room += strlen(t.list[i]) + 2;
    if (!t.failed)
        all = calloc(1, room);
    for (size_t i = 0; all != NULL && i < t.n; i++)
        n += (size_t)snprintf(all + n, room - n, "%s;\n", t.list[i]);
    texts_free(&t);
    return all;
}

/* -------------------------------------------------------------------- opening */

/* What is there, in the connection's namespace: OK and its version, or whose it is. */
static int read_meta(struct pg_conn *c, uint32_t *version, int64_t end, struct kedge_error *err)
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
                             "%s: table meta does not have one row: restore it from a copy",
                             place->where);
    else if (!kit_bytes_equal(pg_bytes(q.result, 0, 1), place->ns))
        rc = kedge_error_set(err, KEDGE_ERR_INVALID, 0, "%s belongs to another namespace",
                             place->where);
    else
        *version = (uint32_t)pg_i64(q.result, 0, 0);
    pg_clear(&q, 1);
    return rc;
}

int pg_setup_have(struct pg_conn *c, uint32_t *version, int64_t end, struct kedge_error *err)
{
    uint32_t have = 0;
    int rc = pg_conn_ready(c, end, err);

    if (rc == KEDGE_OK && c->set_up)
        rc = read_meta(c, &have, end, err);
    if (rc == KEDGE_OK && (have == 0 || have > pg_schema_version))
        rc = kit_schema_check(c->place->where, have, pg_schema_version, 1, err);
    if (rc == KEDGE_OK)
        *version = have;
    return rc;
}

/* Carry T out, which is used up; then look anew at what there is. */
static int carry_out(struct pg_conn *c, struct texts *t, int64_t end, struct kedge_error *err)
{
    int rc = t->failed ? pg_no_memory(err) : pg_script(c, t->list, t->n, end, err);

    texts_free(t);
    pg_conn_drop(c);
    return rc;
}

/* OK: it is there and ours; *HAVE is 0 when it is not there. */
static int look_at(struct pg_conn *c, uint32_t *have, int64_t end, struct kedge_error *err)
{
    int rc = pg_conn_ready(c, end, err);

    *have = 0;
    return rc == KEDGE_OK && c->set_up ? read_meta(c, have, end, err) : rc;
}

int pg_setup_open(struct pg_conn *c, uint32_t flags, int64_t end, struct kedge_error *err)
{
    struct kedge_error why = { 0 };
    struct texts t = { 0 };
    uint32_t have;
    int done = KEDGE_OK;
    int rc = look_at(c, &have, end, err);

    if (rc != KEDGE_OK)
        return rc;
    if (have == 0 && (flags & KEDGE_OPEN_CREATE) != 0) {
        texts_create(&t, c->place, c->schema_there);
        done = carry_out(c, &t, end, &why);
    } else if (have != 0 && have < pg_schema_version && (flags & KEDGE_OPEN_MIGRATE) != 0) {
        texts_update(&t, c->place, have);
        done = carry_out(c, &t, end, &why);
    }
    /* If that failed somebody else may have done it meanwhile. */
    rc = look_at(c, &have, end, err);
    if (rc != KEDGE_OK)
        return rc;
    if (have == pg_schema_version || done == KEDGE_OK)
        return kit_schema_check(c->place->where, have, pg_schema_version, 1, err);
    if (done == KEDGE_ERR_PERMISSION)
        return kedge_error_set(err, done, 0,
                               "%s: this role may not set it up; let one that may carry out what "
                               "'kedge store %s --print' prints",
                               c->place->where, have == 0 ? "init" : "migrate");
    if (err != NULL)
        *err = why;
    return done;
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
    uint32_t have;
    char *text;
    int rc = look_at(c, &have, end, err);

    if (rc == KEDGE_OK && have == 0)
        return KEDGE_NOT_FOUND;
    /* An older one may go as well; a newer one may mark its being open in another way. */
    if (rc == KEDGE_OK && have > pg_schema_version)
        rc = kit_schema_check(c->place->where, have, pg_schema_version, 1, err);
    if (rc == KEDGE_OK && !c->pooled)
        rc = not_in_use(c, end, err);
    if (rc != KEDGE_OK)
        return rc;
    text = one("drop schema ", c->place->quoted, " cascade");
    if (text == NULL)
        return pg_no_memory(err);
    rc = pg_script(c, &text, 1, end, err);
    free(text);
    return rc;
}
