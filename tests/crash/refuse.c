/*
 * refuse.c - what an LMDB store must refuse, in one clear sentence; and what damage must not spread
 *
 * Permissions, other pid and time namespaces, use after fork, network file systems, foreign and
 * older and newer data, and records that cannot be understood.
 */
#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>

#include "client.h"

#ifndef CLONE_NEWTIME
#    define CLONE_NEWTIME 0x80
#endif

static char base[4200]; /* path of the URL */
static char dir[4400];  /* of the namespace */
static char url[4300];
static struct shared {
    _Atomic int phase;
    char message[KEDGE_ERRMSG_MAX];
    unsigned places;
} * sh;

static void report(enum crash_end end, const char *what)
{
    if (end == CRASH_SKIPPED)
        tap_skip(crash_why(), "%s", what);
    else if (tap_ok(end == CRASH_PASSED, "%s %s", what, crash_why()) && sh->message[0] != '\0')
        tap_diag("says: %s", sh->message);
    sh->message[0] = '\0';
}

/* One sentence that says what is wrong with what. */
static void expect_refusal(struct client *c, int rc, int want, const char *word, const char *what)
{
    size_t len = strlen(c->err.msg);

    client_expect(c, rc, want, what);
    CRASH_CHECK(c->err.code == want, "%s: the error's code is %d", what, c->err.code);
    if (word != NULL)
        client_expect_word(c, word, what);
    CRASH_CHECK(len > 10 && strchr(c->err.msg, '\n') == NULL && c->err.msg[len - 1] != '.',
                "%s: not one sentence in the style of the others: %s", what, c->err.msg);
    (void)snprintf(sh->message, sizeof sh->message, "%s", c->err.msg);
}

static void make_store(void *ctx)
{
    struct client c = { .url = url };
    struct client_run run;

    (void)ctx;
    client_must_open(&c, KEDGE_OPEN_CREATE);
    client_expect(&c, client_grant(&c, 1, 600 * CRASH_SEC), KEDGE_OK, "lease_grant");
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = { "one", "two", "three" };

        client_expect(&c, client_create(&c, names[i], &run), KEDGE_OK, "create");
        for (uint64_t n = 1; n <= 3; n++)
            client_expect(&c, client_append(&c, &run, n, 50), KEDGE_OK, "append");
    }
    client_close(&c);
}

static bool fresh(void)
{
    crash_remove(base);
    return crash_run(make_store, NULL) == CRASH_PASSED;
}

/* ---------------------------------------------------------------- permissions */

static void become_nobody(void)
{
    if (geteuid() != 0)
        return; /* whoever is not root may lock himself out */
    if (setgroups(0, NULL) != 0 || setresgid(65534, 65534, 65534) != 0 ||
        setresuid(65534, 65534, 65534) != 0)
        crash_skip("cannot become nobody: errno %d", errno);
}

struct permission {
    const char *name;
    const char *file; /* below the namespace's directory; "": that itself */
    mode_t mode;
    uint32_t flags;
};

static void denied(void *ctx)
{
    const struct permission *p = ctx;
    struct client c = { .url = url };
    char path[5000];
    int rc;

    become_nobody();
    (void)snprintf(path, sizeof path, "%s/", dir);
    rc = client_open(&c, p->flags);
    expect_refusal(&c, rc, KEDGE_ERR_PERMISSION, base, p->name);
    CRASH_CHECK(strstr(c.err.msg, "must") != NULL, "no way out in: %s", c.err.msg);
}

static void allowed(void *ctx)
{
    struct client c = { .url = url };

    (void)ctx;
    become_nobody();
    client_must_open(&c, 0);
    client_close(&c);
}

static void open_for_all(void)
{
    static const char *const files[] = { "gate", "shared", "data.mdb", "lock.mdb", "leases" };
    char path[5000];

    (void)chmod(base, 0777);
    (void)chmod(dir, 0777);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        (void)chmod(path, i == 4 ? 0777 : 0666);
    }
}

