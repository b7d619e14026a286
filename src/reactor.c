/* reactor.c - check a definition and copy it: names, graph, cycles; how long a retry waits */
#include <config.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/version.h>

#include "kassert.h"
#include "reactor.h"

#define DAY_US (INT64_C(24) * 3600 * 1000000)

/* Far more than anybody has, and few enough for sums of sizes never to overflow. */
#define STEPS_MAX (UINT32_C(1) << 24)
#define EDGES_MAX (UINT32_C(1) << 26)

#define NAME_MAX_LEN 255u
#define NAME_CHARS   "A-Z a-z 0-9 _ - . :"

static int no_memory(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
}

/* ---------------------------------------------------------------- messages */

/* A name as a message shows it: three of them fit into one. */
struct shown {
    char text[100];
};

static struct shown show(const char *name)
{
    struct shown s;
    size_t len = strnlen(name, sizeof s.text);
    bool cut = len == sizeof s.text;

    if (cut)
        len = sizeof s.text - 4;
    for (size_t i = 0; i < len; i++)
        s.text[i] = (char)(name[i] < ' ' || name[i] > '~' ? '?' : name[i]);
    memcpy(s.text + len, cut ? "..." : "", cut ? 4 : 1);
    return s;
}

/* STEP: its name, or NULL when it is the reactor that is wrong. */
static int refuse(struct kedge_error *err, const char *reactor, const char *step, const char *fmt,
                  ...) KEDGE_PRINTF(4, 5);
static int refuse(struct kedge_error *err, const char *reactor, const char *step, const char *fmt,
                  ...)
{
    char what[300];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (step == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "reactor '%s': %s", show(reactor).text,
                               what);
    return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "reactor '%s', step '%s': %s",
                           show(reactor).text, show(step).text, what);
}

/* ------------------------------------------------------------------- names */

static bool name_char(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == ':';
}

const char *kedge_reactor_name_fault(struct kedge_bytes name, char text[128])
{
    const unsigned char *c = name.data;

    if (c == NULL)
        return "is NULL";
    if (name.len == 0)
        return "is empty";
    if (name.len > NAME_MAX_LEN)
        return "is longer than 255 characters";
    for (size_t i = 0; i < name.len; i++) {
        if (!name_char(c[i])) {
            (void)snprintf(text, 128, "has the byte 0x%02x; names are made of %s", (unsigned)c[i],
                           NAME_CHARS);
            return text;
        }
    }
    return NULL;
}

/* As much of NAME as is needed to tell that it is too long. */
static struct kedge_bytes bounded(const char *name)
{
    struct kedge_bytes bytes = { name, name != NULL ? strnlen(name, NAME_MAX_LEN + 1) : 0 };

    return bytes;
}

/* FNV-1a: names are short. */
static size_t name_hash(struct kedge_bytes name)
{
    const unsigned char *c = name.data;
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < name.len; i++)
        h = (h ^ c[i]) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ (h >> 32));
}

/* Where in the table of places NAME is, or would be: half of them are always empty. */
static uint32_t *place_of(const struct kedge_reactor *r, struct kedge_bytes name)
{
    size_t mask = r->n_places - 1;

    for (size_t i = name_hash(name) & mask;; i = (i + 1) & mask) {
        const struct kedge_reactor_step *step;

        if (r->places[i] == 0)
            return &r->places[i];
        step = &r->steps[r->places[i] - 1];
        if (step->name_len == name.len && memcmp(step->name, name.data, name.len) == 0)
            return &r->places[i];
    }
}

uint32_t kedge_reactor_link(struct kedge_reactor *r, uint32_t index)
{
    struct kedge_bytes name = { r->table[index].name, r->table[index].name_len };
    uint32_t *place = place_of(r, name);

    if (*place == 0)
        *place = index + 1;
    return *place - 1;
}

uint32_t kedge_reactor_find(const struct kedge_reactor *r, struct kedge_bytes name)
{
    uint32_t place;

    if (name.len == 0 || name.len > NAME_MAX_LEN)
        return UINT32_MAX;
    place = *place_of(r, name);
    return place != 0 ? place - 1 : UINT32_MAX;
}

/* ----------------------------------------------------------------- objects */

static void reactor_destroy(struct kedge_reactor *r)
{
    free(r->table);
    free(r->edges);
    free(r->after_at);
    free(r->places);
    free(r->text);
    free(r);
}

