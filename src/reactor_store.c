/* reactor_store.c - a definition as bytes, and those bytes in the cells of a store */
#include <config.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "reactor.h"

#define FORMAT     1u
#define DIGEST     16u /* bytes at the end */
#define STEP_BYTES 6u  /* no step takes less */
#define VARINT_MAX 10u
#define DAY_US     (INT64_C(24) * 3600 * 1000000)
#define FUNCTIONS  (KEDGE_REACTOR_RUN | KEDGE_REACTOR_COMPENSATE | KEDGE_REACTOR_UNDO)

/* ---------------------------------------------------------------- encoding */

/* Where bytes go; with TO NULL they are only counted. */
struct out {
    unsigned char *to;
    size_t len;
};

static void put_bytes(struct out *o, const void *from, size_t len)
{
    if (o->to != NULL)
        memcpy(o->to + o->len, from, len);
    o->len += len;
}

static void put_number(struct out *o, uint64_t n)
{
    unsigned char b[VARINT_MAX];
    size_t len = 0;

    for (; n >= 0x80; n >>= 7)
        b[len++] = (unsigned char)(n | 0x80);
    b[len++] = (unsigned char)n;
    put_bytes(o, b, len);
}

static void put_name(struct out *o, const char *name, size_t len)
{
    put_number(o, len);
    put_bytes(o, name, len);
}

/* All but the digest. */
static void put_body(struct out *o, const struct kedge_reactor *r)
{
    static const unsigned char format = FORMAT;

    put_bytes(o, &format, 1);
    put_number(o, r->version);
    put_name(o, r->name, strlen(r->name));
    put_number(o, r->n_steps);
    put_number(o, r->result);
    for (uint32_t i = 0; i < r->n_steps; i++) {
        const struct kedge_reactor_step *step = &r->steps[i];

        put_name(o, step->name, step->name_len);
        put_number(o, step->kind);
        put_number(o, step->flags);
        put_number(o, step->functions);
        put_number(o, step->n_after);
        for (uint32_t k = 0; k < step->n_after; k++)
            put_number(o, step->after[k]);
    }
}

static struct kedge_id128 digest_of(const void *data, size_t len)
{
    struct kedge_id128 digest;
    XXH128_canonical_t c;

    _Static_assert(sizeof c == sizeof digest && sizeof digest == DIGEST, "128 bits");
    XXH128_canonicalFromHash(&c, XXH3_128bits(data, len));
    memcpy(&digest, &c, sizeof digest);
    return digest;
}

int kedge_reactor_sign(struct kedge_reactor *r, struct kedge_error *err)
{
    struct out o = { malloc(kedge_reactor_store_size(r)), 0 };

    if (o.to == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    put_body(&o, r);
    r->digest = digest_of(o.to, o.len);
    free(o.to);
    return KEDGE_OK;
}

size_t kedge_reactor_store_size(const struct kedge_reactor *r)
{
    struct out o = { NULL, 0 };

    put_body(&o, r);
    return o.len + DIGEST;
}

void kedge_reactor_store(const struct kedge_reactor *r, unsigned char *to)
{
    struct out o = { to, 0 };

    put_body(&o, r);
    put_bytes(&o, &r->digest, DIGEST);
}

/* ---------------------------------------------------------------- decoding */

/* What is left to read.  Once something was wrong, all that follows reads as 0 or empty. */
struct in {
    const unsigned char *p;
    size_t len;
    bool bad;
};

static struct kedge_bytes get_bytes(struct in *in, uint64_t len)
{
    struct kedge_bytes bytes = { in->p, 0 };

    if (in->bad || len > in->len) {
        in->bad = true;
        return bytes;
    }
    bytes.len = (size_t)len;
    in->p += bytes.len;
    in->len -= bytes.len;
    return bytes;
}

/* A number up to MAX, in no more bytes than it needs. */
static uint64_t get_number(struct in *in, uint64_t max)
{
    uint64_t n = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        struct kedge_bytes byte = get_bytes(in, 1);
        unsigned char b;

        if (byte.len == 0)
            return 0;
        b = *(const unsigned char *)byte.data;
        n |= (uint64_t)(b & 0x7f) << shift;
        if ((b & 0x80) != 0)
            continue;
        if (n > max || (b == 0 && shift > 0) || (shift == 63 && b > 1))
            break;
        return n;
    }
    in->bad = true;
    return 0;
}

static struct kedge_bytes get_name(struct in *in)
{
    struct kedge_bytes name = get_bytes(in, get_number(in, UINT8_MAX));
    char text[128];