static void permissions(void)
{
    static const struct permission cases[] = {
        { "a directory that cannot be entered", "", 0000, 0 },
        { "the same, with leave to create", "", 0000, KEDGE_OPEN_CREATE },
        { "a data file that cannot be written", "data.mdb", 0444, 0 },
        { "a data file that cannot be read", "data.mdb", 0000, 0 },
        { "a lock file that cannot be written", "lock.mdb", 0444, 0 },
        { "a shared page that cannot be written", "shared", 0444, 0 },
        { "a gate that cannot be written", "gate", 0444, 0 },
    };
    struct permission missing = { "a read-only directory without a lock file", "", 0555, 0 };
    char path[5000];

    if (!fresh()) {
        (void)tap_ok(false, "set up: %s", crash_why());
        return;
    }
    open_for_all();
    report(crash_run(allowed, NULL), "a store that is open for all can be opened by others");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct permission p = cases[i];

        open_for_all();
        (void)snprintf(path, sizeof path, "%s%s%s", dir, p.file[0] != '\0' ? "/" : "", p.file);
        (void)chmod(path, p.mode);
        report(crash_run(denied, &p), p.name);
        (void)chmod(path, 0777);
    }
    open_for_all();
    (void)snprintf(path, sizeof path, "%s/lock.mdb", dir);
    (void)unlink(path);
    (void)chmod(dir, 0555);
    report(crash_run(denied, &missing), missing.name);
    (void)chmod(dir, 0777);
    crash_remove(base);
    (void)mkdir(base, 0555);
    missing.name = "a new store in a read-only directory";
    missing.flags = KEDGE_OPEN_CREATE;
    report(crash_run(denied, &missing), missing.name);
}

/* ------------------------------------------------------------------ namespaces */

static void keeper(void *ctx)
{
    struct client c = { .url = url };

    (void)ctx;
    client_must_open(&c, 0);
    atomic_store(&sh->phase, 1);
    while (atomic_load(&sh->phase) != 2)
        crash_sleep_us(1000);
    client_close(&c);
}

static void open_elsewhere(void *ctx)
{
    const char *word = ctx;
    struct client c = { .url = url };
    int rc = client_open(&c, 0);

    if (word == NULL)
        client_expect(&c, rc, KEDGE_OK, "store_open with nobody else there");
    else
        expect_refusal(&c, rc, KEDGE_ERR_INVALID, word, "store_open in another namespace");
    client_close(&c);
}

struct elsewhere {
    int flag;
    char word[40]; /* "": nobody is there, it may be opened */
};

static void unshared(void *ctx)
{
    struct elsewhere *e = ctx;
    enum crash_end end;

    if (unshare(e->flag) != 0 && (errno != EPERM || unshare(CLONE_NEWUSER | e->flag) != 0))
        crash_skip("no namespace of that kind: errno %d", errno);
    end = crash_run(open_elsewhere, e->word[0] != '\0' ? e->word : NULL);
    if (end != CRASH_PASSED)
        crash_fail("%s", end == CRASH_FAILED ? sh->message : crash_end_name(end));
}

static void namespaces(void)
{
    struct elsewhere kinds[] = { { CLONE_NEWPID, "pid namespace" },
                                 { CLONE_NEWTIME, "time namespace" } };
    pid_t pid;

    if (!fresh())
        return;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        char what[100];
        struct elsewhere alone = { kinds[i].flag, "" };

        atomic_store(&sh->phase, 0);
        pid = crash_start(keeper, NULL);
        while (atomic_load(&sh->phase) != 1)
            crash_sleep_us(1000);
        (void)snprintf(what, sizeof what, "open in another %s", kinds[i].word);
        report(crash_run(unshared, &kinds[i]), what);
        atomic_store(&sh->phase, 2);
        (void)crash_wait(pid, 10);
        (void)snprintf(what, sizeof what, "not open: another %s may have it", kinds[i].word);
        report(crash_run(unshared, &alone), what);
    }
}

/* ------------------------------------------------------------------------ fork */

