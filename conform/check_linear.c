/*
 * check_linear.c - the search for an order: Wing and Gong's, with Lowe's improvements
 *
 * One object (a key of one kind) at a time, since objects are independent but for the deaths of
 * leases, which every object gets for the leases that were used on it.  Operations are put into
 * the order only when the answer of one that is not in it yet comes ("just in time"), and a
 * configuration - which answer, which open operations are in the order already, which state - is
 * gone into once.  Configurations are remembered by 128 bits of hash.
 *
 * At most 64 operations of an object may be open at once, and at most 63 leases that die be in use
 * at once; an operation in doubt is open until the lease it needs was seen dead, else to the end.
 * More is inconclusive, as is a spent budget.
 */
#include <config.h>

#include "check_models.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/error.h>

#define SLOTS     64
#define DEATHS    63
#define FOREVER   (UINT64_C(1) << 63) /* in `dead': of a dead holder that is not heard of again */
#define TOLD      6                   /* operations named in an explanation */
#define NO_MEMORY "out of memory"

/* An answer came: OP must be in the order by now.  OPEN: who could be put there. */
struct answer {
    uint32_t op;
    uint32_t n_open;
    size_t open;      /* into part.open */
    uint64_t retires; /* bits of leases that are not heard of after it */
};

/* A lease that dies, while it is heard of: from its first call to its last answer. */
struct mortal {
    uint64_t owner;
    uint64_t bit; /* 0: not now */
    size_t left;  /* answers to come */
    bool endless; /* one never comes */
};

struct node {
    uint64_t mask; /* open operations that are in the order, by slot */
    size_t at;     /* next answer */
    struct model_state state;
};

/* What is known of one object, and the search. */
struct part {
    const struct model *model;
    const char *key;
    struct model_op *ops;
    size_t n_ops, ops_room;
    struct mortal *mortals;
    size_t n_mortals, mortals_room;
    struct answer *answers;
    size_t n_answers;
    uint32_t *open;
    size_t n_open, open_room;
    struct node *stack;
    size_t n_stack, stack_room;
    uint64_t (*seen)[2];
    size_t n_seen, seen_room;
    size_t far; /* how many answers could be explained */
    struct model_state stuck;
};

/* The first event of a key, and how many there are; events of a key are together. */
struct group {
    enum history_subject subject;
    const char *key;
    size_t first, n;
};

struct search {
    const struct history *h;
    const struct history_event **by_key;
    uint64_t budget;
    struct verdict *v;
};

static bool grow(void **array, size_t *room, size_t need, size_t size)
{
    size_t more = *room == 0 ? 64 : *room;
    void *p;

    if (need <= *room)
        return true;
    while (more < need)
        more *= 2;
    p = realloc(*array, more * size);
    if (p == NULL)
        return false;
    *array = p;
    *room = more;
    return true;
}

/* -------------------------------------------------------------- operations */

static bool is_death(const struct history_event *e)
{
    return (e->op == HISTORY_BURY || e->op == HISTORY_REVOKE) &&
           (e->result == KEDGE_OK || e->result == KEDGE_ERR_UNKNOWN);
}

/* When the first answer came that says that this lease is dead. */
static int64_t known_dead(const struct history *h, uint64_t owner)
{
    int64_t since = HISTORY_NEVER;

    for (size_t i = 0; i < h->n; i++) {
        const struct history_event *e = &h->events[i];

        if (is_death(e) && e->owner == owner && e->result == KEDGE_OK && e->ret < since)
            since = e->ret;
    }
    return since;
}

static bool add_op(struct part *p, const struct history *h, const struct history_event *e)
{
    struct model_op op = { .e = e, .ret = e->ret, .optional = e->result == KEDGE_ERR_UNKNOWN };

    if (op.optional && (model_needs_life(e) || is_death(e)))
        op.ret = known_dead(h, e->owner);
    if (op.ret < e->call)
        return true; /* it can have had no effect */
    if (!grow((void **)&p->ops, &p->ops_room, p->n_ops + 1, sizeof *p->ops))
        return false;
    p->ops[p->n_ops++] = op;
    return true;
}

