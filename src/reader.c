/* reader.c - what the calls of the public face have in common */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "args.h"
#include "reader.h"

#define LEAST_TIMEOUT_US 1000

int64_t kedge_reader_time(const struct kedge_reader *r)
{
    int64_t left = r->deadline - kedge_monotonic_us();

    return left > LEAST_TIMEOUT_US ? left : LEAST_TIMEOUT_US;
}

int kedge_reader_begin(struct kedge_reader *r, struct kedge_store *store, int64_t timeout_us,
                       struct kedge_error *err)
{
    int rc;

    *r = (struct kedge_reader){ .store = store };
    if (store == NULL)
        return kedge_args_null("store", err);
    rc = kedge_args_timeout(timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    r->ops = kedge_store_ops(store);
    r->host = kedge_store_host(store);
    r->deadline = kedge_deadline(timeout_us);
    return kedge_session_get_timed(store, &r->session, timeout_us, err);
}

void kedge_reader_end(struct kedge_reader *r)
{
    if (r->session != NULL)
        kedge_session_put(r->store, r->session);
    r->session = NULL;
}

void kedge_reader_pause(struct kedge_reader *r)
{
    kedge_reader_end(r);
}

int kedge_reader_resume(struct kedge_reader *r, struct kedge_error *err)
{
    return kedge_session_get_timed(r->store, &r->session, kedge_reader_time(r), err);
}

int kedge_reader_send(struct kedge_reader *r, const struct kedge_commit *commit,
                      struct kedge_answer *answer, struct kedge_error *err)
{
    int rc;

    memset(answer, 0, sizeof *answer);
    rc = r->ops->commit(r->session, commit, 1, answer, kedge_reader_time(r), err);
    if (rc != KEDGE_OK || answer->outcome >= 0)
        return rc != KEDGE_OK ? rc : answer->outcome;
    return kedge_error_set(err, answer->outcome, 0, "%s",
                           answer->why[0] != '\0' ? answer->why
                                                  : kedge_status_text(answer->outcome));
}

int kedge_reader_commit(struct kedge_reader *r, struct kedge_commit *commit,
                        struct kedge_answer *answer, bool *doubt, struct kedge_error *err)
{
    struct kedge_error why = { 0, 0, "" };
    int64_t pause = KEDGE_PAUSE_FIRST_US;
    int rc = kedge_request_id_make(&commit->request, err);

    if (rc != KEDGE_OK)
        return rc;
    for (;;) {
        rc = kedge_reader_send(r, commit, answer, &why);
        if (rc >= 0)
            return rc;
        *doubt |= rc == KEDGE_ERR_UNKNOWN;
        if (!*doubt || (rc != KEDGE_ERR_UNKNOWN && rc != KEDGE_ERR_UNAVAILABLE) ||
            kedge_monotonic_us() >= r->deadline)
            return kedge_error_set(err, *doubt ? KEDGE_ERR_UNKNOWN : rc, why.sys_errno, "%s",
                                   why.msg);
        kedge_sleep_us(pause);
        pause = 2 * pause < KEDGE_PAUSE_MOST_US ? 2 * pause : KEDGE_PAUSE_MOST_US;
    }
}

int kedge_reader_head(struct kedge_reader *r, struct kedge_bytes id, struct kedge_run_state *state,
                      struct kedge_error *err)
{
    struct kedge_retrieve what = { .id = id };

    return r->ops->retrieve(r->session, &what, state, kedge_reader_time(r), err);
}

int kedge_reader_definition(struct kedge_reader *r, const struct kedge_run *run,
                            struct kedge_reactor **reactor, struct kedge_error *err)
{
    int rc = kedge_reactor_fetch(r->ops, r->session, r->host, run->reactor, run->version, reactor,
                                 kedge_reader_time(r), err);

    if (rc != KEDGE_NOT_FOUND)
        return rc;
    *reactor = NULL;
    return KEDGE_OK;
}

const char *kedge_reader_step_name(const struct kedge_reactor *reactor, uint32_t step,
                                   char buf[KEDGE_STEP_NAME_ROOM])
{
    if (reactor != NULL && step < reactor->n_steps)
        return reactor->steps[step].name;
    (void)snprintf(buf, KEDGE_STEP_NAME_ROOM, "step %lu", (unsigned long)step);
    return buf;
}

/* ------------------------------------------------------------------- leases */

#define LEASES_MOST 256

void kedge_reader_keep(struct kedge_mem **to, struct kedge_mem *mem)
{
    struct kedge_mem *end = mem;

    if (mem == NULL)
        return;
    while (end->next != NULL)
        end = end->next;
    end->next = *to;
    *to = mem;
}

int kedge_reader_leases(struct kedge_reader *r, kedge_reader_lease_fn *each, void *ctx,
                        struct kedge_mem **keep, struct kedge_error *err)
{
    struct kedge_bytes cursor = { NULL, 0 };
    struct kedge_mem *last = NULL; /* has the cursor */
    int rc;

    do {
        struct kedge_lease_page page = { .mem = NULL };

        rc = r->ops->lease_list(r->session, cursor, LEASES_MOST, &page, kedge_reader_time(r), err);
        if (rc != KEDGE_OK)
            break;
        if (keep == NULL)
            kedge_mem_free(r->host, last);
        else
            kedge_reader_keep(keep, last);
        last = page.mem;
        for (size_t i = 0; i < page.n && rc == 0; i++)
            rc = each(ctx, r, &page.leases[i], err);
        cursor = page.next;
    } while (rc == 0 && cursor.len > 0);
    if (keep == NULL)
        kedge_mem_free(r->host, last);
    else
        kedge_reader_keep(keep, last);
    return rc;
}