#define TRY(call)                                                                                  \
    do {                                                                                           \
        c->err.code = 0;                                                                           \
        c->err.msg[0] = '\0';                                                                      \
        expect_refusal(c, c->ops->call, KEDGE_ERR_INVALID, "fork", #call);                         \
    } while (0)

/* Every operation, in a child of the process that opened the store. */
static void after_fork(void *ctx)
{
    struct client *c = ctx;
    struct kedge_bytes name = crash_text("one");
    struct kedge_bytes none = { NULL, 0 };
    const struct kedge_serve serve = { crash_text("q"), crash_text("client"), 1, 1 };
    struct kedge_id128 id = crash_id("fork", 1);
    struct kedge_lease_new lease = { .id = id, .request = id, .ttl_us = CRASH_SEC };
    struct kedge_claim claim = {
        .request = id, .lease = c->lease, .serves = &serve, .n_serves = 1, .limit = 1
    };
    struct kedge_change change = { .kind = KEDGE_WAKE, .name = name };
    struct kedge_commit commit = { .request = id, .changes = &change, .n_changes = 1 };
    struct kedge_retrieve retrieve = { .id = name };
    struct kedge_list list = { .limit = 1 };
    struct kedge_answer answer;
    union {
        struct kedge_info info;
        struct kedge_time time;
        struct kedge_lease_state lease;
        struct kedge_lease_page leases;
        struct kedge_held_page held;
        struct kedge_lock_state lock;
        struct kedge_run_page runs;
        struct kedge_run_state run;
        struct kedge_record_page records;
        struct kedge_slot_page slots;
        struct kedge_cell cell;
        struct kedge_purged purged;
        struct kedge_verified verified;
        uint64_t ticket;
    } out;
    void *session = NULL;
    int64_t t = CRASH_SEC;
    int rc;

    memset(&out, 0, sizeof out);
    TRY(session_open(c->store, &session, &c->err));
    TRY(info(c->session, &out.info, t, &c->err));
    TRY(now(c->session, &out.time, t, &c->err));
    TRY(lease_grant(c->session, &lease, &out.lease, t, &c->err));
    TRY(lease_extend(c->session, &c->lease, &out.lease, t, &c->err));
    TRY(lease_revoke(c->session, &c->lease, t, &c->err));
    TRY(lease_bury(c->session, &c->lease, t, &c->err));
    TRY(lease_list(c->session, none, 1, &out.leases, t, &c->err));
    TRY(list_held(c->session, &c->lease, none, 1, &out.held, t, &c->err));
    TRY(lock_acquire(c->session, name, &c->lease, &id, &out.lock, t, &c->err));
    TRY(lock_extend(c->session, name, &c->lease, 1, &out.lock, t, &c->err));
    TRY(lock_release(c->session, name, &c->lease, 1, t, &c->err));
    TRY(lock_query(c->session, name, &out.lock, t, &c->err));
    rc = client_send(c, &commit, &answer);
    expect_refusal(c, rc, KEDGE_ERR_INVALID, "fork", "commit");
    TRY(claim(c->session, &claim, &out.runs, t, &c->err));
    TRY(retrieve(c->session, &retrieve, &out.run, t, &c->err));
    TRY(retrieve_records(c->session, name, 0, 1, 1, 1, &out.records, t, &c->err));
    TRY(retrieve_slots(c->session, name, 0, 0, 0, 1, &out.slots, t, &c->err));
    TRY(list_expired(c->session, none, 1, &out.runs, t, &c->err));
    TRY(list(c->session, &list, &out.runs, t, &c->err));
    TRY(cell_get(c->session, name, &out.cell, t, &c->err));
    TRY(purge(c->session, 1, &out.purged, t, &c->err));
    TRY(verify(c->session, &out.verified, t, &c->err));
    TRY(wait(c->session, 0, &out.ticket, t, &c->err));
    TRY(notify(c->session, &c->err));
    client_close(c);
    /* And it may open the store for itself. */
    client_must_open(c, 0);
    client_close(c);
}

/* Seen from a third process: is the parent's lease still held by somebody alive? */
static void hint_is_present(void *ctx)
{
    struct client c = { .url = url };
    const struct kedge_id128 *lease = ctx;
    struct kedge_lease_page page = { 0 };
    struct kedge_bytes none = { NULL, 0 };
    bool seen = false;
    int rc;

    client_must_open(&c, 0);
    rc = c.ops->lease_list(c.session, none, 100, &page, CRASH_TIMEOUT, &c.err);
    client_expect(&c, rc, KEDGE_OK, "lease_list");
    for (size_t i = 0; i < page.n; i++)
        if (memcmp(page.leases[i].id.b, lease->b, sizeof lease->b) == 0) {
            CRASH_CHECK(page.leases[i].hint == KEDGE_HINT_PRESENT, "the hint is %u",
                        page.leases[i].hint);
            seen = true;
        }
    CRASH_CHECK(seen, "the lease is not listed");
    kedge_mem_free(c.host, page.mem);
    rc = c.ops->lease_bury(c.session, lease, CRASH_TIMEOUT, &c.err);
    client_expect(&c, rc, KEDGE_HELD, "lease_bury");
    client_close(&c);
}

static void forking_parent(void *ctx)
{
    struct client c = { .url = url };
    struct client_run run;
    enum crash_end end;

    (void)ctx;
    client_must_open(&c, 0);
    client_expect(&c, client_grant(&c, 50, 600 * CRASH_SEC), KEDGE_OK, "lease_grant");
    client_expect(&c, client_create(&c, "forked", &run), KEDGE_OK, "create");
    client_expect(&c, client_append(&c, &run, 1, 10), KEDGE_OK, "append");
    end = crash_run(after_fork, &c);
    CRASH_CHECK(end == CRASH_PASSED, "in the child: %s: %s", crash_end_name(end),
                end == CRASH_FAILED ? "see below" : "");
    client_expect(&c, client_append(&c, &run, 2, 10), KEDGE_OK, "append after the child's end");
    client_check(&c, &run, 1);
    atomic_store(&sh->phase, 1);
    while (atomic_load(&sh->phase) != 2)
        crash_sleep_us(1000);
    client_expect(&c, client_append(&c, &run, 3, 10), KEDGE_OK, "append at the end");
    CRASH_CHECK(crash_verify(c.ops, c.host, c.session) == NULL, "verify");
    client_close(&c);
}

static void forks(void)
{
    struct kedge_id128 lease = crash_id("lease", 50);
    int64_t end = crash_now_us() + 20 * CRASH_SEC;
    pid_t pid;

    if (!fresh())
        return;
    atomic_store(&sh->phase, 0);
    pid = crash_start(forking_parent, NULL);
    while (atomic_load(&sh->phase) != 1 && crash_now_us() < end && kill(pid, 0) == 0) {
        siginfo_t info = { 0 };

        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0)
            break;
        crash_sleep_us(1000);
    }
    if (atomic_load(&sh->phase) == 1) {
        sh->message[0] = '\0';
        report(crash_run(hint_is_present, &lease), "a child's closing does not touch the hint");
    }
    atomic_store(&sh->phase, 2);
    report(crash_wait(pid, 20), "after fork the child is refused, and the parent unharmed");
}