static bool uses(const struct part *p, uint64_t owner)
{
    for (size_t i = 0; i < p->n_ops; i++)
        if (p->ops[i].e->owner == owner)
            return true;
    return false;
}

static struct mortal *mortal_of(struct part *p, uint64_t owner)
{
    for (size_t i = 0; i < p->n_mortals; i++)
        if (p->mortals[i].owner == owner)
            return &p->mortals[i];
    return NULL;
}

/* The deaths of leases that were used on this object. */
static bool add_deaths(struct part *p, const struct history *h)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct history_event *e = &h->events[i];

        if (!is_death(e) || !uses(p, e->owner))
            continue;
        if (mortal_of(p, e->owner) == NULL) {
            if (!grow((void **)&p->mortals, &p->mortals_room, p->n_mortals + 1, sizeof *p->mortals))
                return false;
            p->mortals[p->n_mortals++] = (struct mortal){ .owner = e->owner };
        }
        if (!add_op(p, h, e))
            return false;
    }
    for (size_t i = 0; i < p->n_ops; i++) {
        struct mortal *m = mortal_of(p, p->ops[i].e->owner);

        if (m != NULL && p->ops[i].ret == HISTORY_NEVER)
            m->endless = true;
        else if (m != NULL)
            m->left++;
    }
    return true;
}

/* Calls before answers at the same instant: what may overlap is taken to overlap. */
struct point {
    int64_t time;
    uint32_t is_answer;
    uint32_t op;
};

static int by_time(const void *a, const void *b)
{
    const struct point *x = a, *y = b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    if (x->is_answer != y->is_answer)
        return x->is_answer < y->is_answer ? -1 : 1;
    return (x->op > y->op) - (x->op < y->op);
}

static bool note_answer(struct part *p, uint32_t op, const uint32_t *open, size_t n)
{
    if (!grow((void **)&p->open, &p->open_room, p->n_open + n, sizeof *p->open))
        return false;
    p->answers[p->n_answers++] =
        (struct answer){ .op = op, .n_open = (uint32_t)n, .open = p->n_open };
    memcpy(p->open + p->n_open, open, n * sizeof *open);
    p->n_open += n;
    return true;
}

/* The bit of the lease of OP, which begins.  false: there are too many at once. */
static bool give_bit(struct part *p, struct model_op *op, uint64_t *bits)
{
    struct mortal *m = mortal_of(p, op->e->owner);

    if (m == NULL)
        return true;
    if (m->bit == 0) {
        if ((*bits | FOREVER) == UINT64_MAX)
            return false;
        m->bit = UINT64_C(1) << __builtin_ctzll(~*bits);
        *bits |= m->bit;
    }
    op->death = m->bit;
    return true;
}

/* OP was answered: its bit is free, if that was the last of its lease. */
static uint64_t retire_bit(struct part *p, const struct model_op *op, uint64_t *bits)
{
    struct mortal *m = mortal_of(p, op->e->owner);

    if (m == NULL || --m->left > 0 || m->endless)
        return 0;
    *bits &= ~m->bit;
    return m->bit;
}

/* Slots for operations, bits for leases, and who is open at each answer. */
static bool lay_out(struct part *p, const struct point *points, size_t n, const char **why)
{
    uint32_t open[SLOTS] = { 0 };
    size_t n_open = 0;
    uint64_t taken = 0, bits = 0;

    for (size_t i = 0; i < n; i++) {
        struct model_op *op = &p->ops[points[i].op];
        size_t at = 0;

        if (!points[i].is_answer) {
            if (n_open == SLOTS) {
                *why = "more than 64 operations were open at once";
                return false;
            }
            op->slot = (uint32_t)__builtin_ctzll(~taken);
            taken |= UINT64_C(1) << op->slot;
            open[n_open++] = points[i].op;
            if (!give_bit(p, op, &bits)) {
                *why = "more than 63 leases that died were in use at once";
                return false;
            }
            continue;
        }
        if (!note_answer(p, points[i].op, open, n_open))
            return false;
        p->answers[p->n_answers - 1].retires = retire_bit(p, op, &bits);
        while (open[at] != points[i].op)
            at++;
        open[at] = open[--n_open];
        taken &= ~(UINT64_C(1) << op->slot);
    }
    return true;
}