int kedge_reactor_make(struct kedge_bytes name, uint32_t version, size_t n_steps, size_t n_edges,
                       size_t n_text, struct kedge_reactor **reactor, struct kedge_error *err)
{
    struct kedge_reactor *r;

    KEDGE_ASSERT(n_steps > 0);
    if (n_steps > STEPS_MAX || n_edges > EDGES_MAX)
        return kedge_error_set(
            err, KEDGE_ERR_INVALID, 0,
            "reactor '%.*s': it has more than %u steps, or more than %u names in "
            "the `after' of all of them",
            (int)name.len, (const char *)name.data, (unsigned)STEPS_MAX, (unsigned)EDGES_MAX);
    r = calloc(1, sizeof *r);
    if (r == NULL)
        return no_memory(err);
    r->refs = 1;
    r->version = version;
    r->n_steps = (uint32_t)n_steps;
    for (r->n_places = 4; r->n_places < 2 * n_steps;)
        r->n_places *= 2;
    r->table = calloc(n_steps, sizeof *r->table);
    r->edges = malloc((2 * n_edges + 1) * sizeof *r->edges); /* both ways */
    r->after_at = malloc(2 * (n_steps + 1) * sizeof *r->after_at);
    r->places = calloc(r->n_places, sizeof *r->places);
    r->text = malloc(name.len + 1 + n_text);
    if (r->table == NULL || r->edges == NULL || r->after_at == NULL || r->places == NULL ||
        r->text == NULL) {
        reactor_destroy(r);
        return no_memory(err);
    }
    r->before_at = r->after_at + n_steps + 1;
    memcpy(r->text, name.data, name.len);
    r->text[name.len] = '\0';
    r->name = r->text;
    r->steps = r->table;
    *reactor = r;
    return KEDGE_OK;
}

struct kedge_reactor *kedge_reactor_hold(struct kedge_reactor *reactor)
{
    reactor->refs++;
    return reactor;
}

void kedge_reactor_free(struct kedge_reactor *reactor)
{
    if (reactor == NULL)
        return;
    KEDGE_ASSERT(reactor->refs > 0);
    if (--reactor->refs == 0)
        reactor_destroy(reactor);
}

const char *kedge_reactor_name(const struct kedge_reactor *reactor)
{
    return reactor->name;
}

uint32_t kedge_reactor_version(const struct kedge_reactor *reactor)
{
    return reactor->version;
}

/* ------------------------------------------------------------------- graph */

/* Every edge from its other end.  Steps are gone through in order, so the lists rise. */
static void turn_round(struct kedge_reactor *r)
{
    uint32_t *to = r->edges + r->n_edges;

    for (uint32_t i = 0; i < r->n_steps; i++)
        for (uint32_t k = 0; k < r->table[i].n_after; k++)
            r->table[r->table[i].after[k]].n_before++;
    for (uint32_t i = 0; i < r->n_steps; i++) {
        r->table[i].before = to;
        to += r->table[i].n_before;
        r->table[i].n_before = 0; /* counted again below */
    }
    for (uint32_t i = 0; i < r->n_steps; i++) {
        for (uint32_t k = 0; k < r->table[i].n_after; k++) {
            struct kedge_reactor_step *from = &r->table[r->table[i].after[k]];

            r->edges[(size_t)(from->before - r->edges) + from->n_before++] = i;
        }
    }
    for (uint32_t i = 0; i < r->n_steps; i++) {
        r->after_at[i] = (uint32_t)(r->table[i].after - r->edges);
        r->before_at[i] = (uint32_t)(r->table[i].before - r->edges);
    }
    r->after_at[r->n_steps] = (uint32_t)r->n_edges;
    r->before_at[r->n_steps] = (uint32_t)(2 * r->n_edges);
}

/*
 * Kahn: take away steps that come after nothing until there are none.  NEED and QUEUE have room
 * for all steps.  Answers how many were taken; those left over have NEED > 0, and each of them
 * comes after another one that is left over.
 */
static uint32_t take_away(const struct kedge_reactor *r, uint32_t *need, uint32_t *queue)
{
    uint32_t head = 0;
    uint32_t tail = 0;

    for (uint32_t i = 0; i < r->n_steps; i++) {
        need[i] = r->steps[i].n_after;
        if (need[i] == 0)
            queue[tail++] = i;
    }
    while (head < tail) {
        const struct kedge_reactor_step *step = &r->steps[queue[head++]];

        for (uint32_t k = 0; k < step->n_before; k++)
            if (--need[step->before[k]] == 0)
                queue[tail++] = step->before[k];
    }
    return tail;
}

