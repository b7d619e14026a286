/* kit.c - handles of a wrapper, and its part of the URL; see kit.h */
#include <config.h>

#include <stdlib.h>

#include "kit.h"

#include "../kit/url.h"

struct wrap_store {
    const struct kedge_backend_ops *inner;
    const struct kedge_host *host;
    void *below;
    void *self;
};

struct wrap_session {
    struct wrap_store *store;
    void *below;
};

/* One for each inner table, for ever; the library asks for them one at a time. */
struct wrap_table {
    struct wrap_table *next;
    struct kedge_backend_ops ops;
};
static struct wrap_table *tables;

struct wrap_below wrap_below(void *session)
{
    const struct wrap_session *s = session;

    return (struct wrap_below){
        .ops = s->store->inner, .session = s->below, .host = s->store->host, .self = s->store->self
    };
}

/* ------------------------------------------------------------ their part of the URL */

static bool has_inner(const struct kedge_open *open)
{
    const size_t known = offsetof(struct kedge_open, inner) + sizeof(struct kedge_backend_ops *);

    return open->struct_size >= known && open->inner != NULL;
}

/* OUTER without our part of the URL, and what that part means. */
static int take_part(const struct kedge_host *host, const struct kedge_open *outer,
                     struct kedge_open *open, void **self, struct kedge_error *err)
{
    struct kedge_bytes name;
    struct kedge_bytes settings;
    const char *behind = kedge_url_behind(outer->url, &name, &settings);

    if (!has_inner(outer) || behind == NULL || !kedge_url_is(name, wrap_name))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "%s: this is a wrapper; the store must be named %s+URL", wrap_name,
                               wrap_name);
    memset(open, 0, sizeof *open);
    memcpy(open, outer, outer->struct_size < sizeof *open ? outer->struct_size : sizeof *open);
    open->struct_size = sizeof *open;
    open->url = behind;
    open->inner = NULL;
    return wrap_self_open(host, settings, self, err);
}

static struct wrap_call call_around(enum wrap_op op, const struct kedge_backend_ops *inner,
                                    const struct kedge_host *host, void *self,
                                    struct kedge_open *open, struct kedge_error *err)
{
    return (struct wrap_call){
        .op = op,
        .below = { .ops = inner, .host = host, .self = self },
        .name = open != NULL ? open->ns : kedge_text(NULL),
        .open = open,
        .err = err,
    };
}

/* ---------------------------------------------------------------------- handles */

static int open_below(struct wrap_store *s, struct kedge_open *open, struct kedge_error *err)
{
    struct wrap_call call = call_around(WRAP_store_open, s->inner, s->host, s->self, open, err);
    enum wrap_verdict verdict = wrap_before(&call);

    if (verdict == WRAP_REFUSE)
        return KEDGE_ERR_UNAVAILABLE;
    call.rc = s->inner->store_open(s->host, open, &s->below, err);
    wrap_after(&call);
    if (verdict != WRAP_LOSE || call.rc < 0)
        return call.rc;
    if (call.rc == KEDGE_OK)
        s->inner->store_close(s->below);
    return wrap_lost(&call);
}

static int wrap_store_open(const struct kedge_host *host, const struct kedge_open *outer,
                           void **store, struct kedge_error *err)
{
    struct kedge_open open;
    struct wrap_store *s;
    void *self = NULL;
    int rc = take_part(host, outer, &open, &self, err);

    if (rc != KEDGE_OK)
        return rc;
    s = host->alloc(host->ctx, sizeof *s);
    if (s == NULL) {
        wrap_self_close(self);
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    }
    *s = (struct wrap_store){ .inner = outer->inner, .host = host, .self = self };
    rc = open_below(s, &open, err);
    if (rc != KEDGE_OK) {
        wrap_self_close(self);
        host->release(host->ctx, s);
        return rc;
    }
    *store = s;
    return KEDGE_OK;
}

static void wrap_store_close(void *store)
{
    struct wrap_store *s = store;
    struct wrap_call call;

    if (s == NULL)
        return;
    call = call_around(WRAP_store_close, s->inner, s->host, s->self, NULL, NULL);
    (void)wrap_before(&call);
    s->inner->store_close(s->below);
    wrap_after(&call);
    wrap_self_close(s->self);
    s->host->release(s->host->ctx, s);
}

static int wrap_store_drop(const struct kedge_host *host, const struct kedge_open *outer,
                           struct kedge_error *err)
{
    struct kedge_open open;
    struct wrap_call call;
    enum wrap_verdict verdict;
    void *self = NULL;
    int rc = take_part(host, outer, &open, &self, err);

    if (rc != KEDGE_OK)
        return rc;
    call = call_around(WRAP_store_drop, outer->inner, host, self, &open, err);
    verdict = wrap_before(&call);
    rc = KEDGE_ERR_UNAVAILABLE;
    if (verdict != WRAP_REFUSE) {
        call.rc = outer->inner->store_drop(host, &open, err);
        wrap_after(&call);
        rc = call.rc;
        if (verdict == WRAP_LOSE && rc >= 0)
            rc = wrap_lost(&call);
    }
    wrap_self_close(self);
    return rc;
}

