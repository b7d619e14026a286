/*
 * full.c - no room: a full disk, and a full map
 *
 * ERR_FULL for what does not fit; what was acknowledged stays and can be read; what lets go and
 * what removes still works; with room again, everything goes on.
 */
#include <config.h>

#include <string.h>

#include "client.h"
#include "disk.h"

static char disk[4200];
static char url[4400];
static struct shared {
    int64_t clock;
    unsigned fitted[10];
    unsigned reopened, created, refused;
} * sh;

/* ---------------------------------------------------------------------- a full disk */

/* Append until it is refused; the request that was refused is the answer. */
static uint64_t fill(struct client *c, struct client_run *run, uint64_t n, size_t len)
{
    int rc;

    for (;; n++) {
        rc = client_append(c, run, n, len);
        if (rc != KEDGE_OK)
            break;
        CRASH_CHECK(n < 100000, "it never gets full");
    }
    client_expect(c, rc, KEDGE_ERR_FULL, "append on a full disk");
    CRASH_CHECK(c->err.msg[0] != '\0', "no message");
    return n;
}

/* There is room again: N must go through, perhaps after closing and opening. */
static void must_go_on(struct client *c, struct client_run *run, uint64_t n, size_t len)
{
    int rc = client_append(c, run, n, len);

    if (rc == KEDGE_ERR_UNAVAILABLE) {
        client_expect_word(c, "open", "the message of a store that wants to be opened again");
        sh->reopened++;
        client_close(c);
        client_must_open(c, 0);
        rc = client_append(c, run, n, len);
    }
    client_expect(c, rc, KEDGE_OK, "append when there is room again");
}

static void check_verify(struct client *c)
{
    const char *fault = crash_verify(c->ops, c->host, c->session);

    CRASH_CHECK(fault == NULL, "%s", fault);
}

/* CTX: bytes of a record. */
static void full_disk(void *ctx)
{
    size_t len = *(const size_t *)ctx;
    struct client c = { .url = url };
    struct kedge_lease_state state;
    struct client_run run;
    uint64_t n = 1;
    int rc;

    disk_mount(disk, 12000);
    client_must_open(&c, KEDGE_OPEN_CREATE);
    client_expect(&c, client_grant(&c, 1, 600 * CRASH_SEC), KEDGE_OK, "lease_grant");
    client_expect(&c, client_create(&c, "r", &run), KEDGE_OK, "create");
    disk_leave_free(disk, "ballast", 120 + 8 * len / 4096);
    for (int round = 0; round < 3; round++) {
        n = fill(&c, &run, n, len);
        client_check(&c, &run, 1);
        check_verify(&c);
        disk_leave_free(disk, "ballast", 0);
        client_expect(&c, client_append(&c, &run, n, len), KEDGE_ERR_FULL, "append once more");
        rc = c.ops->lease_extend(c.session, &c.lease, &state, CRASH_TIMEOUT, &c.err);
        CRASH_CHECK(rc == KEDGE_OK || rc == KEDGE_ERR_FULL, "lease_extend: %s: %s",
                    kedge_status_name(rc), c.err.msg);
        client_check(&c, &run, 1);
        /* Opened when it is full to the last page: readable, or a clear answer. */
        client_close(&c);
        rc = client_open(&c, 0);
        CRASH_CHECK(rc == KEDGE_OK || rc == KEDGE_ERR_FULL, "opening on a full disk: %s: %s",
                    kedge_status_name(rc), c.err.msg);
        if (rc == KEDGE_OK)
            client_check(&c, &run, 1);
        disk_leave_free(disk, "ballast", 80 + 5 * len / 4096);
        if (rc != KEDGE_OK)
            client_must_open(&c, 0);
        for (int i = 0; i < 3; i++, n++)
            must_go_on(&c, &run, n, len);
        client_check(&c, &run, 1);
        check_verify(&c);
    }
    client_close(&c);
}

