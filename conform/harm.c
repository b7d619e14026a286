/* harm.c - a call under harm, from its things to its judgement; see harm.h */
#include "harm.h"

#include <inttypes.h>

void harm_begin(struct harm *h, struct world *direct, struct world *through, int tries)
{
    memset(h, 0, sizeof *h);
    h->direct = direct;
    h->through = through;
    h->tries = tries;
    h->slowest = INT64_MIN;
    h->what = "";
    h->stage.lease = lease_make(direct, SEC(7200));
}

static bool is_allowed(const struct harm *h, int rc)
{
    return rc == KEDGE_OK || rc == KEDGE_ERR_UNAVAILABLE ||
           (rc == KEDGE_ERR_UNKNOWN && (h->op->flags & OP_READS) == 0);
}

/* A cell says the number of the stage: an answer meant for somebody else is not that. */
static void canary_text(const struct harm *h, char text[32])
{
    (void)snprintf(text, 32, "canary of %d", h->stage.number);
}

void harm_next(struct harm *h, const char *when)
{
    struct world *w = h->through;
    struct kedge_cell cell = { .version = 0 };
    int rc = KEDGE_ERR_UNAVAILABLE;
    char want[32];

    context("%s, %s, the next call %s", h->op->name, h->what, when);
    for (int i = 0; i < h->tries && rc == KEDGE_ERR_UNAVAILABLE; i++)
        rc = w->ops->cell_get(w->session, str("canary"), &cell, PATIENT, &w->err);
    expect_rc(rc, KEDGE_OK);
    canary_text(h, want);
    expect_bytes(cell.value, str(want));
    kedge_mem_free(w->host, cell.mem);
}

void harm_prepare_things(struct harm *h, const struct stage_op *op)
{
    char text[32];

    h->op = op;
    context("preparing %s", op->name);
    stage_begin(&h->stage, op, h->direct, h->through, PATIENT);
    canary_text(h, text);
    (void)cell_put(h->direct, str("canary"), text);
    picture_take(&h->stage, &h->before);
}

void harm_prepare(struct harm *h, const struct stage_op *op)
{
    h->what = "unharmed";
    harm_prepare_things(h, op);
    harm_next(h, "before");
}

/* Within its deadline, or just after. */
static int timed_call(struct harm *h, const char *what)
{
    int64_t began = real_us();
    int rc = h->op->call(&h->stage);
    int64_t past = real_us() - began - h->stage.patience;

    if (past > HARM_MARGIN)
        fail_case(__FILE__, __LINE__,
                  "%s took %" PRId64 " ms longer than the %" PRId64 " ms it was given (%s)", what,
                  past / 1000, h->stage.patience / 1000, status_name(rc));
    if (past > h->slowest)
        h->slowest = past;
    return rc;
}

int harm_call(struct harm *h, int64_t patience)
{
    const struct kedge_error *err = &h->through->err;

    context("%s, %s", h->op->name, h->what);
    h->stage.patience = patience;
    h->rc = timed_call(h, "it");
    h->answers[h->rc == KEDGE_OK ? 0 : h->rc == KEDGE_ERR_UNAVAILABLE ? 1 : 2]++;
    if (!is_allowed(h, h->rc))
        fail_case(__FILE__, __LINE__, "it is answered %s%s%s", status_name(h->rc),
                  h->rc < 0 ? ": " : "", h->rc < 0 ? err->msg : "");
    return h->rc;
}

void harm_resend(struct harm *h)
{
    int rc = KEDGE_ERR_UNAVAILABLE;

    context("%s, %s, %s", h->op->name, h->what, status_name(h->rc));
    h->stage.patience = h->let_go != NULL ? SEC(1) : PATIENT;
    for (int i = 0; i < h->tries; i++) {
        rc = timed_call(h, "sent again, it");
        if (rc == KEDGE_OK || rc == h->op->again)
            return;
        if (!is_allowed(h, rc))
            break;
        if (h->let_go != NULL)
            h->let_go();
        h->stage.patience = PATIENT;
    }
    fail_case(__FILE__, __LINE__, "sent again, it is answered %s: %s", status_name(rc),
              h->through->err.msg);
}

void harm_judge(struct harm *h)
{
    picture_settled(&h->stage, &h->after);
    harm_next(h, "after");
    harm_resend(h);
    picture_take(&h->stage, &h->done);
    stage_judge(h->op, h->rc, &h->before, &h->after, &h->done);
    if (h->op->check != NULL)
        h->op->check(&h->stage);
}

/* Leases that a stage has made would all be looked after until the end. */
void harm_over(struct harm *h)
{
    for (size_t i = 0; i < h->stage.n_made; i++)
        (void)do_revoke(h->direct, h->stage.made[i]);
    picture_free(&h->before);
    picture_free(&h->after);
    picture_free(&h->done);
}

void harm_note(const struct harm *h, int points)
{
    note("%d points: %d OK, %d UNAVAILABLE, %d UNKNOWN; at most %" PRId64 " ms past the deadline",
         points, h->answers[0], h->answers[1], h->answers[2],
         h->slowest > 0 ? h->slowest / 1000 : 0);
}