static int wrap_schema_script(const struct kedge_host *host, const struct kedge_open *outer,
                              struct kedge_script *out, struct kedge_error *err)
{
    struct kedge_open open;
    struct wrap_call call;
    enum wrap_verdict verdict;
    struct kedge_script lost = { .mem = NULL };
    void *self = NULL;
    int rc = take_part(host, outer, &open, &self, err);

    if (rc != KEDGE_OK)
        return rc;
    call = call_around(WRAP_schema_script, outer->inner, host, self, &open, err);
    verdict = wrap_before(&call);
    rc = KEDGE_ERR_UNAVAILABLE;
    if (verdict != WRAP_REFUSE) {
        call.rc = outer->inner->schema_script(host, &open, verdict == WRAP_LOSE ? &lost : out, err);
        wrap_after(&call);
        rc = call.rc;
        if (verdict == WRAP_LOSE && rc >= 0) {
            kedge_mem_free(host, lost.mem);
            rc = wrap_lost(&call);
        }
    }
    wrap_self_close(self);
    return rc;
}

static int session_below(struct wrap_session *s, struct kedge_error *err)
{
    const struct wrap_store *store = s->store;
    struct wrap_call call =
        call_around(WRAP_session_open, store->inner, store->host, store->self, NULL, err);
    enum wrap_verdict verdict = wrap_before(&call);

    if (verdict == WRAP_REFUSE)
        return KEDGE_ERR_UNAVAILABLE;
    call.rc = store->inner->session_open(store->below, &s->below, err);
    wrap_after(&call);
    if (verdict != WRAP_LOSE || call.rc < 0)
        return call.rc;
    if (call.rc == KEDGE_OK)
        store->inner->session_close(s->below);
    return wrap_lost(&call);
}

static int wrap_session_open(void *store, void **session, struct kedge_error *err)
{
    struct wrap_store *of = store;
    struct wrap_session *s = of->host->alloc(of->host->ctx, sizeof *s);
    int rc;

    if (s == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    *s = (struct wrap_session){ .store = of };
    rc = session_below(s, err);
    if (rc == KEDGE_OK)
        *session = s;
    else
        of->host->release(of->host->ctx, s);
    return rc;
}

static void wrap_session_close(void *session)
{
    struct wrap_session *s = session;
    const struct wrap_store *store;
    struct wrap_call call;

    if (s == NULL)
        return;
    store = s->store;
    call = call_around(WRAP_session_close, store->inner, store->host, store->self, NULL, NULL);
    (void)wrap_before(&call);
    store->inner->session_close(s->below);
    wrap_after(&call);
    store->host->release(store->host->ctx, s);
}

static const struct kedge_backend_ops *wrap(const struct kedge_backend_ops *inner)
{
    struct wrap_table *t = calloc(1, sizeof *t);

    if (t == NULL)
        return NULL;
    t->next = tables;
    tables = t;
    t->ops = (struct kedge_backend_ops){ KEDGE_BACKEND_HEADER,
                                         .caps = inner->caps,
                                         .threads = inner->threads,
                                         .name = wrap_name,
                                         .version = inner->version,
                                         .limits = inner->limits,
                                         .store_open = wrap_store_open,
                                         .store_close = wrap_store_close,
                                         .store_drop = wrap_store_drop,
                                         .session_open = wrap_session_open,
                                         .session_close = wrap_session_close,
                                         .schema_script = wrap_schema_script };
    wrap_forward(&t->ops, inner);
    return &t->ops;
}

KEDGE_WRAPPER_DEFINE(wrap);

/* --------------------------------------------------------------------- settings */

bool wrap_setting(struct kedge_bytes *settings, struct kedge_bytes *key, struct kedge_bytes *value)
{
    return kedge_url_setting(settings, key, value);
}

#define SHOWN(bytes) (int)((bytes).len < 64 ? (bytes).len : 64), (const char *)(bytes).data

int wrap_unknown(struct kedge_bytes key, const char *known, struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                           "%s: there is no setting '%.*s'; there are %s", wrap_name, SHOWN(key),
                           known);
}

int wrap_wrong(const char *key, struct kedge_bytes value, const char *want, struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "%s: %s=%.*s: %s", wrap_name, key,
                           SHOWN(value), want);
}

int wrap_number(const char *key, struct kedge_bytes value, uint64_t least, uint64_t *number,
                struct kedge_error *err)
{
    const char *text = value.data;
    uint64_t n = 0;
    bool good = value.len > 0 && value.len <= 18;

    for (size_t i = 0; good && i < value.len; i++) {
        good = text[i] >= '0' && text[i] <= '9';
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    if (!good || n < least)
        return wrap_wrong(key, value,
                          least > 0 ? "write a whole number, 1 or more"
                                    : "write a whole number, 0 or more",
                          err);
    *number = n;
    return KEDGE_OK;
}

int wrap_switch(const char *key, struct kedge_bytes value, bool *on, struct kedge_error *err)
{
    if (value.len != 0 && !kedge_url_is(value, "0") && !kedge_url_is(value, "1"))
        return wrap_wrong(key, value, "write 1 or 0", err);
    *on = !kedge_url_is(value, "0");
    return KEDGE_OK;
}