/* ------------------------------------------------------------- file systems, data */

/* The seam in front of statfs(2); absent where the backend is a module. */
extern int (*kedge_lmdb_statfs)(int fd, struct statfs *out) __attribute__((weak));
static long magic;

static int other_fs(int fd, struct statfs *out)
{
    int rc = fstatfs(fd, out);

    out->f_type = magic;
    return rc;
}

struct fs {
    long magic;
    const char *word; /* NULL: fine */
};

static void on_fs(void *ctx)
{
    const struct fs *fs = ctx;
    struct client c = { .url = url };
    int rc;

    if (&kedge_lmdb_statfs == NULL)
        crash_skip("the backend is a module");
    magic = fs->magic;
    kedge_lmdb_statfs = other_fs;
    rc = client_open(&c, KEDGE_OPEN_CREATE);
    if (fs->word == NULL)
        client_expect(&c, rc, KEDGE_OK, "store_open");
    else
        expect_refusal(&c, rc, KEDGE_ERR_INVALID, fs->word, "store_open");
    client_close(&c);
}

/* Open the environment with LMDB alone; nobody else has it open. */
static MDB_env *raw_open(void)
{
    MDB_env *env = NULL;

    CRASH_CHECK(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 64) == 0 &&
                    mdb_env_set_mapsize(env, (size_t)64 << 20) == 0 &&
                    mdb_env_open(env, dir, MDB_NOTLS, 0666) == 0,
                "cannot open the environment");
    return env;
}