/*
 * Walk back over what take_away() left, from the first of it, until a step comes again: from there
 * on PATH is a cycle, in which each step comes after the next one.  Answers where it begins.
 */
static uint32_t walk_back(const struct kedge_reactor *r, uint32_t *need, uint32_t *path,
                          uint32_t *n_path)
{
    const uint32_t seen = UINT32_MAX;
    uint32_t at = 0;
    uint32_t n = 0;

    while (need[at] == 0)
        at++;
    do {
        const uint32_t *after = r->steps[at].after;

        need[at] = seen;
        path[n++] = at;
        while (need[*after] == 0)
            after++;
        at = *after;
    } while (need[at] != seen);
    *n_path = n;
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): AT is in it */
    for (n = 0; path[n] != at;)
        n++;
    return n;
}

#define CHAIN_MAX 5 /* as many steps are told one by one */

static int refuse_cycle(const struct kedge_reactor *r, const uint32_t *cycle, uint32_t n,
                        struct kedge_error *err)
{
    char chain[300] = "";
    uint32_t first = 0;
    size_t len = 0;

    for (uint32_t i = 1; i < n; i++)
        if (cycle[i] < cycle[first])
            first = i;
    if (n > CHAIN_MAX)
        return refuse(err, r->name, r->steps[cycle[first]].name,
                      "it comes after itself, by way of %u other steps", (unsigned)(n - 1));
    for (uint32_t i = 0; i <= n && len < sizeof chain; i++)
        len += (size_t)snprintf(chain + len, sizeof chain - len, "%s%.36s", i > 0 ? " after " : "",
                                r->steps[cycle[(first + i) % n]].name);
    return refuse(err, r->name, r->steps[cycle[first]].name, "it comes after itself: %s", chain);
}

int kedge_reactor_connect(struct kedge_reactor *r, struct kedge_error *err)
{
    uint32_t *need = malloc(r->n_steps * sizeof *need);
    uint32_t *queue = malloc(r->n_steps * sizeof *queue);
    int rc = KEDGE_OK;

    if (need == NULL || queue == NULL) {
        rc = no_memory(err);
    } else {
        turn_round(r);
        if (take_away(r, need, queue) < r->n_steps) {
            uint32_t n;
            uint32_t begin = walk_back(r, need, queue, &n);

            rc = refuse_cycle(r, queue + begin, n - begin, err);
        }
    }
    free(need);
    free(queue);
    return rc;
}

/* ------------------------------------------------- from a program's definition */

/* A definition that is being copied. */
struct draft {
    struct kedge_reactor_def def;
    struct kedge_reactor *r;
    char *text;       /* where the next name goes */
    uint32_t *marked; /* by step: index + 1 of the last step found to come after it */
    struct kedge_error *err;
};

static bool all_zero(const unsigned char *from, size_t n)
{
    while (n > 0 && from[n - 1] == 0)
        n--;
    return n == 0;
}

/* A program compiled against older or newer headers has steps of another size than ours. */
static struct kedge_step_def step_at(const struct kedge_reactor_def *def, size_t i)
{
    struct kedge_step_def step;

    memcpy(&step, (const unsigned char *)def->steps + i * def->step_size, sizeof step);
    return step;
}

static int import_def(struct kedge_reactor_def *to, const struct kedge_reactor_def *from,
                      struct kedge_error *err)
{
    char text[128];
    const char *fault;

    if (from->struct_size < sizeof *to)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0,
                               "def.struct_size is %zu; start from KEDGE_REACTOR_DEF_INIT",
                               from->struct_size);
    memcpy(to, from, sizeof *to);
    fault = kedge_reactor_name_fault(bounded(to->name), text);
    if (fault != NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the name of the reactor %s", fault);
    if (!all_zero((const unsigned char *)from + sizeof *to, from->struct_size - sizeof *to))
        return refuse(err, to->name, NULL,
                      "it has members set that this library, version %s, does not know",
                      KEDGE_VERSION);
    if (to->version == 0)
        return refuse(err, to->name, NULL, "version is 0; versions begin with 1");
    if (to->flags != 0)
        return refuse(err, to->name, NULL,
                      "flags is 0x%x; this library, version %s, knows no flags",
                      (unsigned)to->flags, KEDGE_VERSION);
    if (to->n_steps == 0)
        return refuse(err, to->name, NULL, "it has no steps");
    if (to->steps == NULL)
        return refuse(err, to->name, NULL, "steps is NULL");
    if (to->step_size < sizeof *to->steps)
        return refuse(err, to->name, NULL,
                      "step_size is %zu; it should be sizeof(struct kedge_step_def), %zu",
                      to->step_size, sizeof *to->steps);
    return KEDGE_OK;
}

