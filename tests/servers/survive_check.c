/*
 * survive_check.c - what may have happened while the server was in trouble, and what must not
 *
 * A step that has begun says that those before it in its run were acknowledged.  So in the order of
 * the lines the number of a run's step never falls, whoever carries it; and no fence either.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/backend.h>

#include "survive.h"

enum { RUNS_MOST = LAST_FIRST + 100 };

struct seen {
    uint64_t fence;
    uint64_t ran_under; /* the last step that began */
    int step;
};

static int shown;

#define COMPLAIN(...)                                                                              \
    do {                                                                                           \
        if (shown++ < 10) {                                                                        \
            printf("# ");                                                                          \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
        }                                                                                          \
    } while (0)

static bool has_fence(const struct line *line)
{
    return line->kind == LINE_BEGIN || line->kind == LINE_TAKEN;
}

/* All that is said of a run: a few times. */
static void show_run(const struct survive_log *log, int run)
{
    static int shown_runs;

    if (shown_runs++ >= 5)
        return;
    for (size_t i = 0; i < log->n; i++) {
        const struct line *line = &log->lines[i];

        if (line->run == run || line->kind == LINE_LEASE || line->kind == LINE_BURIED)
            printf("# %lld us: worker %d: %c of run %d step %d under %llu, doubt %d\n",
                   (long long)(line->at - log->lines[0].at), line->worker, (char)line->kind,
                   line->run, line->step, (unsigned long long)line->fence, line->doubt);
    }
}

static void fences_and_steps(const struct survive_log *log, const struct survive_rules *rules)
{
    struct seen *seen = calloc(RUNS_MOST, sizeof *seen);
    int back = 0;
    int fell = 0;
    int again = 0;

    if (seen == NULL)
        bail("out of memory");
    for (size_t i = 0; i < log->n; i++) {
        const struct line *line = &log->lines[i];
        struct seen *s = line->run >= 0 && line->run < RUNS_MOST ? &seen[line->run] : NULL;

        if (s == NULL || !has_fence(line))
            continue;
        if (line->fence < s->fence) {
            fell++;
            COMPLAIN("run %d: fence %llu after %llu", line->run, (unsigned long long)line->fence,
                     (unsigned long long)s->fence);
        }
        if (line->kind == LINE_BEGIN && line->step + 1 < s->step) {
            back++;
            COMPLAIN("run %d: step %d after step %d", line->run, line->step, s->step - 1);
        }
        if (line->kind == LINE_BEGIN && line->step + 1 == s->step) {
            again++;
            if (line->fence == s->ran_under || rules->once)
                COMPLAIN("run %d: step %d twice, under fence %llu and %llu", line->run, line->step,
                         (unsigned long long)s->ran_under, (unsigned long long)line->fence);
            back += line->fence == s->ran_under;
            if (line->fence == s->ran_under || rules->once)
                show_run(log, line->run);
        }
        s->fence = line->fence;
        if (line->kind == LINE_BEGIN) {
            s->step = line->step + 1;
            s->ran_under = line->fence;
        }
    }
    printf("# %d executions beyond one per step\n", again);
    verdict(fell == 0 || rules->forgets, "a run's fence never falls");
    verdict(back == 0 || rules->forgets, "no step runs after a later one, or twice under a fence");
    if (rules->once)
        verdict(again == 0, "each step runs once");
    free(seen);
}

static void finished_ones(const struct survive_log *log)
{
    int n = 0;

    for (size_t i = log->finished; i < log->n; i++)
        n += (has_fence(&log->lines[i]) || log->lines[i].kind == LINE_END) &&
             log->lines[i].run >= 0 && log->lines[i].run < log->n_finished;
    verdict(n == 0, "nothing happens to a run that had ended before");
}

/* What was issued at the end is above all that was issued before. */
static void fences_at_the_end(const struct survive_log *log, const struct survive_rules *rules)
{
    uint64_t most = 0;
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < log->after; i++)
        if (has_fence(&log->lines[i]) && log->lines[i].fence > most)
            most = log->lines[i].fence;
    for (size_t i = log->after; i < log->n; i++)
        if (log->lines[i].kind == LINE_TAKEN && log->lines[i].fence < least)
            least = log->lines[i].fence;
    verdict((least > most && least != UINT64_MAX) || rules->forgets,
            "new fences are above all old ones");
}

static int lines_of(const struct survive_log *log, enum line_kind kind)
{
    int n = 0;

    for (size_t i = 0; i < log->n; i++)
        n += log->lines[i].kind == (int32_t)kind;
    return n;
}

void survive_check(const struct survive_log *log, const struct survive_rules *rules)
{
    int buried = lines_of(log, LINE_BURIED);
    int recovered = lines_of(log, LINE_RECOVERED);
    int lost = lines_of(log, LINE_LEASE);

    shown = 0;
    printf("# %d workers buried, %d leases found dead, %d recoveries charged\n", buried, lost,
           recovered);
    if (rules->once)
        verdict(buried == 0 && recovered == 0 && lost == 0,
                "no live worker is buried, no recovery charged");
    fences_and_steps(log, rules);
    finished_ones(log);
    fences_at_the_end(log, rules);
}

/* The last execution of a step, and whether it is the one the record speaks of. */
static bool known(const struct survive_log *log, const struct line *record)
{
    for (size_t i = log->n; i-- > 0;) {
        const struct line *line = &log->lines[i];

        if (line->kind == LINE_END && line->run == record->run && line->step == record->step &&
            line->fence == record->fence && line->worker == record->worker)
            return true;
    }
    return false;
}

int survive_journal(struct kedge_store *store, const struct survive_log *log, int run, int steps)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    struct kedge_record_page page = { .next = 1 };
    int *count = calloc((size_t)steps, sizeof *count);
    void *session;
    char id[24];
    int wrong = 0;

    if (count == NULL)
        bail("out of memory");
    (void)snprintf(id, sizeof id, "run-%d", run);
    must(ops->session_open(kedge_store_handle(store), &session, &err), "session");
    while (page.next != 0) {
        uint64_t number = page.next;

        memset(&page, 0, sizeof page);
        must(ops->retrieve_records(session, kedge_text(id), 0, number, 256, SIZE_MAX, &page,
                                   60 * SECONDS, &err),
             "records");
        for (size_t i = 0; i < page.n; i++) {
            struct line record;

            if (!effects_find(page.records[i].data, &record))
                continue;
            if (record.run != run || record.step < 0 || record.step >= steps ||
                !known(log, &record)) {
                wrong++;
                COMPLAIN("run %d: a record of step %d that nobody ran", run, record.step);
                continue;
            }
            count[record.step]++;
        }
        kedge_mem_free(kedge_store_host(store), page.mem);
    }
    ops->session_close(session);
    for (int i = 0; i < steps; i++)
        if (count[i] != 1) {
            wrong++;
            COMPLAIN("run %d: %d records of step %d", run, count[i], i);
        }
    free(count);
    return wrong;
}