static void set_schema(void *ctx)
{
    unsigned char version[4] = { 0, 0, 0, *(const unsigned char *)ctx };
    MDB_env *env = raw_open();
    static char name[] = "schema";
    MDB_val key = { 6, name };
    MDB_val value = { sizeof version, version };
    MDB_txn *txn;
    MDB_dbi dbi;

    CRASH_CHECK(mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, "meta", 0, &dbi) == 0 &&
                    mdb_put(txn, dbi, &key, &value, 0) == 0 && mdb_txn_commit(txn) == 0,
                "cannot change the schema");
    mdb_env_close(env);
}

struct opening {
    uint32_t flags;
    int want;
};

static void open_answers(void *ctx)
{
    const struct opening *o = ctx;
    struct client c = { .url = url };

    expect_refusal(&c, client_open(&c, o->flags), o->want, dir, "store_open");
}

static void foreign(void *ctx)
{
    MDB_env *env;
    static char text[] = "anything";
    MDB_val key = { 3, text };
    MDB_val value = { 5, text };
    MDB_txn *txn;
    MDB_dbi dbi;

    (void)ctx;
    (void)mkdir(base, 0777);
    (void)mkdir(dir, 0777);
    env = raw_open();
    CRASH_CHECK(mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, NULL, 0, &dbi) == 0 &&
                    mdb_put(txn, dbi, &key, &value, 0) == 0 && mdb_txn_commit(txn) == 0,
                "cannot write");
    mdb_env_close(env);
}

static void garbage(void *ctx)
{
    char path[5000];
    char text[9000];
    FILE *f;

    (void)ctx;
    (void)mkdir(base, 0777);
    (void)mkdir(dir, 0777);
    memset(text, 'x', sizeof text);
    (void)snprintf(path, sizeof path, "%s/data.mdb", dir);
    f = fopen(path, "we");
    CRASH_CHECK(f != NULL && fwrite(text, sizeof text, 1, f) == 1 && fclose(f) == 0, "garbage");
}

static void schemas(void)
{
    static const struct {
        unsigned char version;
        int want;
        const char *name;
    } versions[] = { { 0, KEDGE_ERR_SCHEMA_OLD, "the schema of an older kedge" },
                     { 200, KEDGE_ERR_SCHEMA_NEW, "the schema of a newer kedge" } };
    struct opening o = { 0, KEDGE_ERR_SCHEMA_MISSING };

    crash_remove(base);
    report(crash_run(open_answers, &o), "no directory");
    (void)mkdir(base, 0777);
    (void)mkdir(dir, 0777);
    report(crash_run(open_answers, &o), "an empty directory");
    (void)tap_ok(rmdir(dir) == 0, "it is left as it was");
    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        unsigned char version = versions[i].version;

        if (!fresh() || crash_run(set_schema, &version) != CRASH_PASSED) {
            (void)tap_ok(false, "set up: %s", crash_why());
            continue;
        }
        o = (struct opening){ 0, versions[i].want };
        report(crash_run(open_answers, &o), versions[i].name);
        o.flags = KEDGE_OPEN_CREATE;
        report(crash_run(open_answers, &o), "the same, with leave to create");
    }
    crash_remove(base);
    (void)crash_run(foreign, NULL);
    o = (struct opening){ KEDGE_OPEN_CREATE, KEDGE_ERR_INVALID };
    report(crash_run(open_answers, &o), "another program's LMDB environment");
    crash_remove(base);
    (void)crash_run(garbage, NULL);
    o.want = KEDGE_ERR_CORRUPT;
    report(crash_run(open_answers, &o), "a data file that is none");
}

/* --------------------------------------------------------------------- corruption */

struct flip {
    const char *table; /* NULL: the unnamed one, which holds the journal */
    unsigned row;      /* in the order of keys */
    unsigned place;    /* byte of the value */
    bool past;         /* out: there is no such byte */
    unsigned char kept[400];
    size_t len;
};

static struct flip *flip; /* shared */

