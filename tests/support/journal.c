/* journal.c - runs with a journal of one's own making, without a worker */
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "journal.h"
#include "src/reactor.h"
#include "src/session.h"

#define TIMEOUT_US INT64_C(10000000)
#define MOST       16

static struct kedge_id128 some_id(void)
{
    struct kedge_id128 id = { { 0 } };
    char text[KEDGE_RUN_ID_SIZE];

    if (kedge_run_id_make(text, NULL) == KEDGE_OK)
        memcpy(id.b, text + 20, sizeof id.b);
    return id;
}

static int take_one(const struct kedge_backend_ops *ops, void *session, const char *reactor,
                    const struct kedge_id128 *lease, struct kedge_run_page *page)
{
    struct kedge_serve serve = { kedge_text("default"), kedge_text(reactor), 1, 1 };
    struct kedge_lease_new grant = {
        .id = *lease, .request = some_id(), .serves = &serve, .n_serves = 1, .ttl_us = 60000000
    };
    struct kedge_claim claim = {
        .request = some_id(), .lease = *lease, .serves = &serve, .n_serves = 1, .limit = 1
    };
    struct kedge_lease_state state;
    int rc = ops->lease_grant(session, &grant, &state, TIMEOUT_US, NULL);

    return rc == KEDGE_OK ? ops->claim(session, &claim, page, TIMEOUT_US, NULL) : rc;
}

static int write_run(const struct kedge_backend_ops *ops, void *session,
                     const struct kedge_id128 *lease, const struct kedge_run *run,
                     const struct kedge_bytes *records, size_t n, uint32_t status)
{
    struct kedge_guard guard = {
        .kind = KEDGE_GUARD_HELD, .name = run->id, .lease = *lease, .number = run->fence
    };
    struct kedge_change changes[2] = { { .kind = KEDGE_APPEND, .name = run->id },
                                       { .kind = KEDGE_RELEASE, .name = run->id } };
    struct kedge_commit commit = {
        .request = some_id(), .guards = &guard, .n_guards = 1, .changes = changes, .n_changes = 2
    };
    struct kedge_answer answer;
    int rc;

    changes[0].append.records = records;
    changes[0].append.n = n;
    changes[0].append.first = run->position + 1;
    changes[1].release.place = status != 0 ? KEDGE_PLACE_REST : KEDGE_PLACE_DUE;
    changes[1].release.status = status;
    if (status == 0)
        changes[1].release.when = (struct kedge_when){ .us = 3600000000, .base = KEDGE_IN };
    rc = ops->commit(session, &commit, 1, &answer, TIMEOUT_US, NULL);
    if (rc == KEDGE_OK && answer.outcome != KEDGE_OK)
        (void)fprintf(stderr, "# %s\n", answer.why);
    return rc == KEDGE_OK ? answer.outcome : rc;
}

int journal_write(struct kedge_store *store, const char *reactor, const struct kedge_rec *recs,
                  size_t n, uint32_t status)
{
    const struct kedge_backend_ops *ops = kedge_store_ops(store);
    const struct kedge_host *host = kedge_store_host(store);
    struct kedge_run_page page = { .mem = NULL };
    struct kedge_bytes records[MOST];
    struct kedge_buf *bufs[MOST];
    struct kedge_id128 lease = some_id();
    void *session;
    int rc = n <= MOST ? kedge_session_get(store, &session, NULL) : KEDGE_ERR_INVALID;

    if (rc != KEDGE_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        bufs[i] = kedge_record_encode(host, &recs[i]);
        records[i] = (struct kedge_bytes){ bufs[i]->data, bufs[i]->len };
    }
    rc = take_one(ops, session, reactor, &lease, &page);
    if (rc == KEDGE_OK)
        rc = page.n == 1 ? write_run(ops, session, &lease, page.runs, records, n, status)
                         : KEDGE_NOT_FOUND;
    if (rc == KEDGE_OK && status != 0)
        kedge_store_run_ended(store, page.runs[0].id);
    for (size_t i = 0; i < n; i++)
        kedge_buf_drop(host, bufs[i]);
    kedge_mem_free(host, page.mem);
    kedge_session_put(store, session);
    return rc;
}

int journal_define(struct kedge_store *store, const struct kedge_reactor *reactor)
{
    struct kedge_error err;
    void *session;
    int rc = kedge_session_get(store, &session, &err);

    if (rc != KEDGE_OK)
        return rc;
    rc = kedge_reactor_register(kedge_store_ops(store), session, kedge_store_host(store), reactor,
                                TIMEOUT_US, &err);
    kedge_session_put(store, session);
    return rc;
}