static bool prepare(struct part *p, const char **why)
{
    struct point *points = calloc(p->n_ops * 2 + 1, sizeof *points);
    size_t n = 0;
    bool ok;

    p->answers = calloc(p->n_ops + 1, sizeof *p->answers);
    if (points == NULL || p->answers == NULL) {
        free(points);
        return false;
    }
    for (size_t i = 0; i < p->n_ops; i++) {
        points[n++] = (struct point){ p->ops[i].e->call, 0, (uint32_t)i };
        if (p->ops[i].ret != HISTORY_NEVER)
            points[n++] = (struct point){ p->ops[i].ret, 1, (uint32_t)i };
    }
    qsort(points, n, sizeof *points, by_time);
    ok = lay_out(p, points, n, why);
    free(points);
    return ok;
}

/* ------------------------------------------------------------------- search */

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * UINT64_C(0x9fb21c651e98df25);
    return h ^ (h >> 32);
}

static void fingerprint(const struct node *n, uint64_t out[2])
{
    const struct model_state *s = &n->state;
    const uint64_t words[] = { n->mask,   n->at,       s->dead,
                               s->holder, s->hold_bit, s->fence,
                               s->top,    s->value,    (uint64_t)s->deadline,
                               s->phase };

    out[0] = UINT64_C(0x243f6a8885a308d3);
    out[1] = UINT64_C(0x13198a2e03707344);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        out[0] = mix(out[0], words[i]);
        out[1] = mix(out[1] + i, words[i] * UINT64_C(0xff51afd7ed558ccd));
    }
    out[0] |= 1; /* zero is an empty place */
}

static bool rehash(struct part *p)
{
    size_t room = p->seen_room == 0 ? 1024 : p->seen_room * 2;
    uint64_t(*places)[2] = calloc(room, sizeof *places);

    if (places == NULL)
        return false;
    for (size_t i = 0; i < p->seen_room; i++) {
        size_t at = (size_t)(p->seen[i][1] & (room - 1));

        if (p->seen[i][0] == 0)
            continue;
        while (places[at][0] != 0)
            at = (at + 1) & (room - 1);
        memcpy(places[at], p->seen[i], sizeof places[at]);
    }
    free(p->seen);
    p->seen = places;
    p->seen_room = room;
    return true;
}

/* 1: not been here before; 0: been; -1: no memory. */
static int first_visit(struct part *p, const struct node *n)
{
    uint64_t print[2];
    size_t at;

    if (p->n_seen * 2 >= p->seen_room && !rehash(p))
        return -1;
    fingerprint(n, print);
    for (at = (size_t)(print[1] & (p->seen_room - 1)); p->seen[at][0] != 0;
         at = (at + 1) & (p->seen_room - 1))
        if (p->seen[at][0] == print[0] && p->seen[at][1] == print[1])
            return 0;
    memcpy(p->seen[at], print, sizeof print);
    p->n_seen++;
    return 1;
}

static bool push(struct part *p, const struct node *n)
{
    if (!grow((void **)&p->stack, &p->stack_room, p->n_stack + 1, sizeof *p->stack))
        return false;
    p->stack[p->n_stack++] = *n;
    return true;
}

static bool push_with(struct part *p, const struct node *n, const struct model_op *op)
{
    struct node next = *n;

    if ((n->mask >> op->slot) & 1)
        return true;
    if (!p->model->step(op, &next.state))
        return true;
    next.mask |= UINT64_C(1) << op->slot;
    return push(p, &next);
}

/* On to the next answer. */
static void pass(struct node *n, const struct answer *a, const struct model_op *op)
{
    struct model_state *s = &n->state;

    n->mask &= ~(UINT64_C(1) << op->slot);
    n->at++;
    if (a->retires == 0)
        return;
    if (s->hold_bit == a->retires)
        s->hold_bit = (s->dead & s->hold_bit) != 0 ? FOREVER : 0;
    s->dead &= ~a->retires;
}

/*
 * An open operation that fits the state and does not change it, such as a read or a refusal, is put
 * into the order here and now: whatever could follow without it can follow with it.
 */
