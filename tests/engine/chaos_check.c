/*
 * chaos_check.c - what may have happened, and what must not
 *
 * Two witnesses: the lines that each process wrote (a step begun, its effect there, a run taken, a
 * lease found dead; and the nemesis: killed, dead, stopped, woken), and the journals, in which each
 * value names the fence and the worker of the execution that was recorded.  Nothing here asks how
 * long something took.
 *
 * A tenure is one fence of one run: from the claim (or the re-adoption) that issued it on.  It
 * belongs to one worker, and ends with the run's end, or with a crash of its worker.  A crash is a
 * kill, or the death of its lease while it was stopped: a worker that goes on after that says so
 * once (LINE_LEASE), before it claims under its new lease.
 *
 * How often may a step run?  Under one fence once: it is handed out once, and not again before its
 * record.  It runs again under a later fence only if its record was not durable when that was
 * issued, thus if a crash ended the tenure between handing out and record.  So
 *
 *      executions of a step <= 1 + crashes that hit a worker to which the step was handed out
 *
 * and each execution but the recorded one is charged to the first crash of its worker after it
 * began, or to the death of the lease it was handed out under, if a thread entered the function
 * just after that was known; no two may be charged to the same.  "Handed out" includes a step whose
 * function a woken worker enters before it can have learned of its death (counted below as `late');
 * frozen.c has the case without a race, in which it must not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/backend.h>

#include "chaos.h"

struct exec {
    int64_t begin;
    int64_t end; /* 0: it did not get there */
    uint64_t fence;
    uint64_t key;
    int run;
    int action;
    int step;
    int worker;
    int doubt;
};

struct tenure {
    int64_t first; /* first line under it */
    uint64_t fence;
    int run;
    int worker;
};

/* One recorded forward execution. */
struct recorded {
    uint64_t fence; /* 0: none */
    int worker;
};

enum { CRASHES_MOST = 64 };

struct worker {
    int64_t killed;             /* just before; 0: it was not */
    int64_t dead;               /* just after */
    int64_t lost[CRASHES_MOST]; /* when it found its lease dead */
    int n_lost;
    int dead_since; /* in the walk of the lines: it is awake, and does not know that it is dead */
};

static const struct chaos_log *log_;
static int n_runs;
static struct worker *workers;
static struct exec *execs;
static size_t n_execs;
static struct tenure *tenures;
static size_t n_tenures;
static struct recorded (*recorded)[CHAOS_STEPS]; /* by run */

/* -------------------------------------------------------------------- tests */

static int test_number;
static int n_failed;
static int n_bad; /* of this test */

/* Something that must not be; the first few are shown. */
#define COMPLAIN(...)                                                                              \
    do {                                                                                           \
        if (n_bad++ < 5) {                                                                         \
            printf("# ");                                                                          \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
        }                                                                                          \
    } while (0)

static void verdict(const char *what)
{
    printf("%sok %d - %s\n", n_bad == 0 ? "" : "not ", test_number++, what);
    n_failed += n_bad != 0;
    n_bad = 0;
}

static void *get(size_t n, size_t size)
{
    void *to = calloc(n > 0 ? n : 1, size);

    if (to == NULL)
        bail("out of memory");
    return to;
}

