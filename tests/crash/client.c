/* client.c - a worker in a few lines; see client.h */
#include <config.h>

#include <stdlib.h>

#include "client.h"

int64_t client_timeout(const struct client *c)
{
    return c->timeout_us != 0 ? c->timeout_us : CRASH_TIMEOUT;
}

void client_expect(const struct client *c, int rc, int want, const char *what)
{
    if (rc != want)
        crash_fail("%s answers %s, not %s: %s", what, kedge_status_name(rc),
                   kedge_status_name(want), rc < 0 ? c->err.msg : "");
}

void client_expect_word(const struct client *c, const char *word, const char *what)
{
    if (strstr(c->err.msg, word) == NULL)
        crash_fail("%s: '%s' is missing in: %s", what, word, c->err.msg);
}

int client_open(struct client *c, uint32_t flags)
{
    const struct kedge_open open = {
        .struct_size = sizeof open, .flags = flags, .url = c->url, .ns = crash_text(CLIENT_NS)
    };
    int rc;

    if (c->ops == NULL)
        c->ops = crash_ops(getenv("KEDGE_TEST_CRASH_BACKEND"));
    if (c->host == NULL)
        c->host = kedge_host_default();
    c->store = c->session = NULL;
    c->err.msg[0] = '\0';
    rc = c->ops->store_open(c->host, &open, &c->store, &c->err);
    if (rc != KEDGE_OK)
        return rc;
    rc = c->ops->session_open(c->store, &c->session, &c->err);
    if (rc != KEDGE_OK) {
        c->ops->store_close(c->store);
        c->store = NULL;
    }
    return rc;
}

void client_must_open(struct client *c, uint32_t flags)
{
    client_expect(c, client_open(c, flags), KEDGE_OK, "store_open");
}

void client_close(struct client *c)
{
    if (c->session != NULL)
        c->ops->session_close(c->session);
    if (c->store != NULL)
        c->ops->store_close(c->store);
    c->session = c->store = NULL;
}

struct client client_again(const struct client *c)
{
    struct client other = *c;

    other.store = NULL;
    client_expect(&other, c->ops->session_open(c->store, &other.session, &other.err), KEDGE_OK,
                  "session_open");
    return other;
}

struct kedge_id128 client_request(uint64_t n)
{
    return crash_id("client", n);
}

struct kedge_bytes client_data(uint64_t n, size_t len)
{
    static _Thread_local unsigned char *room;
    static _Thread_local size_t size;
    uint64_t state = n;

    if (len > size) {
        free(room);
        room = malloc(len + 8);
        CRASH_CHECK(room != NULL, "no memory");
        size = len;
    }
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = crash_random(&state);

        memcpy(room + i, &v, len - i < 8 ? len - i : 8);
    }
    return (struct kedge_bytes){ room, len };
}

int client_grant(struct client *c, uint64_t n, int64_t ttl_us)
{
    struct kedge_lease_new in = { .id = crash_id("lease", n),
                                  .request = crash_id("grant", n),
                                  .owner = crash_text("client"),
                                  .ttl_us = ttl_us };
    struct kedge_lease_state out;

    c->lease = in.id;
    return c->ops->lease_grant(c->session, &in, &out, client_timeout(c), &c->err);
}

int client_send(struct client *c, const struct kedge_commit *commit, struct kedge_answer *answer)
{
    struct kedge_answer a;
    int rc;

    memset(&a, 0, sizeof a);
    c->err.msg[0] = '\0';
    rc = c->ops->commit(c->session, commit, 1, &a, client_timeout(c), &c->err);
    if (answer != NULL)
        *answer = a;
    if (rc != KEDGE_OK)
        return rc;
    if (a.outcome < 0)
        (void)kedge_error_set(&c->err, a.outcome, 0, "%s", a.why);
    return a.outcome;
}

int client_create(struct client *c, const char *name, struct client_run *run)
{
    struct kedge_run_new new = { .reactor = crash_text("client"),
                                 .queue = crash_text("q"),
                                 .lease = c->lease,
                                 .version = 1,
                                 .parent_slot = KEDGE_NO_SLOT };
    struct kedge_change change = { .kind = KEDGE_CREATE, .name = crash_text(name), .create = &new };
    uint64_t result = 0;
    struct kedge_commit commit = { .request = crash_id("create", crash_hash(0, name, strlen(name))),
                                   .changes = &change,
                                   .n_changes = 1,
                                   .results = &result };
    int rc = client_send(c, &commit, NULL);

    if (rc == KEDGE_OK)
        *run = (struct client_run){ name, result, result, 0 };
    return rc;
}

