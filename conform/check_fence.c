/*
 * check_fence.c - fences order what happened, in real time too
 *
 * Per key: no fence is given twice; one that is given is above all that were seen - in an answer
 * that had come before the call began; and what is done under a fence is refused once an answer
 * had come that shows a newer one.  Versions of cells are fences of their writes.  O(n log n).
 */
#include <config.h>

#include "check.h"

#include <inttypes.h>
#include <stdlib.h>

#include <kedge/error.h>

enum use { NO_FENCE, GIVEN, USED };

static uint64_t fence_of(const struct history_event *e)
{
    return e->op == HISTORY_PUT ? e->version : e->fence;
}

static enum use use_of(const struct history_event *e)
{
    if (e->result != KEDGE_OK || fence_of(e) == 0)
        return NO_FENCE;
    switch (e->op) {
    case HISTORY_ACQUIRE:
    case HISTORY_CLAIM:
    case HISTORY_TAKE:
    case HISTORY_PUT:
        return GIVEN;
    case HISTORY_CHECK:
    case HISTORY_UNLOCK:
    case HISTORY_APPEND:
    case HISTORY_YIELD:
    case HISTORY_REST:
        return USED;
    default:
        return NO_FENCE;
    }
}

static int by_ret(const void *a, const void *b)
{
    const struct history_event *x = *(const struct history_event *const *)a;
    const struct history_event *y = *(const struct history_event *const *)b;

    return (x->ret > y->ret) - (x->ret < y->ret);
}

/* Equal ones together; who got it first of all. */
static int by_fence(const void *a, const void *b)
{
    const struct history_event *x = *(const struct history_event *const *)a;
    const struct history_event *y = *(const struct history_event *const *)b;

    if (fence_of(x) != fence_of(y))
        return fence_of(x) < fence_of(y) ? -1 : 1;
    return (use_of(x) > use_of(y)) - (use_of(x) < use_of(y));
}

static void unique(const struct history_event **by, size_t n, struct verdict *v)
{
    qsort(by, n, sizeof(struct history_event *), by_fence);
    for (size_t i = 1; i < n; i++)
        if (fence_of(by[i]) == fence_of(by[i - 1]) && use_of(by[i]) == GIVEN) {
            if (!verdict_fail(v, by[i]->key, "\"%s\": fence %" PRIu64 " was given twice",
                              by[i]->key, fence_of(by[i])))
                return;
            verdict_add(v, by[i - 1], "\n  ");
            verdict_add(v, by[i], "\n  ");
        }
}

/* CALLS by call, RETS, the same ones, to be sorted by answer. */
static void rising(const struct history_event *const *calls, const struct history_event **rets,
                   size_t n, struct verdict *v)
{
    const struct history_event *newest = NULL;
    size_t returned = 0;

    qsort(rets, n, sizeof(struct history_event *), by_ret);
    for (size_t i = 0; i < n; i++) {
        const struct history_event *e = calls[i];

        for (; returned < n && rets[returned]->ret < e->call; returned++)
            if (newest == NULL || fence_of(rets[returned]) > fence_of(newest))
                newest = rets[returned];
        if (newest == NULL || fence_of(newest) < fence_of(e) ||
            (use_of(e) == USED && fence_of(newest) == fence_of(e)))
            continue;
        if (!verdict_fail(v, e->key,
                          use_of(e) == GIVEN
                              ? "\"%s\": a fence does not rise"
                              : "\"%s\": accepted under a fence that was not the newest",
                          e->key))
            return;
        verdict_add(v, newest, "\n  had answered: ");
        verdict_add(v, e, "\n  was called after it: ");
    }
}

void check_fences(const struct history *h, struct verdict *v)
{
    size_t n, m = 0;
    const struct history_event **calls;
    const struct history_event **rets = calloc(h->n + 1, sizeof(struct history_event *));

    verdict_init(v);
    calls = check_by_key(h, &n);
    if (calls == NULL || rets == NULL)
        verdict_unsure(v, "", "out of memory");
    else {
        for (size_t i = 0; i < n; i++)
            if (use_of(calls[i]) != NO_FENCE)
                calls[m++] = calls[i];
        for (size_t i = 0, end; i < m && v->result == CHECK_PASS; i = end) {
            for (end = i; end < m && check_same_key(calls[i], calls[end]); end++)
                rets[end] = calls[end];
            rising(calls + i, rets + i, end - i, v);
            unique(rets + i, end - i, v);
        }
        v->looked_at = m;
    }
    free(calls);
    free(rets);
}
