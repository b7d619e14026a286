/* run_steps.c - what became of the steps of a run */
#include <config.h>

#include <kedge/run.h>
#include <kedge/store.h>

#include "args.h"
#include "reader.h"
#include "told.h"

static int tell_all(const struct kedge_told *t, kedge_step_info_fn *each, void *ctx)
{
    char name[KEDGE_STEP_NAME_ROOM];
    struct kedge_step_info info;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < kedge_told_steps(t); i++) {
        if (!kedge_told_knows(t, i))
            continue;
        kedge_told_step(t, i, &info, name);
        rc = each(ctx, &info);
    }
    return rc;
}

int kedge_run_steps(struct kedge_store *store, struct kedge_bytes id, kedge_step_info_fn *each,
                    void *ctx, int64_t timeout_us, struct kedge_error *err)
{
    struct kedge_run_state state = { .mem = NULL };
    struct kedge_told t = { .mem = NULL };
    struct kedge_reader r;
    int rc;

    if (each == NULL)
        return kedge_args_null("each", err);
    rc = kedge_reader_begin(&r, store, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = kedge_args_id(r.ops, id, err);
    if (rc == KEDGE_OK)
        rc = kedge_reader_head(&r, id, &state, err);
    if (rc == KEDGE_OK)
        rc = kedge_told_read(&t, &r, &state.run, err);
    kedge_reader_end(&r);
    if (rc == KEDGE_OK && t.unreadable != KEDGE_OK)
        rc = kedge_error_set(err, t.unreadable, 0, "%s", t.why.msg);
    if (rc == KEDGE_OK)
        rc = tell_all(&t, each, ctx);
    kedge_told_free(&t);
    kedge_mem_free(r.host, state.mem);
    return rc;
}