    if (!in->bad && kedge_reactor_name_fault(name, text) != NULL)
        in->bad = true;
    return name;
}

struct header {
    uint32_t version;
    struct kedge_bytes name;
    uint32_t n_steps;
    uint32_t result;
};

static struct header get_header(struct in *in)
{
    struct header h;

    h.version = (uint32_t)get_number(in, UINT32_MAX);
    h.name = get_name(in);
    h.n_steps = (uint32_t)get_number(in, in->len / STEP_BYTES);
    h.result = (uint32_t)get_number(in, UINT32_MAX);
    if (h.version == 0 || h.result >= h.n_steps)
        in->bad = true;
    return h;
}

/* One step up to the numbers of those it comes after. */
struct step_head {
    struct kedge_bytes name;
    uint32_t kind;
    uint32_t flags;
    uint32_t functions;
    uint32_t n_after;
};

static struct step_head get_step(struct in *in)
{
    struct step_head s;

    s.name = get_name(in);
    s.kind = (uint32_t)get_number(in, UINT32_MAX);
    s.flags = (uint32_t)get_number(in, UINT32_MAX);
    s.functions = (uint32_t)get_number(in, UINT32_MAX);
    s.n_after = (uint32_t)get_number(in, in->len);
    return s;
}

static int not_understood(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0,
                           "the stored definition of a reactor cannot be understood");
}

static int of_newer(struct kedge_error *err)
{
    return kedge_error_set(err, KEDGE_ERR_SCHEMA_NEW, 0,
                           "the stored definition of a reactor was written by a newer kedge");
}

/* Read all of it once, to know what room it needs. */
static int measure(struct in in, const struct header *h, size_t *n_edges, size_t *n_text,
                   struct kedge_error *err)
{
    *n_edges = 0;
    *n_text = 0;
    for (uint32_t i = 0; i < h->n_steps && !in.bad; i++) {
        struct step_head s = get_step(&in);

        if (!in.bad && (s.kind != KEDGE_STEP_PLAIN || (s.flags & ~KEDGE_STEP_POOL) != 0 ||
                        (s.functions & ~FUNCTIONS) != 0))
            return of_newer(err);
        for (uint32_t k = 0; k < s.n_after && !in.bad; k++)
            if (get_number(&in, h->n_steps - 1) == i)
                in.bad = true;
        *n_edges += s.n_after;
        *n_text += s.name.len + 1;
    }
    return in.bad || in.len != 0 ? not_understood(err) : KEDGE_OK;
}

/* The same again, into R.  Answers whether names are unique, and edges as well. */
static bool fill(struct in in, struct kedge_reactor *r, uint32_t *marked)
{
    char *text = r->text + strlen(r->name) + 1;

    for (uint32_t i = 0; i < r->n_steps; i++) {
        struct kedge_reactor_step *step = &r->table[i];
        struct step_head s = get_step(&in);

        step->name = text;
        step->name_len = (uint32_t)s.name.len;
        memcpy(text, s.name.data, s.name.len);
        text[s.name.len] = '\0';
        text += s.name.len + 1;
        step->kind = s.kind;
        step->flags = s.flags;
        step->functions = s.functions;
        step->retry.attempts = 1;
        step->retry.cap_us = DAY_US;
        step->n_after = s.n_after;
        step->after = r->edges + r->n_edges;
        for (uint32_t k = 0; k < s.n_after; k++) {
            uint32_t other = (uint32_t)get_number(&in, UINT32_MAX);

            if (marked[other] == i + 1)
                return false;
            marked[other] = i + 1;
            r->edges[r->n_edges++] = other;
        }
        if (kedge_reactor_link(r, i) != i)
            return false;
    }
    return true;
}

/* The checksum fits, so what is wrong from here on was written that way. */
static int load_body(struct in in, struct kedge_reactor **reactor, struct kedge_error *err)
{
    struct header h = get_header(&in);
    struct kedge_reactor *r = NULL;
    uint32_t *marked = NULL;
    size_t n_edges;
    size_t n_text;
    int rc;

    if (in.bad)
        return not_understood(err);
    rc = measure(in, &h, &n_edges, &n_text, err);
    if (rc == KEDGE_OK)
        rc = kedge_reactor_make(h.name, h.version, h.n_steps, n_edges, n_text, &r, err);
    if (rc == KEDGE_OK) {
        marked = calloc(h.n_steps, sizeof *marked);
        r->result = h.result;
        if (marked == NULL)
            rc = kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
        else if (!fill(in, r, marked))
            rc = not_understood(err);
        else
            rc = kedge_reactor_connect(r, err);
        free(marked);
    }
    if (rc == KEDGE_OK) {
        *reactor = r;
        return KEDGE_OK;
    }
    kedge_reactor_free(r);
    return rc == KEDGE_ERR_INVALID ? not_understood(err) : rc; /* too large, or a cycle */
}