int client_create_due(struct client *c, const char *name, const char *reactor)
{
    struct kedge_run_new new = { .reactor = crash_text(reactor),
                                 .queue = crash_text("q"),
                                 .due = { 0, KEDGE_IN, 0 },
                                 .version = 1,
                                 .parent_slot = KEDGE_NO_SLOT };
    struct kedge_change change = { .kind = KEDGE_CREATE, .name = crash_text(name), .create = &new };
    struct kedge_commit commit = { .request = crash_id("create", crash_hash(0, name, strlen(name))),
                                   .changes = &change,
                                   .n_changes = 1 };

    return client_send(c, &commit, NULL);
}

int client_append(struct client *c, struct client_run *run, uint64_t n, size_t len)
{
    struct kedge_bytes record = client_data(n, len);
    struct kedge_guard guard = { .kind = KEDGE_GUARD_HELD,
                                 .name = crash_text(run->name),
                                 .lease = c->lease,
                                 .number = run->fence };
    struct kedge_change change = { .kind = KEDGE_APPEND, .name = guard.name };
    uint64_t result = 0;
    struct kedge_commit commit = { .request = client_request(n),
                                   .guards = &guard,
                                   .n_guards = 1,
                                   .changes = &change,
                                   .n_changes = 1,
                                   .results = &result };
    int rc;

    change.append.records = &record;
    change.append.n = 1;
    change.append.first = run->position + 1;
    rc = client_send(c, &commit, NULL);
    if (rc == KEDGE_OK) {
        CRASH_CHECK(result == run->position + 1, "appended at %llu, not %llu",
                    (unsigned long long)result, (unsigned long long)run->position + 1);
        run->position = result;
    }
    return rc;
}

int client_rest(struct client *c, struct client_run *run, uint64_t n, int64_t expires_us)
{
    struct kedge_guard guard = { .kind = KEDGE_GUARD_HELD,
                                 .name = crash_text(run->name),
                                 .lease = c->lease,
                                 .number = run->fence };
    struct kedge_change change = { .kind = KEDGE_RELEASE, .name = guard.name };
    struct kedge_commit commit = { .request = client_request(n),
                                   .guards = &guard,
                                   .n_guards = 1,
                                   .changes = &change,
                                   .n_changes = 1 };

    change.release.place = KEDGE_PLACE_REST;
    change.release.status = KEDGE_COMPLETED;
    change.release.when = (struct kedge_when){ expires_us, KEDGE_IN, 0 };
    return client_send(c, &commit, NULL);
}

void client_check(struct client *c, const struct client_run *run, uint64_t first)
{
    uint64_t next = 1;
    uint64_t expect = 1;

    do {
        struct kedge_record_page page = { 0 };
        int rc = c->ops->retrieve_records(c->session, crash_text(run->name), 0, next, 50,
                                          (size_t)1 << 20, &page, client_timeout(c), &c->err);

        client_expect(c, rc, KEDGE_OK, "retrieve_records");
        for (size_t i = 0; i < page.n; i++, expect++) {
            const struct kedge_record *r = &page.records[i];
            struct kedge_id128 want = client_request(first + expect - 1);
            struct kedge_bytes data = client_data(first + expect - 1, r->data.len);

            CRASH_CHECK(r->number == expect && memcmp(want.b, r->request.b, sizeof want.b) == 0,
                        "%s: record %llu is not what was sent", run->name,
                        (unsigned long long)expect);
            CRASH_CHECK(data.len == 0 || memcmp(data.data, r->data.data, data.len) == 0,
                        "%s: record %llu has other bytes", run->name, (unsigned long long)expect);
        }
        next = page.next;
        kedge_mem_free(c->host, page.mem);
    } while (next != 0);
    CRASH_CHECK(expect == run->position + 1, "%s: %llu records, but %llu were acknowledged",
                run->name, (unsigned long long)expect - 1, (unsigned long long)run->position);
}