static void absorb(const struct part *p, struct node *n)
{
    const struct answer *a = &p->answers[n->at];

    for (uint32_t i = 0; i < a->n_open; i++) {
        const struct model_op *op = &p->ops[p->open[a->open + i]];
        struct model_state s = n->state;

        if (((n->mask >> op->slot) & 1) == 0 && p->model->step(op, &s) &&
            memcmp(&s, &n->state, sizeof s) == 0)
            n->mask |= UINT64_C(1) << op->slot;
    }
}

/* What can follow N: the last pushed is looked at first. */
static bool expand(struct part *p, const struct node *n)
{
    const struct answer *a = &p->answers[n->at];
    const struct model_op *due = &p->ops[a->op];
    struct node next = *n;

    if ((n->mask >> due->slot) & 1) {
        pass(&next, a, due);
        return push(p, &next);
    }
    for (uint32_t i = 0; i < a->n_open; i++)
        if (p->open[a->open + i] != a->op && !push_with(p, n, &p->ops[p->open[a->open + i]]))
            return false;
    if (due->optional) {
        pass(&next, a, due);
        if (!push(p, &next))
            return false;
    }
    return push_with(p, n, due);
}

/* An order was found: 1; there is none: 0; the budget is spent: -1; no memory: -2. */
static int seek(struct part *p, struct search *s)
{
    struct node n = { .state = { .dead = FOREVER, .deadline = HISTORY_NO_TIME } };

    if (p->model->begin != NULL)
        p->model->begin(p->ops, p->n_ops, &n.state);
    p->stuck = n.state;
    if (!push(p, &n))
        return -2;
    while (p->n_stack > 0) {
        int first;

        n = p->stack[--p->n_stack];
        if (n.at > p->far || (n.at == p->far && n.mask == 0)) {
            p->far = n.at;
            p->stuck = n.state;
        }
        if (n.at == p->n_answers)
            return 1;
        absorb(p, &n);
        first = first_visit(p, &n);
        if (first == 0)
            continue;
        if (s->budget == 0)
            return -1;
        s->budget--;
        s->v->nodes++;
        if (first < 0 || !expand(p, &n))
            return -2;
    }
    return 0;
}

/* ---------------------------------------------------------------- telling */

/* The answer that nothing explains, what was answered just before, what was open beside it. */
static void explain(const struct part *p, struct verdict *v)
{
    const struct answer *a = &p->answers[p->far];
    char state[240];
    size_t first = p->far > TOLD ? p->far - TOLD : 0;

    p->model->tell(&p->stuck, state, sizeof state);
    if (!verdict_fail(v, p->key, "%s \"%s\": no order of its operations gives their answers",
                      p->model->name, p->key))
        return;
    verdict_add(v, p->ops[a->op].e, "\n  cannot be placed: ");
    verdict_add(v, NULL, "\n  before it, in the best order: %s", state);
    for (size_t i = first; i < p->far; i++)
        verdict_add(v, p->ops[p->answers[i].op].e, "\n  answered before: ");
    for (uint32_t i = 0, told = 0; i < a->n_open && told < TOLD; i++)
        if (p->open[a->open + i] != a->op) {
            verdict_add(v, p->ops[p->open[a->open + i]].e, "\n  open beside it: ");
            told++;
        }
}

static void part_free(struct part *p)
{
    free(p->ops);
    free(p->mortals);
    free(p->answers);
    free(p->open);
    free(p->stack);
    free(p->seen);
}

static void judge(struct part *p, struct search *s)
{
    const char *why = NO_MEMORY;
    int found = -2;

    if (p->model->subject == HISTORY_OF_LOCK || p->model->subject == HISTORY_OF_RUN) {
        if (!add_deaths(p, s->h)) {
            verdict_unsure(s->v, p->key, "%s \"%s\": %s", p->model->name, p->key, why);
            return;
        }
    }
    if (prepare(p, &why))
        found = seek(p, s);
    if (found == -1)
        why = "the budget of the search is spent";
    if (found < 0)
        verdict_unsure(s->v, p->key, "%s \"%s\": %s", p->model->name, p->key, why);
    if (found == 0)
        explain(p, s->v);
    s->v->looked_at += p->n_ops;
}

