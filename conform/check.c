/* check.c - how a checker tells what it found */
#include <config.h>

#include "check.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/error.h>

void verdict_init(struct verdict *v)
{
    memset(v, 0, sizeof *v);
}

static void append(struct verdict *v, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void append(struct verdict *v, const char *fmt, va_list ap)
{
    size_t used = strlen(v->why);

    if (used + 1 < sizeof v->why)
        (void)vsnprintf(v->why + used, sizeof v->why - used, fmt, ap);
}

static void begin(struct verdict *v, enum check_result result, const char *key)
{
    v->result = result;
    v->why[0] = '\0';
    (void)snprintf(v->key, sizeof v->key, "%s", key);
}

bool verdict_fail(struct verdict *v, const char *key, const char *fmt, ...)
{
    va_list ap;

    if (v->result == CHECK_VIOLATION)
        return false;
    begin(v, CHECK_VIOLATION, key);
    va_start(ap, fmt);
    append(v, fmt, ap);
    va_end(ap);
    return true;
}

void verdict_unsure(struct verdict *v, const char *key, const char *fmt, ...)
{
    va_list ap;

    if (v->result != CHECK_PASS)
        return;
    begin(v, CHECK_INCONCLUSIVE, key);
    va_start(ap, fmt);
    append(v, fmt, ap);
    va_end(ap);
}

void verdict_add(struct verdict *v, const struct history_event *e, const char *fmt, ...)
{
    char told[320];
    size_t used;
    va_list ap;

    va_start(ap, fmt);
    append(v, fmt, ap);
    va_end(ap);
    if (e == NULL)
        return;
    history_tell(e, told, sizeof told);
    used = strlen(v->why);
    if (used + 1 < sizeof v->why)
        (void)snprintf(v->why + used, sizeof v->why - used, "%s", told);
}

bool check_counts(const struct history_event *e)
{
    return e->result >= 0 || e->result == KEDGE_ERR_UNKNOWN;
}

/* ------------------------------------------------------------------ by key */

bool check_same_key(const struct history_event *a, const struct history_event *b)
{
    return history_subject(a->op) == history_subject(b->op) && strcmp(a->key, b->key) == 0;
}

static int by_key(const void *a, const void *b)
{
    const struct history_event *x = *(const struct history_event *const *)a;
    const struct history_event *y = *(const struct history_event *const *)b;
    int diff = (int)history_subject(x->op) - (int)history_subject(y->op);

    if (diff == 0)
        diff = strcmp(x->key, y->key);
    if (diff == 0)
        diff = (x->call > y->call) - (x->call < y->call);
    return diff != 0 ? diff : (x > y) - (x < y);
}

const struct history_event **check_by_key(const struct history *h, size_t *n)
{
    const struct history_event **list = calloc(h->n + 1, sizeof(struct history_event *));

    *n = 0;
    for (size_t i = 0; list != NULL && i < h->n; i++)
        if (check_counts(&h->events[i]))
            list[(*n)++] = &h->events[i];
    if (list != NULL)
        qsort(list, *n, sizeof(struct history_event *), by_key);
    return list;
}

/* ------------------------------------------------------------------ leases */

static int by_owner(const void *a, const void *b)
{
    const struct lease_span *x = a, *y = b;

    return (x->owner > y->owner) - (x->owner < y->owner);
}

static void earlier(int64_t *time, int64_t t)
{
    if (t < *time)
        *time = t;
}

static void span_add(struct lease_span *s, const struct history_event *e)
{
    bool ok = e->result == KEDGE_OK, maybe = e->result == KEDGE_ERR_UNKNOWN;

    if (e->op == HISTORY_GONE)
        earlier(&s->gone, e->call);
    if ((e->op == HISTORY_BURY || e->op == HISTORY_REVOKE) && (ok || maybe))
        earlier(&s->ending, e->call);
    if (e->op == HISTORY_REVOKE && (ok || maybe))
        earlier(&s->revoking, e->call);
    if ((e->op == HISTORY_BURY || e->op == HISTORY_REVOKE) && ok && e->ret < s->dead) {
        s->dead = e->ret;
        s->death = e;
    }
    if ((e->op == HISTORY_GRANT || e->op == HISTORY_EXTEND || e->op == HISTORY_CHECK) && ok &&
        e->ttl > 0 && e->call + e->ttl > s->safe_until)
        s->safe_until = e->call + e->ttl;
}

struct lease_span *check_spans(const struct history *h, size_t *n)
{
    struct lease_span *spans = calloc(h->n + 1, sizeof *spans);
    size_t last = 0;

    *n = 0;
    if (spans == NULL)
        return NULL;
    for (size_t i = 0; i < h->n; i++)
        if (h->events[i].owner != 0)
            spans[(*n)++] = (struct lease_span){
                h->events[i].owner, HISTORY_NO_TIME, HISTORY_NEVER, HISTORY_NEVER,
                HISTORY_NEVER,      HISTORY_NEVER,   NULL
            };
    qsort(spans, *n, sizeof *spans, by_owner);
    for (size_t i = 1; i < *n; i++)
        if (spans[i].owner != spans[last].owner)
            spans[++last] = spans[i];
    *n = *n == 0 ? 0 : last + 1;
    for (size_t i = 0; i < h->n; i++) {
        struct lease_span *s =
            (struct lease_span *)(uintptr_t)check_span(spans, *n, h->events[i].owner);

        if (s != NULL)
            span_add(s, &h->events[i]);
    }
    return spans;
}

const struct lease_span *check_span(const struct lease_span *spans, size_t n, uint64_t owner)
{
    struct lease_span wanted = { .owner = owner };

    return n == 0 ? NULL : bsearch(&wanted, spans, n, sizeof *spans, by_owner);
}