/* A new store with this many free pages: made, or ERR_FULL; never half, never a dead process. */
static void create_with(void *ctx)
{
    size_t pages = *(const size_t *)ctx;
    struct client c = { .url = url };
    struct client_run run;
    int rc;

    disk_mount(disk, 2000);
    disk_leave_free(disk, "ballast", pages);
    rc = client_open(&c, KEDGE_OPEN_CREATE);
    if (rc == KEDGE_OK) {
        sh->created++;
        rc = client_grant(&c, 1, 600 * CRASH_SEC);
        CRASH_CHECK(rc == KEDGE_OK || rc == KEDGE_ERR_FULL, "lease_grant: %s: %s",
                    kedge_status_name(rc), c.err.msg);
        client_close(&c);
    } else {
        sh->refused++;
        CRASH_CHECK(rc == KEDGE_ERR_FULL, "with %zu free pages: %s: %s", pages,
                    kedge_status_name(rc), c.err.msg);
    }
    disk_leave_free(disk, "ballast", 200);
    client_must_open(&c, KEDGE_OPEN_CREATE);
    client_expect(&c, client_grant(&c, 1, 600 * CRASH_SEC), KEDGE_OK, "lease_grant");
    client_expect(&c, client_create(&c, "r", &run), KEDGE_OK, "create");
    check_verify(&c);
    client_close(&c);
}

/* -------------------------------------------------------------------------- the map */

static struct kedge_host manual;

/* Three commits in one call, the middle one larger than what is left. */
static void full_batch(struct client *c, struct client_run *b, struct client_run *big,
                       struct client_run *d)
{
    struct client_run *runs[3] = { b, big, d };
    struct kedge_guard guards[3];
    struct kedge_change changes[3];
    struct kedge_bytes records[3];
    struct kedge_commit commits[3];
    struct kedge_answer answers[3];
    int rc;

    memset(guards, 0, sizeof guards);
    memset(changes, 0, sizeof changes);
    memset(commits, 0, sizeof commits);
    memset(answers, 0, sizeof answers);
    for (size_t i = 0; i < 3; i++) {
        guards[i].kind = KEDGE_GUARD_HELD;
        guards[i].name = changes[i].name = crash_text(runs[i]->name);
        guards[i].lease = c->lease;
        guards[i].number = runs[i]->fence;
        records[i] = client_data(1, i == 1 ? (size_t)900 * 1024 : 10);
        changes[i].kind = KEDGE_APPEND;
        changes[i].append.records = &records[i];
        changes[i].append.n = 1;
        changes[i].append.first = runs[i]->position + 1;
        commits[i].request = client_request(7000 + i);
        commits[i].guards = &guards[i];
        commits[i].n_guards = commits[i].n_changes = 1;
        commits[i].changes = &changes[i];
    }
    records[0].len = records[2].len = 0; /* client_data has one buffer */
    rc = c->ops->commit(c->session, commits, 3, answers, CRASH_TIMEOUT, &c->err);
    client_expect(c, rc, KEDGE_OK, "a batch, one commit too many");
    CRASH_CHECK(answers[0].outcome == KEDGE_OK && answers[2].outcome == KEDGE_OK,
                "the neighbours answer %s, %s: %s", kedge_status_name(answers[0].outcome),
                kedge_status_name(answers[2].outcome), answers[0].why);
    CRASH_CHECK(answers[1].outcome == KEDGE_ERR_FULL && answers[1].why[0] != '\0',
                "the one that does not fit answers %s: %s", kedge_status_name(answers[1].outcome),
                answers[1].why);
    b->position++;
    d->position++;
}

static uint64_t position(struct client *c, const char *name)
{
    const struct kedge_retrieve in = { .id = crash_text(name) };
    struct kedge_run_state state = { 0 };

    client_expect(c, c->ops->retrieve(c->session, &in, &state, CRASH_TIMEOUT, &c->err), KEDGE_OK,
                  "retrieve");
    kedge_mem_free(c->host, state.mem);
    return state.run.position;
}

static void purge_all(struct client *c)
{
    for (int i = 0; i < 1000; i++) {
        struct kedge_purged out;
        int rc = c->ops->purge(c->session, 50, &out, CRASH_TIMEOUT, &c->err);

        client_expect(c, rc, KEDGE_OK, "purge in a full map");
        if (out.more == 0)
            return;
    }
    crash_fail("purge does not come to an end");
}

/* While nothing fits: what lets go, removes, and keeps leases alive. */
static void let_go(struct client *c, struct client_run *run, int cycle)
{
    struct kedge_lease_state state;
    struct client other = *c;
    int rc;

    rc = c->ops->lease_extend(c->session, &c->lease, &state, CRASH_TIMEOUT, &c->err);
    client_expect(c, rc, KEDGE_OK, "lease_extend in a full map");
    client_expect(&other, client_grant(&other, 100 + (uint64_t)cycle, 600 * CRASH_SEC), KEDGE_OK,
                  "lease_grant in a full map");
    rc = other.ops->lease_revoke(other.session, &other.lease, CRASH_TIMEOUT, &other.err);
    client_expect(&other, rc, KEDGE_OK, "lease_revoke in a full map");
    client_expect(c, client_rest(c, run, 9000 + (uint64_t)cycle, CRASH_SEC), KEDGE_OK,
                  "rest in a full map");
    sh->clock += 2 * CRASH_SEC;
    purge_all(c);
}