/* ----------------------------------------------------------------- grouping */

static int by_subject_and_key(const void *a, const void *b)
{
    const struct history_event *x = *(const struct history_event *const *)a;
    const struct history_event *y = *(const struct history_event *const *)b;
    int diff = (int)history_subject(x->op) - (int)history_subject(y->op);

    if (diff == 0)
        diff = strcmp(x->key, y->key);
    return diff != 0 ? diff : (x > y) - (x < y);
}

static bool any_key(const struct history_event *e)
{
    return strcmp(e->key, HISTORY_ANY_KEY) == 0;
}

static bool fill(struct part *p, struct search *s, const struct group *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (!add_op(p, s->h, s->by_key[g->first + i]))
            return false;
    if (g->subject != HISTORY_OF_RUN)
        return true;
    for (size_t i = 0; i < s->h->n; i++) {
        const struct history_event *e = &s->h->events[i];

        if (e->op == HISTORY_CLAIM && e->result == KEDGE_ERR_UNKNOWN && any_key(e) &&
            !add_op(p, s->h, e))
            return false;
    }
    return true;
}

static void judge_group(struct search *s, const struct model *m, const struct group *g)
{
    struct part p = { .model = m, .key = g->key };

    if (fill(&p, s, g))
        judge(&p, s);
    else
        verdict_unsure(s->v, g->key, NO_MEMORY);
    part_free(&p);
}

/* Locks, cells and runs, each by its key. */
static void judge_keys(struct search *s, const struct model *m)
{
    size_t n = 0;

    for (size_t i = 0; i < s->h->n; i++) {
        const struct history_event *e = &s->h->events[i];

        if (history_subject(e->op) == m->subject && check_counts(e) && !any_key(e))
            s->by_key[n++] = e;
    }
    qsort(s->by_key, n, sizeof(struct history_event *), by_subject_and_key);
    for (size_t i = 0; i < n && s->v->result != CHECK_VIOLATION;) {
        struct group g = { m->subject, s->by_key[i]->key, i, 0 };

        while (i < n && strcmp(s->by_key[i]->key, g.key) == 0) {
            i++;
            g.n++;
        }
        judge_group(s, m, &g);
    }
}

static int by_owner(const void *a, const void *b)
{
    const struct history_event *x = *(const struct history_event *const *)a;
    const struct history_event *y = *(const struct history_event *const *)b;

    if (x->owner != y->owner)
        return x->owner < y->owner ? -1 : 1;
    return (x > y) - (x < y);
}

/* Leases: by the number of the lease; what was done under one tells of it. */
static void judge_leases(struct search *s, const struct model *m)
{
    size_t n = 0;

    for (size_t i = 0; i < s->h->n; i++)
        if (check_counts(&s->h->events[i]) && model_tells_of_lease(&s->h->events[i]))
            s->by_key[n++] = &s->h->events[i];
    qsort(s->by_key, n, sizeof(struct history_event *), by_owner);
    for (size_t i = 0; i < n && s->v->result != CHECK_VIOLATION;) {
        uint64_t owner = s->by_key[i]->owner;
        char number[HISTORY_KEY_MAX];
        struct group g = { m->subject, number, i, 0 };

        (void)snprintf(number, sizeof number, "%" PRIu64, owner);
        while (i < n && s->by_key[i]->owner == owner) {
            i++;
            g.n++;
        }
        judge_group(s, m, &g);
    }
}

void check_linear(const struct history *h, uint32_t models, uint64_t budget, struct verdict *v)
{
    struct search s = { .h = h, .budget = budget, .v = v };

    verdict_init(v);
    s.by_key = calloc(h->n + 1, sizeof(struct history_event *));
    if (s.by_key == NULL) {
        verdict_unsure(v, "", NO_MEMORY);
        return;
    }
    for (size_t m = 0; m < N_MODELS && v->result != CHECK_VIOLATION; m++) {
        if ((models & check_models[m].bit) == 0)
            continue;
        if (check_models[m].subject == HISTORY_OF_LEASE)
            judge_leases(&s, &check_models[m]);
        else
            judge_keys(&s, &check_models[m]);
    }
    free(s.by_key);
}