/* Visit the row: change a byte (CTX NULL), or compare it with what was left there. */
static void touch(void *ctx)
{
    MDB_env *env = raw_open();
    MDB_cursor *cursor;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key, value;
    int rc;

    CRASH_CHECK(mdb_txn_begin(env, NULL, 0, &txn) == 0 &&
                    mdb_dbi_open(txn, flip->table, 0, &dbi) == 0 &&
                    mdb_cursor_open(txn, dbi, &cursor) == 0,
                "no table %s", flip->table != NULL ? flip->table : "");
    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    for (unsigned i = 0; i < flip->row && rc == 0; i++)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    CRASH_CHECK(rc == 0 && value.mv_size <= sizeof flip->kept, "no row %u", flip->row);
    if (ctx != NULL) {
        CRASH_CHECK(value.mv_size == flip->len && memcmp(value.mv_data, flip->kept, flip->len) == 0,
                    "the bytes of the damaged row were changed");
    } else {
        flip->len = value.mv_size;
        flip->past = flip->place >= flip->len;
        memcpy(flip->kept, value.mv_data, flip->len);
        if (!flip->past)
            flip->kept[flip->place] ^= 0x15;
        value.mv_data = flip->kept;
        CRASH_CHECK(mdb_cursor_put(cursor, &key, &value, MDB_CURRENT) == 0, "mdb_cursor_put");
    }
    mdb_cursor_close(cursor);
    CRASH_CHECK(mdb_txn_commit(txn) == 0, "mdb_txn_commit");
    mdb_env_close(env);
}

/* All runs are listed; the damaged one as stuck, or as it is. */
static size_t list_all(struct client *c, size_t *stuck)
{
    struct kedge_list in = { .limit = 2 };
    char keep[2048];
    size_t n = 0;

    *stuck = 0;
    do {
        struct kedge_run_page page = { 0 };
        int rc = c->ops->list(c->session, &in, &page, CRASH_TIMEOUT, &c->err);

        client_expect(c, rc, KEDGE_OK, "list");
        for (size_t i = 0; i < page.n; i++, n++)
            *stuck += page.runs[i].status == KEDGE_STUCK;
        in.cursor.len = page.next.len <= sizeof keep ? page.next.len : sizeof keep;
        if (in.cursor.len != 0)
            memcpy(keep, page.next.data, in.cursor.len);
        in.cursor.data = keep;
        kedge_mem_free(c->host, page.mem);
    } while (in.cursor.len != 0);
    return n;
}

static int head_of(struct client *c, const char *name, uint32_t want, struct client_run *run)
{
    struct kedge_retrieve in = { .id = crash_text(name), .want = want };
    struct kedge_run_state state = { 0 };
    int rc = c->ops->retrieve(c->session, &in, &state, CRASH_TIMEOUT, &c->err);

    if (rc == KEDGE_OK) {
        *run =
            (struct client_run){ name, state.run.incarnation, state.run.fence, state.run.position };
        kedge_mem_free(c->host, state.mem);
    }
    return rc;
}

static void check_faults(struct client *c)
{
    struct kedge_verified v = { 0 };
    int rc = c->ops->verify(c->session, &v, CRASH_TIMEOUT, &c->err);

    client_expect(c, rc, KEDGE_OK, "verify");
    CRASH_CHECK(v.faults != 0 && v.first[0] != '\0', "verify finds nothing");
    kedge_mem_free(c->host, v.mem);
}

/* The head of "one" is damaged. */
static void bad_head(void *ctx)
{
    struct client c = { .url = url, .lease = crash_id("lease", 1) };
    struct client_run run, bad;
    size_t stuck;
    int rc;

    (void)ctx;
    client_must_open(&c, 0);
    rc = head_of(&c, "one", KEDGE_WANT_TAIL, &bad);
    expect_refusal(&c, rc, KEDGE_ERR_CORRUPT, NULL, "retrieve of the damaged run");
    CRASH_CHECK(list_all(&c, &stuck) == 3 && stuck == 1, "the list is not whole");
    client_expect(&c, head_of(&c, "two", KEDGE_WANT_TAIL, &run), KEDGE_OK, "retrieve of another");
    client_expect(&c, client_append(&c, &run, 4, 50), KEDGE_OK, "append to another");
    client_check(&c, &run, 1);
    bad = (struct client_run){ "one", 0, run.fence, 3 };
    client_expect(&c, client_append(&c, &bad, 4, 50), KEDGE_ERR_CORRUPT,
                  "append to the damaged run");
    check_faults(&c);
    client_close(&c);
}

