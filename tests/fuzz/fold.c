/*
 * fold.c - fuzz target: a journal of any records, over one of a few definitions
 *
 * A record that cannot be is refused.  After each that is taken:
 *   the snapshot is read back, gives the same snapshot, and answers every question as before;
 *   what the fold proposes (doubt, end, overdue) it takes;
 *   a refused record left no trace in what is replayed without it.
 */
#include <config.h>

#include <string.h>

#include <kedge/run.h>

#include "fold_kit.h"

static struct kedge_error err;

/* Texts that count, and that a snapshot does not have. */
static void read_texts(struct kedge_progress *p, const struct fold_journal *j)
{
    uint64_t number;

    for (unsigned n = 0; (number = kedge_progress_unread(p)) != 0; n++) {
        struct kedge_rec rec;

        MUST(n < 4 && number <= j->n);
        MUST(
            kedge_record_decode((struct kedge_bytes){ j->line[number]->data, j->line[number]->len },
                                &rec, &err) == KEDGE_OK);
        MUST(kedge_progress_read(p, &rec, &err) == KEDGE_OK);
    }
}

static struct kedge_progress *from_snapshot(const struct kedge_reactor *reactor,
                                            struct kedge_bytes snapshot,
                                            const struct fold_journal *j)
{
    int rc;
    struct kedge_progress *p = fold_load(reactor, snapshot, &rc);

    MUST(rc == KEDGE_OK);
    read_texts(p, j);
    return p;
}

static int same_text(struct kedge_bytes a, struct kedge_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void same_end(struct kedge_progress *p, struct kedge_progress *q)
{
    struct kedge_rec ours;
    struct kedge_rec theirs;
    int ends = kedge_progress_end(p, &ours);

    MUST(kedge_progress_end(q, &theirs) == ends);
    MUST(!ends || (ours.status == theirs.status && ours.step == theirs.step &&
                   ours.number == theirs.number && same_text(ours.text, theirs.text)));
}

static void same_answers(const struct kedge_reactor *reactor, const struct kedge_progress *p,
                         const struct kedge_progress *q, int64_t now)
{
    MUST(kedge_progress_phase(p) == kedge_progress_phase(q));
    MUST(kedge_progress_position(p) == kedge_progress_position(q));
    MUST(kedge_progress_ready(p, now) == kedge_progress_ready(q, now));
    MUST(kedge_progress_next_time(p) == kedge_progress_next_time(q));
    MUST(kedge_progress_paused(p) == kedge_progress_paused(q));
    MUST(kedge_progress_cancelled(p) == kedge_progress_cancelled(q));
    MUST(kedge_progress_round(p) == kedge_progress_round(q));
    for (uint32_t i = 0; i < reactor->n_steps; i++) {
        MUST(kedge_progress_state(p, i) == kedge_progress_state(q, i));
        MUST(kedge_progress_failures(p, i) == kedge_progress_failures(q, i));
        MUST(kedge_progress_until(p, i) == kedge_progress_until(q, i));
        MUST(kedge_progress_in_doubt(p, i) == kedge_progress_in_doubt(q, i));
        MUST(kedge_progress_value_record(p, i) == kedge_progress_value_record(q, i));
    }
    for (uint32_t verb = 0; verb <= KEDGE_VERB_END_; verb++)
        for (uint32_t i = 0; i <= reactor->n_steps; i++) {
            uint32_t step = i < reactor->n_steps ? i : KEDGE_NO_STEP;

            MUST(kedge_progress_refuses(p, verb, step) == kedge_progress_refuses(q, verb, step));
        }
}

/* What is proposed is taken, by one who has only what is stored. */
static void takes(const struct kedge_reactor *reactor, struct kedge_bytes snapshot,
                  const struct fold_journal *j, const struct kedge_rec *rec, int64_t now)
{
    struct kedge_progress *p = from_snapshot(reactor, snapshot, j);

    MUST(fold_apply_rec(p, rec, now) == KEDGE_OK);
    kedge_progress_free(p);
}

static void stands(const struct kedge_reactor *reactor, struct kedge_progress *p,
                   const struct fold_journal *j)
{
    struct kedge_bytes snapshot = fold_snapshot(p);
    struct kedge_progress *q = from_snapshot(reactor, snapshot, j);
    struct kedge_bytes again = fold_snapshot(q);
    int64_t now = j->time[j->n];
    struct kedge_rec rec;

    MUST(same_text(snapshot, again));
    read_texts(p, j);
    fold_ask(reactor, p, now);
    same_answers(reactor, p, q, now);
    same_end(p, q);
    if (kedge_progress_end(q, &rec))
        takes(reactor, snapshot, j, &rec, now);
    if (kedge_progress_overdue(q, now, &rec))
        takes(reactor, snapshot, j, &rec, now);
    fold_start(reactor, q, now);
    fold_start(reactor, q, INT64_MAX);
    kedge_progress_free(q);
    q = from_snapshot(reactor, snapshot, j);
    if (kedge_progress_doubt(q, now, 1, &rec))
        takes(reactor, snapshot, j, &rec, now);
    MUST(!kedge_progress_doubt(q, now, 1, &rec));
    kedge_progress_free(q);
    free((void *)(uintptr_t)snapshot.data);
    free((void *)(uintptr_t)again.data);
}

/* From the beginning: after a record was refused it is of no use any more. */
static struct kedge_progress *replay(const struct kedge_reactor *reactor,
                                     const struct fold_journal *j, struct kedge_bytes as)
{
    struct kedge_progress *p = kedge_progress_new(fold_host, reactor);
    struct kedge_bytes snapshot;

    MUST(p != NULL);
    for (uint64_t i = 1; i <= j->n; i++)
        MUST(fold_apply(p, j, i) == KEDGE_OK);
    snapshot = fold_snapshot(p);
    MUST(as.data == NULL || same_text(snapshot, as));
    free((void *)(uintptr_t)snapshot.data);
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fold_input in = { data, size };
    const struct kedge_reactor *reactor = fold_reactor(fold_byte(&in));
    struct fold_journal j = { .n = 0 };
    struct kedge_progress *p = kedge_progress_new(fold_host, reactor);
    struct kedge_bytes before = { NULL, 0 };

    MUST(p != NULL);
    while (fold_next(&in, &j)) {
        if (fold_apply(p, &j, j.n + 1) == KEDGE_OK) {
            j.n++;
            stands(reactor, p, &j);
            free((void *)(uintptr_t)before.data);
            before = fold_snapshot(p);
            continue;
        }
        kedge_buf_drop(fold_host, j.line[j.n + 1]);
        kedge_progress_free(p);
        p = replay(reactor, &j, before);
    }
    kedge_progress_free(p);
    free((void *)(uintptr_t)before.data);
    fold_forget(&j);
    return 0;
}
