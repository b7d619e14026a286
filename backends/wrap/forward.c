/* forward.c - a table that passes every call on to another one, and lets somebody look at it */
#include "forward.h"

static const char *const names[] = {
#define NAME(op, ...)   [WRAP_##op] = #op,
#define NAME_AROUND(op) [WRAP_##op] = #op,
    WRAP_OPS(NAME, NAME, NAME) WRAP_AROUND(NAME_AROUND)
#undef NAME
#undef NAME_AROUND
};

const char *wrap_op_name(enum wrap_op op)
{
    return names[op];
}

enum wrap_op wrap_op_find(const char *name)
{
    unsigned op = 0;

    while (op < WRAP_OP_COUNT && strcmp(names[op], name) != 0)
        op++;
    return (enum wrap_op)op;
}

int wrap_lost(struct wrap_call *call)
{
    return kedge_error_set(call->err, KEDGE_ERR_UNKNOWN, 0,
                           "planned fault: the answer to '%s' was lost", names[call->op]);
}

#define FREE_PAGE(lost) kedge_mem_free(below.host, (lost)->mem)
#define FREE_NONE(lost) ((void)(lost))

#define SOMETHING_INSTEAD(member)                                                                  \
    do {                                                                                           \
        if (call.instead != NULL && call.instead->member != NULL) {                                \
            below.ops = call.instead;                                                              \
            below.session = s;                                                                     \
        }                                                                                          \
    } while (0)

#define FORWARD_PLAIN(member, params, args, ...)                                                   \
    static int forward_##member params                                                             \
    {                                                                                              \
        struct wrap_below below = wrap_below(s);                                                   \
        struct wrap_call call = { .op = WRAP_##member, .below = below, .err = err, __VA_ARGS__ };  \
        enum wrap_verdict verdict = wrap_before(&call);                                            \
                                                                                                   \
        if (verdict == WRAP_REFUSE)                                                                \
            return KEDGE_ERR_UNAVAILABLE;                                                          \
        SOMETHING_INSTEAD(member);                                                                 \
        call.rc = below.ops->member args;                                                          \
        wrap_after(&call);                                                                         \
        return verdict == WRAP_LOSE && call.rc >= 0 ? wrap_lost(&call) : call.rc;                  \
    }

#define FORWARD_OUT(member, type, how, params, args, ...)                                          \
    static int forward_##member params                                                             \
    {                                                                                              \
        struct wrap_below below = wrap_below(s);                                                   \
        struct wrap_call call = {                                                                  \
            .op = WRAP_##member, .below = below, .timeout_us = timeout_us, .err = err, __VA_ARGS__ \
        };                                                                                         \
        enum wrap_verdict verdict = wrap_before(&call);                                            \
        type lost;                                                                                 \
                                                                                                   \
        if (verdict == WRAP_REFUSE)                                                                \
            return KEDGE_ERR_UNAVAILABLE;                                                          \
        memset(&lost, 0, sizeof lost);                                                             \
        if (verdict == WRAP_LOSE)                                                                  \
            out = &lost;                                                                           \
        SOMETHING_INSTEAD(member);                                                                 \
        call.rc = below.ops->member args;                                                          \
        call.out = out;                                                                            \
        wrap_after(&call);                                                                         \
        if (verdict != WRAP_LOSE || call.rc < 0)                                                   \
            return call.rc;                                                                        \
        FREE_##how(&lost);                                                                         \
        return wrap_lost(&call);                                                                   \
    }
#define FORWARD_NOTHING(member, type)

WRAP_OPS(FORWARD_PLAIN, FORWARD_OUT, FORWARD_NOTHING)

static void all_outcomes(struct kedge_answer *answers, size_t n, int outcome)
{
    for (size_t i = 0; i < n; i++) {
        memset(&answers[i], 0, sizeof answers[i]);
        answers[i].outcome = outcome;
    }
}

static int forward_commit(void *s, const struct kedge_commit *commits, size_t n,
                          struct kedge_answer *answers, WRAP_TAIL)
{
    struct wrap_below below = wrap_below(s);
    struct wrap_call call = { .op = WRAP_commit,
                              .below = below,
                              .timeout_us = timeout_us,
                              .err = err,
                              .commits = commits,
                              .n = n };
    enum wrap_verdict verdict = wrap_before(&call);

    if (verdict == WRAP_REFUSE) {
        all_outcomes(answers, n, KEDGE_ERR_UNAVAILABLE);
        return KEDGE_ERR_UNAVAILABLE;
    }
    SOMETHING_INSTEAD(commit);
    call.rc = below.ops->commit(below.session, commits, n, answers, timeout_us, err);
    call.answers = answers;
    wrap_after(&call);
    if (verdict != WRAP_LOSE || call.rc < 0)
        return call.rc;
    for (size_t i = 0; i < n; i++)
        if (commits[i].results != NULL)
            memset(commits[i].results, 0xee, commits[i].n_changes * sizeof *commits[i].results);
    all_outcomes(answers, n, KEDGE_ERR_UNKNOWN);
    return wrap_lost(&call);
}

void wrap_forward(struct kedge_backend_ops *ops, const struct kedge_backend_ops *below)
{
#define SET(op, ...) ops->op = below->op != NULL ? forward_##op : NULL;
    WRAP_OPS(SET, SET, SET)
#undef SET
}