int kedge_reactor_load(struct kedge_bytes stored, struct kedge_reactor **reactor,
                       struct kedge_error *err)
{
    const unsigned char *bytes = stored.data;
    struct in in = { bytes, 0, false };
    struct kedge_id128 digest;
    int rc;

    if (stored.len <= DIGEST)
        return not_understood(err);
    in.len = stored.len - DIGEST;
    digest = digest_of(bytes, in.len);
    if (memcmp(&digest, bytes + in.len, DIGEST) != 0)
        return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0,
                               "the stored definition of a reactor does not fit its checksum");
    if (bytes[0] != FORMAT)
        return bytes[0] > FORMAT ? of_newer(err) : not_understood(err);
    in.p++;
    in.len--;
    rc = load_body(in, reactor, err);
    if (rc == KEDGE_OK)
        (*reactor)->digest = digest;
    return rc;
}

/* -------------------------------------------------------------- comparison */

static const char *has(uint32_t functions, uint32_t which)
{
    return (functions & which) != 0 ? "has" : "lacks";
}

static int differ_step(const struct kedge_reactor_step *a, const struct kedge_reactor_step *b,
                       uint32_t index, char *why, size_t size)
{
    static const struct {
        uint32_t which;
        const char *name;
    } functions[] = {
        { KEDGE_REACTOR_RUN, "run" },
        { KEDGE_REACTOR_COMPENSATE, "compensate" },
        { KEDGE_REACTOR_UNDO, "undo" },
    };

    if (strcmp(a->name, b->name) != 0) {
        (void)snprintf(why, size, "steps[%u] is '%.100s' here and '%.100s' in the store",
                       (unsigned)index, a->name, b->name);
        return 1;
    }
    if (a->kind != b->kind) {
        (void)snprintf(why, size, "step '%.100s' is of kind %u here and %u in the store", a->name,
                       (unsigned)a->kind, (unsigned)b->kind);
        return 1;
    }
    if (a->flags != b->flags) {
        (void)snprintf(why, size, "step '%.100s' has flags 0x%x here and 0x%x in the store",
                       a->name, (unsigned)a->flags, (unsigned)b->flags);
        return 1;
    }
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        uint32_t which = functions[i].which;

        if ((a->functions & which) != (b->functions & which)) {
            (void)snprintf(why, size, "step '%.100s' %s %s here and %s it in the store", a->name,
                           has(a->functions, which), functions[i].name, has(b->functions, which));
            return 1;
        }
    }
    return 0;
}

/*
 * Names are the same by now, so indices mean the same.  The lists of those that come after a step
 * rise, whatever the order was in which `after' was written.
 */
static int differ_edges(const struct kedge_reactor *ours, const struct kedge_reactor *stored,
                        uint32_t index, char *why, size_t size)
{
    const struct kedge_reactor_step *a = &ours->steps[index];
    const struct kedge_reactor_step *b = &stored->steps[index];

    for (uint32_t k = 0; k < a->n_before || k < b->n_before; k++) {
        uint32_t x = k < a->n_before ? a->before[k] : UINT32_MAX;
        uint32_t y = k < b->n_before ? b->before[k] : UINT32_MAX;

        if (x == y)
            continue;
        (void)snprintf(why, size, "step '%.100s' comes after '%.100s' %s",
                       ours->steps[x < y ? x : y].name, a->name,
                       x < y ? "here and not in the store" : "in the store and not here");
        return 1;
    }
    return 0;
}

static int differ_rest(const struct kedge_reactor *ours, const struct kedge_reactor *stored,
                       char *why, size_t size)
{
    uint32_t n = ours->n_steps < stored->n_steps ? ours->n_steps : stored->n_steps;
    int different = 0;

    for (uint32_t i = 0; i < n && different == 0; i++)
        different = differ_step(&ours->steps[i], &stored->steps[i], i, why, size);
    if (different == 0 && ours->n_steps != stored->n_steps) {
        bool more = ours->n_steps > n;

        (void)snprintf(why, size, "step '%.100s' is %s",
                       more ? ours->steps[n].name : stored->steps[n].name,
                       more ? "here and not in the store" : "in the store and not here");
        return 1;
    }
    for (uint32_t i = 0; i < n && different == 0; i++)
        different = differ_edges(ours, stored, i, why, size);
    if (different == 0 && ours->result != stored->result) {
        (void)snprintf(why, size,
                       "the result is that of '%.100s' here and of '%.100s' in the store",
                       ours->steps[ours->result].name, stored->steps[stored->result].name);
        return 1;
    }
    return different;
}