static int cmp(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int cmp_u(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* --------------------------------------------------------- the lines, sorted */

static int by_step(const void *a, const void *b)
{
    const struct exec *x = a;
    const struct exec *y = b;
    int c = cmp(x->run, y->run);

    if (c == 0)
        c = cmp(x->action, y->action);
    if (c == 0)
        c = cmp(x->step, y->step);
    if (c == 0)
        c = cmp_u(x->fence, y->fence);
    return c != 0 ? c : cmp(x->begin, y->begin);
}

static int same_step(const struct exec *x, const struct exec *y)
{
    return x->run == y->run && x->action == y->action && x->step == y->step;
}

static int by_tenure(const void *a, const void *b)
{
    const struct tenure *x = a;
    const struct tenure *y = b;
    int c = cmp(x->run, y->run);

    if (c == 0)
        c = cmp_u(x->fence, y->fence);
    return c != 0 ? c : cmp(x->first, y->first);
}

static int by_fence(const void *a, const void *b)
{
    const struct tenure *x = a;
    const struct tenure *y = b;

    return cmp_u(x->fence, y->fence);
}

/* The execution that LINE ends: the last one of its kind that has not ended. */
static void end_exec(const struct line *line)
{
    for (size_t i = n_execs; i-- > 0;) {
        struct exec *x = &execs[i];

        if (x->run == line->run && x->step == line->step && x->action == line->action &&
            x->fence == line->fence && x->worker == line->worker && x->end == 0) {
            x->end = line->at;
            return;
        }
    }
    COMPLAIN("run %d step %d ends without having begun", line->run, line->step);
}

static void one_line(const struct line *line)
{
    struct worker *w = &workers[line->worker];

    switch (line->kind) {
    case LINE_BEGIN:
        execs[n_execs++] =
            (struct exec){ line->at,     0,          line->fence,  line->key,  line->run,
                           line->action, line->step, line->worker, line->doubt };
        tenures[n_tenures++] = (struct tenure){ line->at, line->fence, line->run, line->worker };
        break;
    case LINE_TAKEN:
        tenures[n_tenures++] = (struct tenure){ line->at, line->fence, line->run, line->worker };
        break;
    case LINE_END:
        end_exec(line);
        break;
    case LINE_LEASE:
        if (w->n_lost == CRASHES_MOST)
            bail("worker %d loses its lease all the time", line->worker);
        w->lost[w->n_lost++] = line->at;
        break;
    case LINE_KILL:
        w->killed = line->at;
        break;
    case LINE_DEAD:
        w->dead = line->at;
        break;
    default:
        break;
    }
}

/* Executions by step, tenures by run; one entry each. */
static void read_log(void)
{
    size_t n = 0;

    execs = get(log_->n, sizeof *execs);
    tenures = get(log_->n, sizeof *tenures);
    workers = get(CHAOS_WORKERS_MOST, sizeof *workers);
    for (size_t i = 0; i < log_->n; i++)
        one_line(&log_->lines[i]);
    qsort(execs, n_execs, sizeof *execs, by_step);
    qsort(tenures, n_tenures, sizeof *tenures, by_tenure);
    for (size_t i = 0; i < n_tenures; i++) {
        if (n > 0 && tenures[n - 1].run == tenures[i].run &&
            tenures[n - 1].fence == tenures[i].fence) {
            if (tenures[n - 1].worker != tenures[i].worker)
                COMPLAIN("run %d: workers %d and %d under fence %llu", tenures[i].run,
                         tenures[n - 1].worker, tenures[i].worker,
                         (unsigned long long)tenures[i].fence);
            continue;
        }
        tenures[n++] = tenures[i];
    }
    n_tenures = n;
}

static void check_fences(void)
{
    struct tenure *sorted = get(n_tenures, sizeof *sorted);

    memcpy(sorted, tenures, n_tenures * sizeof *sorted);
    qsort(sorted, n_tenures, sizeof *sorted, by_fence);
    for (size_t i = 1; i < n_tenures; i++)
        if (sorted[i].fence == sorted[i - 1].fence)
            COMPLAIN("fence %llu: runs %d and %d", (unsigned long long)sorted[i].fence,
                     sorted[i - 1].run, sorted[i].run);
    free(sorted);
    verdict("a fence belongs to one run and one worker");
}

/* ----------------------------------------------------------------- crashes */

/* The first crash of worker W after AT: its time, or 0. */
static int64_t crash_after(int w, int64_t at)
{
    const struct worker *worker = &workers[w];

    for (int i = 0; i < worker->n_lost; i++)
        if (worker->lost[i] >= at)
            return worker->lost[i];
    return worker->dead >= at ? worker->dead : 0;
}

/* Tenure T ended; NEXT is the following one of its run, AGAIN the next of the same worker. */
static int ended_by_crash(const struct tenure *t, const struct tenure *next,
                          const struct tenure *again)
{
    const struct worker *w = &workers[t->worker];

    if (w->killed != 0 && t->first <= w->dead && w->killed <= next->first)
        return 1;
    for (int i = 0; i < w->n_lost; i++)
        if (w->lost[i] > t->first && (again == NULL || w->lost[i] < again->first))
            return 1;
    return 0;
}

static void check_holders(void)
{
    for (size_t i = 0; i + 1 < n_tenures; i++) {
        const struct tenure *t = &tenures[i];
        const struct tenure *again = NULL;

        if (t[1].run != t->run)
            continue;
        for (size_t j = i + 1; j < n_tenures && tenures[j].run == t->run && again == NULL; j++)
            if (tenures[j].worker == t->worker)
                again = &tenures[j];
        if (!ended_by_crash(t, &t[1], again))
            COMPLAIN("run %d went from worker %d to %d, and nothing had happened to it", t->run,
                     t->worker, t[1].worker);
    }
    verdict("behind every change of a run's holder is a crash of the former one");
}

/* ---------------------------------------------------------------- journals */

static int other_between(int run, uint64_t from, uint64_t to, int worker)
{
    for (size_t i = 0; i < n_tenures; i++)
        if (tenures[i].run == run && tenures[i].fence > from && tenures[i].fence <= to &&
            tenures[i].worker != worker)
            return 1;
    return 0;
}

/*
 * A value of run RUN, in the order of the journal; TOP is the highest fence so far.  A lower one
 * may follow a higher one if both are of one worker and nobody had the run in between: the steps
 * that were in flight when it took its run again.
 */
static void one_value(int run, const struct line *value, struct recorded *top)
{
    struct recorded *r;

    if (value->run != run || value->step < 0 || value->step >= CHAOS_STEPS) {
        COMPLAIN("run %d has a value of run %d, step %d", run, value->run, value->step);
        return;
    }
    r = &recorded[run][value->step];
    if (r->fence != 0) { /* the record of the end says again why it failed */
        if (r->fence != value->fence || value->step != CHAOS_STEPS - 1 || !chaos_fails(run))
            COMPLAIN("run %d step %d is recorded twice", run, value->step);
        return;
    }
    *r = (struct recorded){ value->fence, value->worker };
    if (value->fence < top->fence && (value->worker != top->worker ||
                                      other_between(run, value->fence, top->fence, value->worker)))
        COMPLAIN("run %d step %d: worker %d under fence %llu after worker %d under %llu", run,
                 value->step, value->worker, (unsigned long long)value->fence, top->worker,
                 (unsigned long long)top->fence);
    if (value->fence > top->fence)
        *top = *r;
}

static void one_journal(struct kedge_store *store, void *session, int run)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    struct kedge_record_page page;
    struct recorded top = { 0, 0 };
    uint64_t number = 1;
    char id[24];

    (void)snprintf(id, sizeof id, "run-%d", run);
    do {
        memset(&page, 0, sizeof page);
        must(ops->retrieve_records(session, kedge_text(id), 0, number, 64, SIZE_MAX, &page,
                                   60 * SECONDS, &err),
             "journal");
        for (size_t i = 0; i < page.n; i++) {
            struct line value;

            if (effects_find(page.records[i].data, &value))
                one_value(run, &value, &top);
        }
        number = page.next;
        kedge_mem_free(kedge_store_host(store), page.mem);
    } while (number != 0);
}

static void read_journals(struct kedge_store *store)
{
    void *session;

    recorded = get((size_t)n_runs, sizeof *recorded);
    must(kedge_store_ops(store)->session_open(kedge_store_handle(store), &session, &err),
         "session");
    for (int run = 0; run < n_runs; run++)
        one_journal(store, session, run);
    kedge_store_ops(store)->session_close(session);
    verdict("no stale write: recorded fences never fall");
}

static int one_state(void *ctx, const struct kedge_step_info *step)
{
    int run = *(const int *)ctx;
    int last = step->index == CHAOS_STEPS - 1;
    uint32_t want = !chaos_fails(run) ? KEDGE_STEP_DONE
                    : last            ? KEDGE_STEP_FAILED
                                      : KEDGE_STEP_UNDONE;

    if (step->state != want || recorded[run][step->index].fence == 0)
        COMPLAIN("run %d step %s is %s", run, step->name, kedge_step_state_text(step->state));
    return 0;
}

static void check_ends(struct kedge_store *store)
{
    int n_completed = 0;
    char text[128];

    for (int run = 0; run < n_runs; run++) {
        struct kedge_run_info *info;
        uint32_t want = chaos_fails(run) ? KEDGE_FAILED : KEDGE_COMPLETED;
        char id[24];

        (void)snprintf(id, sizeof id, "run-%d", run);
        must(kedge_run_get(store, kedge_text(id), 0, &info, 60 * SECONDS, &err), "get");
        if (info->status != want)
            COMPLAIN("run %d is %s", run, kedge_run_status_text(info->status));
        n_completed += info->status == KEDGE_COMPLETED;
        kedge_run_info_free(info);
        must(kedge_run_steps(store, kedge_text(id), one_state, &run, 60 * SECONDS, &err), "steps");
    }
    (void)snprintf(text, sizeof text, "%d runs completed, %d rolled back, none lost a step",
                   n_completed, n_runs - n_completed);
    verdict(text);
}

/* -------------------------------------------------------------- executions */

static const struct recorded *record_of(const struct exec *x)
{
    return &recorded[x->run][x->step];
}

static int is_recorded(const struct exec *x)
{
    return x->action == KEDGE_ACTION_RUN && record_of(x)->fence == x->fence;
}

/*
 * A step that was handed out before its worker learned of its lease's death may be entered after
 * that, by another thread: the death that ended its fence's tenure before X began, or 0.
 */
static int64_t crash_before(const struct exec *x)
{
    const struct worker *w = &workers[x->worker];

    for (size_t i = 0; i < n_tenures; i++)
        for (int k = 0; tenures[i].fence == x->fence && k < w->n_lost; k++)
            if (w->lost[k] > tenures[i].first && w->lost[k] < x->begin)
                return w->lost[k];
    return 0;
}

/* Executions FIRST .. FIRST + N - 1 are those of one step, by fence. */
static void one_step(const struct exec *first, size_t n)
{
    int forward = first->action == KEDGE_ACTION_RUN;
    int64_t charged[CRASHES_MOST];
    size_t n_charged = 0;
    size_t n_recorded = 0;

    for (size_t i = 0; i < n; i++) {
        const struct exec *x = &first[i];
        int64_t crash;

        if (i > 0 && x->fence == x[-1].fence)
            COMPLAIN("run %d step %d ran twice under fence %llu", x->run, x->step,
                     (unsigned long long)x->fence);
        if (forward && x->fence > record_of(x)->fence)
            COMPLAIN("run %d step %d runs after its record", x->run, x->step);
        n_recorded += (size_t)is_recorded(x);
        if (is_recorded(x) || (!forward && i == n - 1)) /* an undo's record does not say whose */
            continue;
        crash = crash_before(x);
        if (crash == 0)
            crash = crash_after(x->worker, x->begin);
        for (size_t j = 0; j < n_charged; j++)
            if (charged[j] == crash)
                crash = 0;
        if (crash == 0)
            COMPLAIN("run %d step %d ran %zu times, and worker %d did not crash", x->run, x->step,
                     n, x->worker);
        if (n_charged < CRASHES_MOST)
            charged[n_charged++] = crash;
    }
    if (forward && n_recorded != 1)
        COMPLAIN("run %d step %d: the recorded execution ran %zu times", first->run, first->step,
                 n_recorded);
}

static void check_bounds(void)
{
    size_t steps = 0;
    size_t undone = 0;
    size_t n;

    for (size_t i = 0; i < n_execs; i += n) {
        for (n = 1; i + n < n_execs && same_step(&execs[i], &execs[i + n]);)
            n++;
        one_step(&execs[i], n);
        steps++;
        undone += execs[i].action == KEDGE_ACTION_UNDO;
    }
    printf("# %zu actions (%zu of them undo), %zu executions: %zu again\n", steps, undone, n_execs,
           n_execs - steps);
    for (int run = 0; run < n_runs; run++)
        undone -= chaos_fails(run) ? CHAOS_STEPS - 1 : 0;
    if (undone != 0)
        COMPLAIN("something was not undone, or without need");
    verdict("a step runs once per fence, and again only where a crash hit it");
}

static void check_doubt(void)
{
    for (size_t i = 1; i < n_execs; i++) {
        const struct exec *x = &execs[i];

        if (!same_step(x, x - 1))
            continue;
        if (!x->doubt)
            COMPLAIN("run %d step %d action %d runs again and is not in doubt", x->run, x->step,
                     x->action);
        if (x->key != x[-1].key)
            COMPLAIN("run %d step %d action %d runs again with another key", x->run, x->step,
                     x->action);
    }
    verdict("what runs again is in doubt, and has the same idempotency key");
}

static int by_key(const void *a, const void *b)
{
    const struct exec *x = a;
    const struct exec *y = b;
    int c = cmp_u(x->key, y->key);

    return c != 0 ? c : by_step(a, b);
}

static void check_keys(void)
{
    struct exec *sorted = get(n_execs, sizeof *sorted);

    memcpy(sorted, execs, n_execs * sizeof *sorted);
    qsort(sorted, n_execs, sizeof *sorted, by_key);
    for (size_t i = 1; i < n_execs; i++)
        if (sorted[i].key == sorted[i - 1].key && !same_step(&sorted[i], &sorted[i - 1]))
            COMPLAIN("run %d step %d and run %d step %d have one key", sorted[i - 1].run,
                     sorted[i - 1].step, sorted[i].run, sorted[i].step);
    free(sorted);
    verdict("no two actions have one key");
}

/* ------------------------------------------------------------------- order */

/* Executions of one action of one step: from *N on there are as many as answered. */
static const struct exec *find(int run, int action, int step, size_t *n)
{
    struct exec want = { .run = run, .action = action, .step = step };
    size_t low = 0;
    size_t high = n_execs;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (by_step(&execs[middle], &want) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (*n = 0; low + *n < n_execs && same_step(&execs[low + *n], &want);)
        ++*n;
    return &execs[low];
}

/* X started: had the recorded execution of step BEFORE ended, under no later fence? */
static int was_done(const struct exec *x, int before)
{
    size_t n;
    const struct exec *b = find(x->run, KEDGE_ACTION_RUN, before, &n);

    for (size_t i = 0; i < n; i++)
        if (is_recorded(&b[i]))
            return b[i].fence <= x->fence && b[i].end != 0 && b[i].end <= x->begin;
    return 0;
}

/* X undoes: are those that came after it undone, and not by anybody who came later than X? */
static int was_undone(const struct exec *x, int later)
{
    size_t n;
    const struct exec *u = find(x->run, KEDGE_ACTION_UNDO, later, &n);
    int ended = 0;

    for (size_t i = 0; i < n; i++) {
        if (u[i].fence > x->fence)
            return 0;
        ended |= u[i].end != 0 && u[i].end <= x->begin;
    }
    return ended;
}

static void check_order(void)
{
    for (size_t i = 0; i < n_execs; i++) {
        const struct exec *x = &execs[i];
        const uint32_t *after = chaos_after[chaos_shape(x->run)];

        for (int s = 0; s < CHAOS_STEPS; s++) {
            if (x->action == KEDGE_ACTION_RUN && (after[x->step] >> s & 1) != 0 && !was_done(x, s))
                COMPLAIN("run %d step %d starts before step %d is recorded", x->run, x->step, s);
            if (x->action != KEDGE_ACTION_UNDO)
                continue;
            if (!was_done(x, s) && !(s == CHAOS_STEPS - 1 && chaos_fails(x->run)))
                COMPLAIN("run %d: step %d is undone before step %d is done", x->run, x->step, s);
            if (s < CHAOS_STEPS - 1 && (after[s] >> x->step & 1) != 0 && !was_undone(x, s))
                COMPLAIN("run %d: step %d is undone before step %d", x->run, x->step, s);
        }
    }
    verdict("no step starts before what it needs is recorded; undo goes the other way");
}

/* ------------------------------------------------------------------ figures */

static int by_value(const void *a, const void *b)
{
    return cmp(*(const int64_t *)a, *(const int64_t *)b);
}

static void print_times(const char *what, int64_t *took, size_t n)
{
    if (n == 0)
        return;
    qsort(took, n, sizeof *took, by_value);
    printf("# %s, %zu runs: next step elsewhere after median %lld ms, p99 %lld ms, most %lld ms\n",
           what, n, (long long)took[n / 2] / 1000, (long long)took[(n * 99 - 1) / 100] / 1000,
           (long long)took[n - 1] / 1000);
}

/* When did the runs that worker W held at AT go on under a later fence? */
static size_t takeovers(int w, int64_t at, int64_t *took)
{
    size_t n = 0;

    for (size_t i = 0; i + 1 < n_tenures; i++) {
        const struct tenure *t = &tenures[i];
        int64_t next = INT64_MAX;

        if (t->worker != w || t[1].run != t->run || t->first > at || t[1].first < at)
            continue;
        for (size_t j = 0; j < n_execs; j++)
            if (execs[j].run == t->run && execs[j].fence == t[1].fence && execs[j].begin < next)
                next = execs[j].begin;
        if (next != INT64_MAX)
            took[n++] = next - at;
    }
    return n;
}

/* Line I stops or wakes a worker.  Is the next thing that befalls it that it finds its lease dead?
 */
static int wakes_dead(size_t i)
{
    int worker = log_->lines[i].worker;

    while (++i < log_->n) {
        const struct line *line = &log_->lines[i];

        if (line->worker == worker &&
            (line->kind == LINE_LEASE || line->kind == LINE_KILL || line->kind == LINE_STOP))
            return line->kind == LINE_LEASE;
    }
    return 0;
}

static void print_figures(void)
{
    int64_t *killed = get(n_tenures, sizeof *killed);
    int64_t *stopped = get(n_tenures, sizeof *stopped);
    size_t n_killed = 0;
    size_t n_stopped = 0;
    size_t kills = 0;
    size_t stops = 0;
    size_t lost = 0;
    size_t runs_lost = 0;
    size_t late = 0;

    for (size_t i = 0; i < log_->n; i++) {
        const struct line *line = &log_->lines[i];
        struct worker *w = &workers[line->worker];

        kills += line->kind == LINE_KILL;
        stops += line->kind == LINE_STOP;
        lost += line->kind == LINE_LEASE;
        runs_lost += line->kind == LINE_LOST;
        if (line->kind == LINE_KILL)
            n_killed += takeovers(line->worker, line->at, killed + n_killed);
        if (line->kind == LINE_STOP && wakes_dead(i))
            n_stopped += takeovers(line->worker, line->at, stopped + n_stopped);
        if (line->kind == LINE_CONT)
            w->dead_since = wakes_dead(i);
        if (line->kind == LINE_LEASE)
            w->dead_since = 0;
        late += line->kind == LINE_BEGIN && w->dead_since;
    }
    printf("# %zu kills, %zu stops, %zu leases found dead on waking, %zu runs found gone, %zu late "
           "starts\n",
           kills, stops, lost, runs_lost, late);
    print_times("killed", killed, n_killed);
    print_times("stopped past the deadline", stopped, n_stopped);
    free(killed);
    free(stopped);
}

static void check_store(struct kedge_store *store)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    struct kedge_verified found = { 0 };
    void *session;
    int rc;

    must(ops->session_open(kedge_store_handle(store), &session, &err), "session");
    rc = ops->verify(session, &found, 60 * SECONDS, &err);
    if (rc != KEDGE_ERR_UNSUPPORTED)
        must(rc, "verify");
    if (found.faults > 0)
        COMPLAIN("%llu faults: %s", (unsigned long long)found.faults, found.first);
    kedge_mem_free(kedge_store_host(store), found.mem);
    ops->session_close(session);
    verdict("the store contains no contradiction");
}

int chaos_check(struct kedge_store *store, const struct chaos_log *log, int runs, int first, int *n)
{
    log_ = log;
    n_runs = runs;
    test_number = first;
    read_log();
    check_fences();
    check_holders();
    read_journals(store);
    check_ends(store);
    check_bounds();
    check_doubt();
    check_keys();
    check_order();
    check_store(store);
    print_figures();
    *n = test_number - first;
    free(execs);
    free(tenures);
    free(workers);
    free(recorded);
    return n_failed;
}