static int check_retry(const struct draft *d, const struct kedge_step_def *step)
{
    const struct kedge_retry *retry = &step->retry;

    if (retry->backoff > KEDGE_BACKOFF_FIXED)
        return refuse(d->err, d->def.name, step->name,
                      "retry.backoff is %u, which is no enum kedge_backoff",
                      (unsigned)retry->backoff);
    if (retry->base_us < 0 || retry->cap_us < 0)
        return refuse(d->err, d->def.name, step->name, "retry.%s is negative",
                      retry->base_us < 0 ? "base_us" : "cap_us");
    if (retry->jitter_percent > 100)
        return refuse(d->err, d->def.name, step->name,
                      "retry.jitter_percent is %u; 100 is the most",
                      (unsigned)retry->jitter_percent);
    if (retry->reserved != 0)
        return refuse(d->err, d->def.name, step->name, "retry.reserved is not 0");
    return KEDGE_OK;
}

/* All about one step that does not need the others. */
static int check_step(const struct draft *d, size_t i)
{
    struct kedge_step_def step = step_at(&d->def, i);
    const unsigned char *end = (const unsigned char *)d->def.steps + i * d->def.step_size;
    char text[128];
    const char *fault = kedge_reactor_name_fault(bounded(step.name), text);

    if (fault != NULL)
        return refuse(d->err, d->def.name, NULL, "the name of steps[%zu] %s", i, fault);
    if (!all_zero(end + sizeof step, d->def.step_size - sizeof step))
        return refuse(d->err, d->def.name, step.name,
                      "it has members set that this library, version %s, does not know",
                      KEDGE_VERSION);
    if (step.kind != KEDGE_STEP_PLAIN)
        return refuse(d->err, d->def.name, step.name,
                      "kind is %u; this library, version %s, knows KEDGE_STEP_PLAIN only",
                      (unsigned)step.kind, KEDGE_VERSION);
    if ((step.flags & ~KEDGE_STEP_POOL) != 0)
        return refuse(d->err, d->def.name, step.name,
                      "flags is 0x%x; this library, version %s, knows 0x%x only",
                      (unsigned)step.flags, KEDGE_VERSION, (unsigned)KEDGE_STEP_POOL);
    if (step.run == NULL)
        return refuse(d->err, d->def.name, step.name, "run is NULL");
    if (step.more != NULL)
        return refuse(d->err, d->def.name, step.name, "more is not NULL; a plain step has none");
    if (step.timeout_us < 0)
        return refuse(d->err, d->def.name, step.name, "timeout_us is negative");
    return check_retry(d, &step);
}

/* Check all steps one by one; make a reactor with room for them. */
static int measure(struct draft *d)
{
    size_t n_edges = 0;
    size_t n_text = 0;

    for (size_t i = 0; i < d->def.n_steps; i++) {
        struct kedge_step_def step;
        int rc = check_step(d, i);

        if (rc != KEDGE_OK)
            return rc;
        step = step_at(&d->def, i);
        n_text += strlen(step.name) + 1;
        /* Steps may share one long list: what is too much is not counted to its end. */
        for (; step.after != NULL && *step.after != NULL && n_edges <= EDGES_MAX; step.after++)
            n_edges++;
        if (i >= STEPS_MAX || n_edges > EDGES_MAX)
            break;
    }
    return kedge_reactor_make(bounded(d->def.name), d->def.version, d->def.n_steps, n_edges, n_text,
                              &d->r, d->err);
}

static void fill_step(struct kedge_reactor_step *to, const struct kedge_step_def *from, void *user)
{
    to->kind = from->kind;
    to->flags = from->flags;
    to->run = from->run;
    to->compensate = from->compensate;
    to->undo = from->undo;
    to->functions = KEDGE_REACTOR_RUN | (to->compensate != NULL ? KEDGE_REACTOR_COMPENSATE : 0) |
                    (to->undo != NULL ? KEDGE_REACTOR_UNDO : 0);
    to->user = from->user != NULL ? from->user : user;
    to->timeout_us = from->timeout_us;
    to->retry = from->retry;
    if (to->retry.attempts == 0)
        to->retry.attempts = 1;
    if (to->retry.cap_us == 0)
        to->retry.cap_us = DAY_US;
}

