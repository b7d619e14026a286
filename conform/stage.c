/* stage.c - a stage's life, and what an answer must mean; see stage.h */
#include "stage.h"

const struct stage_op *stage_op_named(const char *name)
{
    for (size_t i = 0; i < stage_n_ops; i++)
        if (strcmp(stage_ops[i].name, name) == 0)
            return &stage_ops[i];
    fail_case(__FILE__, __LINE__, "there is no operation %s", name);
}

void stage_begin(struct stage *s, const struct stage_op *op, struct world *d, struct world *w,
                 int64_t patience)
{
    int number = s->number + 1;
    struct kedge_id128 lease = s->lease;

    world_forget(d);
    if (w != d)
        world_forget(w);
    memset(s, 0, sizeof *s);
    s->d = d;
    s->w = w;
    s->number = number;
    s->lease = lease;
    s->patience = patience;
    op->prepare(s);
}

void stage_judge(const struct stage_op *op, int rc, const struct picture *before,
                 const struct picture *a, const struct picture *b)
{
    bool none = picture_same(a, before);
    bool all = picture_same(a, b);

    if (rc == KEDGE_OK && !all) {
        picture_differ(a, b);
        fail_case(__FILE__, __LINE__, "it was answered OK, and changed something when sent again");
    }
    if (rc != KEDGE_OK && rc != KEDGE_ERR_UNKNOWN && !none && (op->flags & OP_LOOSE) == 0) {
        picture_differ(before, a);
        fail_case(__FILE__, __LINE__, "it was answered %s, and something has changed",
                  status_name(rc));
    }
    if (none || all || ((op->flags & OP_LOOSE) && picture_between(a, before, b)))
        return;
    picture_differ(before, a);
    picture_differ(a, b);
    fail_case(__FILE__, __LINE__, "a part of it took place");
}