int kedge_reactor_differ(const struct kedge_reactor *ours, const struct kedge_reactor *stored,
                         char *why, size_t size)
{
    if (memcmp(&ours->digest, &stored->digest, sizeof ours->digest) == 0)
        return 0;
    if (strcmp(ours->name, stored->name) != 0) {
        (void)snprintf(why, size, "the reactor is '%.100s' here and '%.100s' in the store",
                       ours->name, stored->name);
        return 1;
    }
    if (ours->version != stored->version) {
        (void)snprintf(why, size, "the version is %u here and %u in the store",
                       (unsigned)ours->version, (unsigned)stored->version);
        return 1;
    }
    return differ_rest(ours, stored, why, size);
}

/* ------------------------------------------------------------------- cells */

struct kedge_bytes kedge_reactor_cell(char *to, struct kedge_bytes name, uint32_t version,
                                      uint32_t part)
{
    static const char prefix[] = "kedge.reactor"; /* its NUL belongs to it */
    struct kedge_bytes cell = { to, sizeof prefix };
    int n;

    memcpy(to, prefix, sizeof prefix);
    memcpy(to + cell.len, name.data, name.len);
    cell.len += name.len;
    to[cell.len++] = '\0';
    n = snprintf(to + cell.len, KEDGE_REACTOR_CELL_MAX - cell.len, "%u%c%u", (unsigned)version,
                 '\0', (unsigned)part);
    cell.len += (size_t)n;
    return cell;
}

/* One reactor in one store, and until when there is time. */
struct place {
    const struct kedge_backend_ops *ops;
    void *session;
    const struct kedge_host *host;
    struct kedge_bytes name;
    uint32_t version;
    int64_t deadline; /* CLOCK_MONOTONIC: the host's clocks may be a test's, and stand still */
};