static int copy_steps(struct draft *d)
{
    for (uint32_t i = 0; i < d->r->n_steps; i++) {
        struct kedge_step_def from = step_at(&d->def, i);
        struct kedge_reactor_step *to = &d->r->table[i];
        uint32_t same;

        fill_step(to, &from, d->def.user);
        to->name_len = (uint32_t)strlen(from.name);
        to->name = d->text;
        memcpy(d->text, from.name, to->name_len + 1);
        d->text += to->name_len + 1;
        same = kedge_reactor_link(d->r, i);
        if (same != i)
            return refuse(d->err, d->def.name, to->name,
                          "steps[%u] and steps[%u] both have this name", (unsigned)same,
                          (unsigned)i);
    }
    return KEDGE_OK;
}

/* What step I comes after, by index and each once. */
static int copy_after(struct draft *d, uint32_t i)
{
    struct kedge_reactor_step *to = &d->r->table[i];
    const char *const *name = step_at(&d->def, i).after;

    to->after = d->r->edges + d->r->n_edges;
    for (; name != NULL && *name != NULL; name++) {
        uint32_t k = kedge_reactor_find(d->r, bounded(*name));

        if (k == UINT32_MAX)
            return refuse(d->err, d->def.name, to->name,
                          "it comes after '%s', and there is no such step", show(*name).text);
        if (k == i)
            return refuse(d->err, d->def.name, to->name, "it comes after itself");
        if (d->marked[k] == i + 1)
            continue;
        d->marked[k] = i + 1;
        d->r->edges[d->r->n_edges++] = k;
        to->n_after++;
    }
    return KEDGE_OK;
}

static int copy_def(struct draft *d)
{
    int rc = copy_steps(d);

    d->marked = calloc(d->r->n_steps, sizeof *d->marked);
    if (rc == KEDGE_OK && d->marked == NULL)
        rc = no_memory(d->err);
    for (uint32_t i = 0; rc == KEDGE_OK && i < d->r->n_steps; i++)
        rc = copy_after(d, i);
    free(d->marked);
    if (rc != KEDGE_OK)
        return rc;
    d->r->result = d->r->n_steps - 1;
    if (d->def.result != NULL) {
        d->r->result = kedge_reactor_find(d->r, bounded(d->def.result));
        if (d->r->result == UINT32_MAX)
            return refuse(d->err, d->def.name, NULL, "result is '%s', and there is no such step",
                          show(d->def.result).text);
    }
    rc = kedge_reactor_connect(d->r, d->err);
    return rc == KEDGE_OK ? kedge_reactor_sign(d->r, d->err) : rc;
}

int kedge_reactor_new(const struct kedge_reactor_def *def, struct kedge_reactor **reactor,
                      struct kedge_error *err)
{
    struct draft d = { .r = NULL, .err = err };
    int rc;

    if (def == NULL || reactor == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument '%s' is NULL",
                               def == NULL ? "def" : "reactor");
    rc = import_def(&d.def, def, err);
    if (rc == KEDGE_OK)
        rc = measure(&d);
    if (rc != KEDGE_OK)
        return rc;
    d.text = d.r->text + strlen(d.r->text) + 1;
    rc = copy_def(&d);
    if (rc != KEDGE_OK) {
        reactor_destroy(d.r); /* nobody else has it */
        return rc;
    }
    *reactor = d.r;
    return KEDGE_OK;
}

/* ------------------------------------------------------------------ retries */

/* No wait is shorter than nothing or longer than the cap: nothing overflows on the way. */
static int64_t full_delay(const struct kedge_retry *retry, uint32_t failures)
{
    int64_t cap = retry->cap_us > 0 ? retry->cap_us : DAY_US;
    int64_t base = retry->base_us;

    if (failures == 0)
        failures = 1;
    if (retry->backoff == KEDGE_BACKOFF_EXPONENTIAL)
        base = failures > 63 || base > cap >> (failures - 1) ? (base > 0 ? cap : 0)
                                                             : base << (failures - 1);
    else if (retry->backoff == KEDGE_BACKOFF_LINEAR)
        base = base > cap / failures ? cap : base * failures;
    return base < cap ? base : cap;
}

int64_t kedge_retry_delay(const struct kedge_retry *retry, uint32_t failures, uint32_t random)
{
    uint64_t delay = (uint64_t)full_delay(retry, failures);
    uint64_t jitter = retry->jitter_percent;
    uint64_t span = delay / 100 * jitter + delay % 100 * jitter / 100;

    /* span * random / 2^32 in two halves, as the product needs 96 bits */
    return (int64_t)(delay - (span >> 32) * random - (((span & UINT32_MAX) * random) >> 32));
}