/* A record of "one" is damaged. */
static void bad_record(void *ctx)
{
    struct client c = { .url = url, .lease = crash_id("lease", 1) };
    struct kedge_record_page page = { 0 };
    struct client_run run;
    size_t stuck;
    int rc;

    (void)ctx;
    client_must_open(&c, 0);
    rc = head_of(&c, "one", KEDGE_WANT_TAIL, &run);
    expect_refusal(&c, rc, KEDGE_ERR_CORRUPT, NULL, "retrieve of the damaged journal");
    rc = c.ops->retrieve_records(c.session, crash_text("one"), 0, 1, 10, 100000, &page,
                                 CRASH_TIMEOUT, &c.err);
    expect_refusal(&c, rc, KEDGE_ERR_CORRUPT, NULL, "retrieve_records of the damaged journal");
    rc = c.ops->retrieve_records(c.session, crash_text("one"), 0, 3, 1, 100000, &page,
                                 CRASH_TIMEOUT, &c.err);
    client_expect(&c, rc, KEDGE_OK, "retrieve_records past the damaged record");
    CRASH_CHECK(page.n == 1 && page.records[0].number == 3, "another record");
    kedge_mem_free(c.host, page.mem);
    CRASH_CHECK(list_all(&c, &stuck) == 3, "the list is not whole");
    client_expect(&c, head_of(&c, "two", KEDGE_WANT_TAIL, &run), KEDGE_OK, "retrieve of another");
    client_expect(&c, client_append(&c, &run, 4, 50), KEDGE_OK, "append to another");
    client_check(&c, &run, 1);
    check_faults(&c);
    client_close(&c);
}

/* A record of `recent' cannot be found, so nothing there can be removed: all others go on. */
static void bad_oldest(void *ctx)
{
    struct client c = { .url = url, .lease = crash_id("lease", 1) };
    struct client_run two, three;

    (void)ctx;
    client_must_open(&c, 0);
    client_expect(&c, head_of(&c, "two", 0, &two), KEDGE_OK, "retrieve of another");
    client_expect(&c, head_of(&c, "three", 0, &three), KEDGE_OK, "retrieve of a third");
    for (uint64_t n = 4; n <= 200; n++) {
        client_expect(&c, client_append(&c, &two, n, 50), KEDGE_OK, "append to another");
        client_expect(&c, client_append(&c, &three, n, 50), KEDGE_OK, "append to a third");
    }
    client_check(&c, &two, 1);
    client_check(&c, &three, 1);
    check_faults(&c);
    client_close(&c);
}

static void count_recent(void *ctx)
{
    MDB_env *env = raw_open();
    MDB_txn *txn;
    MDB_stat st;
    MDB_dbi dbi;

    (void)ctx;
    CRASH_CHECK(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0 &&
                    mdb_dbi_open(txn, "recent", 0, &dbi) == 0 && mdb_stat(txn, dbi, &st) == 0,
                "cannot count");
    CRASH_CHECK(st.ms_entries >= 100 && st.ms_entries <= 130, "`recent' has %zu values",
                (size_t)st.ms_entries);
    mdb_txn_abort(txn);
    mdb_env_close(env);
}

/* Whatever this row is: no operation crashes, and none answers wrongly that all is well. */
static void bad_other(void *ctx)
{
    struct client c = { .url = url, .lease = crash_id("lease", 1) };
    struct kedge_lease_page leases = { 0 };
    struct kedge_lease_state state;
    struct kedge_bytes none = { NULL, 0 };
    struct kedge_verified v = { 0 };
    struct client_run run, new;
    size_t stuck;
    int rc;

    (void)ctx;
    rc = client_open(&c, 0);
    CRASH_CHECK(rc == KEDGE_OK || rc == KEDGE_ERR_CORRUPT || rc == KEDGE_ERR_SCHEMA_OLD ||
                    rc == KEDGE_ERR_SCHEMA_NEW,
                "store_open: %s: %s", kedge_status_name(rc), c.err.msg);
    if (rc != KEDGE_OK)
        return;
    rc = c.ops->lease_list(c.session, none, 10, &leases, CRASH_TIMEOUT, &c.err);
    if (rc == KEDGE_OK)
        kedge_mem_free(c.host, leases.mem);
    (void)c.ops->lease_extend(c.session, &c.lease, &state, CRASH_TIMEOUT, &c.err);
    (void)list_all(&c, &stuck);
    if (head_of(&c, "two", KEDGE_WANT_TAIL, &run) == KEDGE_OK)
        (void)client_append(&c, &run, 4, 50);
    (void)client_create(&c, "new", &new);
    rc = c.ops->verify(c.session, &v, CRASH_TIMEOUT, &c.err);
    CRASH_CHECK(rc == KEDGE_OK || rc == KEDGE_ERR_CORRUPT, "verify: %s", c.err.msg);
    if (rc == KEDGE_OK)
        kedge_mem_free(c.host, v.mem);
    client_close(&c);
}

