/*
 * tap.c - results as TAP, while they come
 *
 * A case that does not apply, cannot be asked here, was left out or came to no verdict is an "ok"
 * with a directive SKIP that begins with the word for it; the exit status tells the last from the
 * others.
 */
#include <inttypes.h>

#include <kedge/store.h>

#include "results.h"

void tap_begin(const struct results *r)
{
    printf("# kedge conform %s, backend %s, seed %" PRIu64 "\n1..%zu\n", kedge_version(),
           r->backend, r->options->seed, r->n);
    (void)fflush(stdout);
}

/* Each line of what it said, as a comment that names the case. */
static void put_text(const struct result *one)
{
    const char *line = one->text;

    while (line != NULL && *line != '\0') {
        size_t len = strcspn(line, "\n");

        printf("# %s: %.*s\n", one->entry->c->id, (int)len, line);
        line += len + (line[len] == '\n');
    }
}

void tap_result(const struct results *r, size_t number)
{
    const struct result *one = &r->all[number - 1];
    const struct contract_case *c = one->entry->c;
    const char *why = one->why != NULL ? one->why : "";

    switch (one->outcome) {
    case CONFORM_PASS:
        put_text(one);
        printf("ok %zu - %s %s\n", number, c->id, c->what);
        break;
    case CONFORM_FAIL:
        put_text(one);
        printf("# %s: %s\n", c->id, why);
        printf("not ok %zu - %s %s\n", number, c->id, c->what);
        printf("# once more: --filter %s --seed %" PRIu64 "\n", c->id, r->options->seed);
        break;
    case CONFORM_NA:
    case CONFORM_SKIP:
    case CONFORM_NO_VERDICT:
    case CONFORM_OPTED_OUT:
    case CONFORM_N_OUTCOMES:
        if (one->outcome == CONFORM_NO_VERDICT)
            put_text(one);
        printf("ok %zu - %s %s # SKIP %s%s%s", number, c->id, c->what,
               one->outcome == CONFORM_SKIP ? "" : outcome_name(one->outcome),
               one->outcome == CONFORM_SKIP ? "" : ": ", why);
        if (one->missing != NULL)
            printf("; its twin is %s", one->missing->twin);
        putchar('\n');
        break;
    }
    (void)fflush(stdout);
}

void tap_end(const struct results *r)
{
    int level = results_level(r);

    if (r->interrupted) {
        puts("Bail out! interrupted");
        return;
    }
    printf("# %zu of %zu pass", r->count[CONFORM_PASS],
           r->count[CONFORM_PASS] + r->count[CONFORM_FAIL]);
    for (size_t i = CONFORM_NA; i < CONFORM_N_OUTCOMES; i++)
        if (r->count[i] > 0)
            printf(", %zu %s", r->count[i], outcome_name((enum conform_outcome)i));
    printf("; %.1f s\n", (double)r->took_us / 1e6);
    if (level >= 0)
        printf("# level C%d: the declared guarantees of tier '%s' held in this run\n", level + 1,
               conform_tier_name((enum conform_tier)level));
    (void)fflush(stdout);
}