static int64_t now_us(void)
{
    struct timespec ts = { 0, 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void set_deadline(struct place *p, int64_t timeout_us)
{
    int64_t now = now_us();

    p->deadline = timeout_us < INT64_MAX - now ? now + timeout_us : INT64_MAX;
}

/* At least a moment: what need not wait for others is done even when the time is up. */
static int64_t left(const struct place *p)
{
    int64_t us = p->deadline - now_us();

    return us > 1 ? us : 1;
}

/* The failure in E, as one of this reactor. */
static int fail(const struct place *p, int rc, const struct kedge_error *e, struct kedge_error *err)
{
    if (rc >= 0)
        return rc;
    return kedge_error_set(err, rc, e->sys_errno, "reactor '%.*s', version %u: %s",
                           (int)(p->name.len < 100 ? p->name.len : 100), (const char *)p->name.data,
                           (unsigned)p->version, e->msg);
}

/* ------------------------------------------------------------------ reading */

/* The parts that were read, one after the other. */
struct pile {
    unsigned char *data;
    size_t len;
    size_t room;
};

static bool pile_add(struct pile *pile, struct kedge_bytes more)
{
    size_t need = pile->len + more.len;

    if (need > pile->room) {
        size_t room = need > 2 * pile->room ? need : 2 * pile->room;
        unsigned char *data = realloc(pile->data, room);

        if (data == NULL)
            return false;
        pile->data = data;
        pile->room = room;
    }
    if (more.len > 0)
        memcpy(pile->data + pile->len, more.data, more.len);
    pile->len = need;
    return true;
}

/* Read one part; the first one tells *N_PARTS. */
static int read_part(const struct place *p, struct pile *pile, uint32_t part, uint32_t *n_parts,
                     struct kedge_error *err)
{
    char name[KEDGE_REACTOR_CELL_MAX];
    struct kedge_cell cell = { .mem = NULL };
    int rc = p->ops->cell_get(p->session, kedge_reactor_cell(name, p->name, p->version, part),
                              &cell, left(p), err);

    if (rc == KEDGE_NOT_FOUND && part > 0)
        return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0,
                               "part %u of the %u parts of its stored definition is missing",
                               (unsigned)part, (unsigned)*n_parts);
    if (rc != KEDGE_OK)
        return rc;
    if (part == 0) {
        struct in in = { cell.value.data, cell.value.len, false };

        *n_parts = (uint32_t)get_number(&in, UINT32_MAX);
        cell.value = (struct kedge_bytes){ in.p, in.len };
        if (*n_parts == 0)
            rc = not_understood(err);
    }
    if (rc == KEDGE_OK && !pile_add(pile, cell.value))
        rc = kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    kedge_mem_free(p->host, cell.mem);
    return rc;
}

/* All parts were written by one commit and are never written again: they fit together. */
static int read_place(const struct place *p, struct kedge_reactor **reactor,
                      struct kedge_error *err)
{
    struct pile pile = { NULL, 0, 0 };
    struct kedge_error e = { .code = 0 };
    uint32_t n_parts = 1;
    int rc = KEDGE_OK;

    for (uint32_t part = 0; rc == KEDGE_OK && part < n_parts; part++)
        rc = read_part(p, &pile, part, &n_parts, &e);
    if (rc == KEDGE_OK)
        rc = kedge_reactor_load((struct kedge_bytes){ pile.data, pile.len }, reactor, &e);
    free(pile.data);
    if (rc != KEDGE_OK)
        return fail(p, rc, &e, err);
    if ((*reactor)->version == p->version && strlen((*reactor)->name) == p->name.len &&
        memcmp((*reactor)->name, p->name.data, p->name.len) == 0)
        return KEDGE_OK;
    (void)snprintf(e.msg, sizeof e.msg, "in its place is the definition of '%.100s', version %u",
                   (*reactor)->name, (unsigned)(*reactor)->version);
    kedge_reactor_free(*reactor);
    return fail(p, KEDGE_ERR_CORRUPT, &e, err);
}

static int set_place(struct place *p, int64_t timeout_us, struct kedge_error *err)
{
    char text[128];
    const char *fault = kedge_reactor_name_fault(p->name, text);

    if (fault != NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the name of the reactor %s", fault);
    if (p->version == 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "version is 0; versions begin with 1");
    if (timeout_us <= 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "timeout_us is not positive");
    set_deadline(p, timeout_us);
    return KEDGE_OK;
}

int kedge_reactor_fetch(const struct kedge_backend_ops *ops, void *session,
                        const struct kedge_host *host, struct kedge_bytes name, uint32_t version,
                        struct kedge_reactor **reactor, int64_t timeout_us, struct kedge_error *err)
{
    struct place p = { ops, session, host, name, version, 0 };
    struct kedge_reactor *found = NULL;
    int rc = set_place(&p, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = read_place(&p, &found, err);
    if (rc == KEDGE_OK)
        *reactor = found;
    return rc;
}

/* ------------------------------------------------------------------ writing */

/* The commit that records a definition, and the memory behind it. */
struct writing {
    struct kedge_commit commit;
    struct kedge_guard guard;
    struct kedge_change *changes;
    char (*names)[KEDGE_REACTOR_CELL_MAX];
    unsigned char *bytes; /* number of parts, stored form */
};

static void writing_free(struct writing *w)
{
    free(w->changes);
    free(w->names);
    free(w->bytes);
}

static int random_id(struct kedge_id128 *id, struct kedge_error *err)
{
    ssize_t n;

    do
        n = getrandom(id->b, sizeof id->b, 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof id->b)
        return kedge_error_set(err, KEDGE_ERR_UNAVAILABLE, errno, "no random numbers to be had");
    id->b[0] |= 1; /* all zero would mean none */
    return KEDGE_OK;
}

/* SIZE bytes after their number of parts, in cells of CELL_MAX. */
static size_t count_parts(size_t size, uint64_t cell_max)
{
    for (size_t n = 1;; n++) {
        struct out o = { NULL, size };

        put_number(&o, n);
        if ((o.len - 1) / cell_max < n)
            return n;
    }
}

static int writing_make(struct writing *w, const struct place *p, const struct kedge_reactor *r,
                        struct kedge_error *err)
{
    const struct kedge_limits *limits = p->ops->limits;
    size_t size = kedge_reactor_store_size(r);
    size_t n = count_parts(size, limits->cell_max);
    struct out o = { NULL, 0 };
    size_t done = 0;
    int rc = random_id(&w->commit.request, err);

    if (rc != KEDGE_OK)
        return rc;
    if (n >= limits->commit_changes || size >= limits->commit_bytes)
        return kedge_error_set(err, KEDGE_ERR_TOO_BIG, 0,
                               "its definition has %zu bytes, more than one commit to this store "
                               "can write",
                               size);
    w->bytes = malloc(VARINT_MAX + size);
    w->names = malloc(n * sizeof *w->names);
    w->changes = calloc(n, sizeof *w->changes);
    if (w->bytes == NULL || w->names == NULL || w->changes == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    o.to = w->bytes;
    put_number(&o, n);
    kedge_reactor_store(r, w->bytes + o.len);
    size += o.len;
    for (size_t i = 0; i < n; i++) {
        size_t len = size - done < limits->cell_max ? size - done : (size_t)limits->cell_max;

        w->changes[i].kind = KEDGE_CELL_PUT;
        w->changes[i].name = kedge_reactor_cell(w->names[i], p->name, p->version, (uint32_t)i);
        w->changes[i].cell.value = (struct kedge_bytes){ w->bytes + done, len };
        done += len;
    }
    w->guard = (struct kedge_guard){ .kind = KEDGE_GUARD_CELL, .name = w->changes[0].name };
    w->commit.guards = &w->guard;
    w->commit.n_guards = 1;
    w->commit.changes = w->changes;
    w->commit.n_changes = n;
    return KEDGE_OK;
}

/* Send it, and while nobody knows what became of it send it again: with the same request id it
   takes place once. */
static int writing_send(const struct writing *w, const struct place *p, struct kedge_error *err)
{
    struct timespec wait = { 0, 1000000 };
    bool in_doubt = false;

    for (;;) {
        struct kedge_answer answer = { .outcome = KEDGE_OK };
        int rc = p->ops->commit(p->session, &w->commit, 1, &answer, left(p), err);

        if (rc == KEDGE_OK && answer.outcome < 0)
            (void)kedge_error_set(err, answer.outcome, 0, "%s", answer.why);
        if (rc == KEDGE_OK)
            rc = answer.outcome;
        if (rc == KEDGE_ERR_UNKNOWN)
            in_doubt = true;
        else if (!in_doubt || rc >= 0)
            return rc; /* a failure now would say nothing about the time before */
        if (left(p) <= 1)
            return KEDGE_ERR_UNKNOWN;
        (void)nanosleep(&wait, NULL);
        if (wait.tv_nsec < 100000000)
            wait.tv_nsec *= 2;
    }
}

static int write_place(const struct place *p, const struct kedge_reactor *r,
                       struct kedge_error *err)
{
    struct writing w = { .changes = NULL };
    struct kedge_error e = { .code = 0 };
    int rc = writing_make(&w, p, r, &e);

    if (rc == KEDGE_OK)
        rc = writing_send(&w, p, &e);
    writing_free(&w);
    return fail(p, rc, &e, err);
}

/* Is what the store has what we have? */
static int compare(const struct place *p, const struct kedge_reactor *ours,
                   const struct kedge_reactor *stored, struct kedge_error *err)
{
    struct kedge_error e = { .code = 0 };
    char why[300];

    if (kedge_reactor_differ(ours, stored, why, sizeof why) == 0)
        return KEDGE_OK;
    (void)snprintf(e.msg, sizeof e.msg,
                   "the store has it with other steps: %s; what has changed needs a new version",
                   why);
    return fail(p, KEDGE_ERR_INVALID, &e, err);
}

int kedge_reactor_register(const struct kedge_backend_ops *ops, void *session,
                           const struct kedge_host *host, const struct kedge_reactor *reactor,
                           int64_t timeout_us, struct kedge_error *err)
{
    struct place p = { ops, session, host, kedge_text(reactor->name), reactor->version, 0 };
    const struct kedge_error gone = { .msg = "its stored definition comes and goes" };
    int rc = set_place(&p, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    /* Mostly it is there.  Somebody else may write it between our look and our write: look again,
       and once more in case it was removed meanwhile. */
    for (int turn = 0; turn < 3; turn++) {
        struct kedge_reactor *stored = NULL;

        rc = read_place(&p, &stored, err);
        if (rc == KEDGE_OK) {
            rc = compare(&p, reactor, stored, err);
            kedge_reactor_free(stored);
            return rc;
        }
        if (rc != KEDGE_NOT_FOUND)
            return rc;
        rc = write_place(&p, reactor, err);
        if (rc != KEDGE_STALE)
            return rc;
    }
    return fail(&p, KEDGE_ERR_UNAVAILABLE, &gone, err);
}