/* Damage one byte after the other of a row. */
static void damage(const char *table, unsigned row, void (*look)(void *ctx), bool kept,
                   unsigned stride, const char *what)
{
    bool ok = true;
    unsigned n = 0;

    for (unsigned place = 0; ok; place += stride) {
        enum crash_end end;

        if (!fresh())
            break;
        *flip = (struct flip){ .table = table, .row = row, .place = place };
        end = crash_run(touch, NULL);
        if (flip->past)
            break;
        if (end == CRASH_PASSED)
            end = crash_run(look, NULL);
        if (end == CRASH_PASSED && kept)
            end = crash_run(touch, flip);
        if (end != CRASH_PASSED) {
            tap_diag("byte %u of row %u of %s: %s: %s", place, row,
                     table != NULL ? table : "the journal", crash_end_name(end), crash_why());
            ok = false;
        }
        n++;
    }
    (void)tap_ok(ok && n > 0, "%s, each of %u bytes", what, n);
    sh->message[0] = '\0';
}

/* Bytes of whose record it is, which, how long, where the one before is, and of itself. */
static void unmovable(void)
{
    static const unsigned places[] = { 7, 11, 15, 23, 27, 40 };

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        bool ok = fresh();

        *flip = (struct flip){ .table = "recent", .row = 1, .place = places[i] };
        ok = ok && crash_run(touch, NULL) == CRASH_PASSED &&
             crash_run(bad_oldest, NULL) == CRASH_PASSED &&
             crash_run(touch, flip) == CRASH_PASSED &&
             crash_run(count_recent, NULL) == CRASH_PASSED;
        (void)tap_ok(ok, "a record that cannot get to its place, byte %u: %s", places[i],
                     ok ? "all others do" : crash_why());
    }
}

int main(void)
{
    static const struct fs file_systems[] = {
        { 0x6969, "NFS" }, { 0xFE534D42, "SMB" }, { 0x794c7630, NULL }, { 0xEF53, NULL }
    };
    unsigned stride = crash_long() ? 1 : 5;

    sh = crash_shared(sizeof *sh);
    flip = crash_shared(sizeof *flip);
    (void)chmod(crash_dir(), 0755);
    (void)snprintf(base, sizeof base, "%s/store", crash_dir());
    (void)snprintf(dir, sizeof dir, "%s/%s", base, CLIENT_NS);
    (void)snprintf(url, sizeof url, "lmdb://%s", base);

    permissions();
    namespaces();
    forks();
    crash_remove(base);
    for (size_t i = 0; i < ARRAY_LEN(file_systems); i++) {
        struct fs fs = file_systems[i];
        char what[100];

        (void)snprintf(what, sizeof what, "file system 0x%lx is %s", (unsigned long)fs.magic,
                       fs.word != NULL ? "refused" : "taken");
        report(crash_run(on_fs, &fs), what);
    }
    schemas();
    damage("heads", 0, bad_head, true, stride, "a damaged head");
    damage(NULL, 1, bad_record, true, stride, "a damaged record");
    damage("leases", 0, bad_other, false, stride, "a damaged lease");
    damage("meta", 0, bad_other, false, stride, "a damaged number");
    damage("meta", 1, bad_other, false, stride, "a damaged schema");
    damage("ids", 0, bad_other, false, stride, "a damaged name");
    damage("names", 0, bad_other, false, stride, "a damaged queue or reactor");

    (void)snprintf(url, sizeof url, "lmdb://%s?gather=1", base);
    damage("tails", 0, bad_head, true, stride, "a damaged row of `tails'");
    damage("recent", 1, bad_record, true, stride, "a damaged record of `recent'");
    unmovable();
    return tap_end();
}