static void full_map(void *ctx)
{
    struct client c = { .url = ctx, .host = &manual };
    struct client_run b, d, run;
    char names[10][8];

    sh->clock = INT64_C(1800000000000000);
    client_must_open(&c, KEDGE_OPEN_CREATE);
    client_expect(&c, client_grant(&c, 1, 600 * CRASH_SEC), KEDGE_OK, "lease_grant");
    client_expect(&c, client_create(&c, "b", &b), KEDGE_OK, "create");
    client_expect(&c, client_create(&c, "d", &d), KEDGE_OK, "create");
    client_expect(&c, client_create(&c, "big", &run), KEDGE_OK, "create");
    if (strstr(c.url, "=1MiB") != NULL) { /* a batch is not larger than that */
        full_batch(&c, &b, &run, &d);
        CRASH_CHECK(position(&c, "b") == 1 && position(&c, "big") == 0 && position(&c, "d") == 1,
                    "the batch is there in other parts");
    }
    check_verify(&c);
    for (int cycle = 0; cycle < (int)ARRAY_LEN(names); cycle++) {
        uint64_t first = 1000 + 1000 * (uint64_t)cycle;
        uint64_t n;

        (void)snprintf(names[cycle], sizeof names[cycle], "m%d", cycle);
        client_expect(&c, client_create(&c, names[cycle], &run), KEDGE_OK, "create");
        n = fill(&c, &run, first, cycle % 2 == 0 ? 20000 : 3000);
        client_check(&c, &run, first);
        sh->fitted[cycle] = (unsigned)(n - first);
        let_go(&c, &run, cycle);
        check_verify(&c);
        if (cycle >= 2)
            CRASH_CHECK(sh->fitted[cycle] * 10 >= sh->fitted[cycle - 2] * 7,
                        "cycle %d: %u records fit, %u did before", cycle, sh->fitted[cycle],
                        sh->fitted[cycle - 2]);
    }
    client_close(&c);
}

static void report(enum crash_end end, const char *what)
{
    if (end == CRASH_SKIPPED)
        tap_skip(crash_why(), "%s", what);
    else
        (void)tap_ok(end == CRASH_PASSED, "%s %s", what, crash_why());
}

int main(void)
{
    static const size_t lengths[] = { 100, 3000, 50000, 300000 };
    char what[100];
    enum crash_end end = CRASH_PASSED;

    sh = crash_shared(sizeof *sh);
    crash_host_manual(&manual, &sh->clock);
    (void)snprintf(disk, sizeof disk, "%s/disk", crash_dir());
    (void)snprintf(url, sizeof url, "lmdb://%s/store", disk);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        size_t len = lengths[i];

        (void)snprintf(what, sizeof what, "a full disk, records of %zu bytes", len);
        report(crash_run(full_disk, &len), what);
    }
    tap_diag("closed and opened %u times", sh->reopened);
    for (size_t pages = 0; pages < 60 && end == CRASH_PASSED; pages++) {
        end = crash_run(create_with, &pages);
        if (end != CRASH_PASSED && end != CRASH_SKIPPED)
            tap_diag("with %zu free pages: %s", pages, crash_why());
    }
    report(end, "a new store on a disk with 0 to 59 free pages");
    tap_diag("made %u times, refused %u times", sh->created, sh->refused);

    (void)snprintf(url, sizeof url, "lmdb://%s/map?map_size=1MiB", crash_dir());
    report(crash_run(full_map, url), "a full map of 1 MiB");
    tap_diag("records that fitted, cycle by cycle: %u %u %u %u %u %u", sh->fitted[0], sh->fitted[1],
             sh->fitted[2], sh->fitted[3], sh->fitted[4], sh->fitted[5]);
    (void)snprintf(url, sizeof url, "lmdb://%s/map4?map_size=4MiB", crash_dir());
    report(crash_run(full_map, url), "a full map of 4 MiB");
    return tap_end();
}
