/*
 * world.h - what a case of the suite works with
 *
 * Every case gets a process and an empty namespace of its own, and time that it moves itself.
 * Words here are those of <kedge/backend.h>; what a case wants to say stands in the case:
 *
 *   struct kedge_id128 lease = lease_make(w, TTL);
 *   struct run r = run_held(w, str("a"), lease);
 *   struct tx *t = tx_new(w);
 *
 *   g_held(t, &r);
 *   c_append(t, r.id, 1, str("step one"));
 *   expect_tx(t, KEDGE_OK);             done
 *   g_held(t, &r)...
 *   refuse_tx(t, KEDGE_STALE, 0);       refused by part 0, and nothing at all has changed
 *
 * A check that fails prints what was expected and what came, and ends the process.
 */
#ifndef KEDGE_CONFORM_WORLD_H
#define KEDGE_CONFORM_WORLD_H

#include <stdbool.h>
#include <stdio.h>

#include <kedge/backend.h>

#define MS(n)  ((int64_t)(n)*1000)
#define SEC(n) ((int64_t)(n)*1000000)
#define TTL    SEC(30)
/* timeout_us of every call that is not about timeouts. */
#define PATIENCE SEC(20)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0])) /* NOLINT(bugprone-sizeof-expression) */

#if defined(__GNUC__)
#    define WORLD_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#    define WORLD_PRINTF(fmt, args)
#endif

/* What a case's process exits with.  Anything else, 0 as well, is no word of the suite's. */
#define CASE_EXIT_FAIL         75
#define CASE_EXIT_PASS         76
#define CASE_EXIT_SKIP         77
#define CASE_EXIT_INCONCLUSIVE 78
#define CASE_EXIT_NA           79

struct tx;
struct registry;

struct world {
    const struct kedge_backend_ops *ops;
    const char *backend;
    const struct kedge_host *host;
    struct kedge_open open; /* of this case's namespace */
    const char *place;      /* where the store is: its URL, with {} still in it */
    char url[1024];
    const char *options;
    char ns[64];
    void *store;
    void *session;
    struct kedge_limits limits; /* as info() reports them */
    uint32_t durability;
    uint64_t caps;
    uint64_t seed;
    uint64_t rng;
    uint64_t answers;          /* all that was answered so far, as one number */
    struct kedge_error err;    /* of the last call */
    struct kedge_mem *keep;    /* what calls handed out, until world_forget */
    struct tx *txs;            /* what tx_new made, until world_forget */
    struct registry *registry; /* names the dump looks up; NULL in threads */
};

/* --------------------------------------------------------------- the case's life */

/* Open W over URL, with {} in it replaced by TAG; the namespace is TAG. */
void world_open(struct world *w, const char *backend, const struct kedge_backend_ops *ops,
                const char *url, const char *tag, uint64_t seed);
/* Namespaces were there before their cases, and stay. */
extern bool world_keeps;
/* The backend's options, beside the URL; NULL: none. */
extern const char *world_options;
/* There is time for what takes long: the last tier. */
extern bool world_thorough;
/* URL, with {} in it replaced by TAG; false: there is no room. */
bool world_url(char *out, size_t room, const char *url, const char *tag);
/* Remove what a case that died left behind; false: it is still there. */
bool world_drop(const struct kedge_backend_ops *ops, const char *url, const char *tag);
/* Check that all is sound, close, drop. */
void world_close(struct world *w);
/* Remove W's namespace, once those who were killed with it open have gone. */
int world_store_drop(struct world *w);
/* Close and open again, as another process would. */
void world_reopen(struct world *w);
/* The two halves of that: in between, this process has nothing open. */
void world_leave(struct world *w);
void world_return(struct world *w);
/*
 * In a process forked from W's: MINE is W with handles of its own (world_close_own).  SALT tells
 * processes apart.
 */
void world_process_enter(const struct world *w, struct world *mine, uint64_t salt);
/* OPEN, for the namespace TAG of W's store, whose URL is written to ROOM. */
void world_place(const struct world *w, const char *tag, struct kedge_open *open, char room[1024]);
/* Free what calls and builders handed out so far. */
void world_forget(struct world *w);
/*
 * In a child process: a store of its own, on the same namespace.  W is a copy, whose inherited
 * handles must not be used.
 */
void world_open_own(struct world *w);
void world_close_own(struct world *w);
/* A session of its own for a thread: MINE is a copy to be used there.  SALT tells threads apart. */
void world_thread_enter(const struct world *w, struct world *mine, uint64_t salt);
void world_thread_leave(struct world *mine);
/* One more number into a digest. */
void digest(uint64_t *sum, uint64_t number);
/* Every run is in exactly one place, and verify, where there is one, finds no fault. */
void world_check(struct world *w);

_Noreturn void fail_case(const char *file, int line, const char *fmt, ...) WORLD_PRINTF(3, 4);
/* This machine cannot ask. */
_Noreturn void skip_case(const char *fmt, ...) WORLD_PRINTF(1, 2);
/* The backend does not promise it. */
_Noreturn void not_applicable(const char *fmt, ...) WORLD_PRINTF(1, 2);
/* It was asked and there was no answer: the fault never struck, the search was given up. */
_Noreturn void inconclusive_case(const char *fmt, ...) WORLD_PRINTF(1, 2);
void note(const char *fmt, ...) WORLD_PRINTF(1, 2);
/* What is being done, printed with a failure; NULL: nothing.  FMT's text is copied. */
void context(const char *fmt, ...) WORLD_PRINTF(1, 2);

uint64_t random_u64(struct world *w);
/* A sequence of its own for each SALT that is not 0: no id is made twice. */
void world_salt(struct world *w, uint64_t salt);
/* 0 .. n - 1 */
uint32_t random_below(struct world *w, uint32_t n);
struct kedge_id128 random_id(struct world *w);

/* --------------------------------------------------------------------- time */

/*
 * A server's clock can be moved only if KEDGE_TEST_CLOCK names the file that it takes it from;
 * NULL: it cannot, or it is no server.  It has one, and what is said of either moves both.
 */
const char *clock_of_server(const struct kedge_backend_ops *ops);
/* Time is what the case says it is: the store's clock does not run by itself. */
bool clock_stands(const struct world *w);
int64_t wall_now(void);
int64_t lease_now(void);
void clock_advance(int64_t us);   /* both clocks */
void clock_step_wall(int64_t us); /* one of them, also back */
void clock_step_lease(int64_t us);
void clock_set_wall(int64_t us);
/* From now on both clocks also run by themselves. */
void clock_follow(void);
/*
 * From now on a server's clock is nobody's but its own, and nothing else may be said of it; that of
 * a store without a server is the host's, and runs.
 */
void clock_real(void);
/*
 * Let the N-th allocation from now fail, once; 0: none.  Answers whether one failed since the last
 * call.
 */
bool alloc_fail_at(uint64_t n);
/* So many allocations of the host have not been given back. */
int64_t world_memory(void);
/* Real time for deadlines of polling and for measuring. */
int64_t real_us(void);
void pause_us(int64_t us);

static inline struct kedge_when never(void)
{
    return (struct kedge_when){ 0, KEDGE_NEVER, 0 };
}
static inline struct kedge_when at(int64_t us)
{
    return (struct kedge_when){ us, KEDGE_AT, 0 };
}
static inline struct kedge_when from_now(int64_t us)
{
    return (struct kedge_when){ us, KEDGE_IN, 0 };
}

/* -------------------------------------------------------------------- bytes */

static inline struct kedge_bytes str(const char *text)
{
    return (struct kedge_bytes){ text, strlen(text) };
}
static inline struct kedge_bytes bytes(const void *data, size_t len)
{
    return (struct kedge_bytes){ data, len };
}
static inline struct kedge_bytes none(void)
{
    return (struct kedge_bytes){ NULL, 0 };
}
/* N zeroed things of SIZE bytes, kept until world_forget. */
void *zeroed(struct world *w, size_t n, size_t size);
/* Text made now, kept until world_forget. */
struct kedge_bytes name(struct world *w, const char *fmt, ...) WORLD_PRINTF(2, 3);
/* SIZE bytes that depend on SALT, kept until world_forget. */
struct kedge_bytes blob(struct world *w, size_t size, uint64_t salt);
bool same_bytes(struct kedge_bytes a, struct kedge_bytes b);
bool same_id(const struct kedge_id128 *a, const struct kedge_id128 *b);
bool is_zero_id(const struct kedge_id128 *a);

/* ------------------------------------------------------------------- checks */

const char *status_name(int status);
void check_rc(const char *file, int line, const char *what, const struct world *w, int got,
              int want);
void check_eq(const char *file, int line, const char *what, int64_t got, int64_t want);
void check_bytes(const char *file, int line, const char *what, struct kedge_bytes got,
                 struct kedge_bytes want);

#define expect(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_case(__FILE__, __LINE__, "expected: %s", #condition);                             \
    } while (0)
#define expect_eq(got, want)    check_eq(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(want))
#define expect_bytes(got, want) check_bytes(__FILE__, __LINE__, #got, (got), (want))
/* CALL uses the world `w' and answers WANT. */
#define expect_rc(call, want) check_rc(__FILE__, __LINE__, #call, w, (call), (want))
#define expect_ok(call)       expect_rc(call, KEDGE_OK)
/* CALL answers WANT, and nothing that can be read has changed. */
#define refuse(call, want)                                                                         \
    do {                                                                                           \
        char *refuse_before_ = dump(w);                                                            \
                                                                                                   \
        check_rc(__FILE__, __LINE__, #call, w, (call), (want));                                    \
        check_unchanged(__FILE__, __LINE__, #call, w, refuse_before_);                             \
    } while (0)

/* All that the contract lets one see, as text; the caller frees it. */
char *dump(struct world *w);
/* The same for every store that went the same way: times since then, fences by their order, and
   nothing of what only has to rise. */
char *dump_since(struct world *w, int64_t wall, int64_t lease);
/* Fails, naming the first line that differs, unless a new dump is the same; frees BEFORE. */
void check_unchanged(const char *file, int line, const char *what, struct world *w, char *before);
bool differs(struct world *w, const char *before);
struct registry *registry_new(void); /* freed with free() */
/* The dump looks this up too. */
void dump_cell(struct world *w, struct kedge_bytes cell);
void dump_lock(struct world *w, struct kedge_bytes lock);

/* ------------------------------------------------------------------- commit */

#define TX_PARTS 48

struct tx {
    struct tx *next;
    struct world *w;
    struct kedge_commit c;
    struct kedge_answer answer;
    uint64_t results[TX_PARTS];
    struct kedge_guard guards[TX_PARTS];
    struct kedge_change changes[TX_PARTS];
    struct kedge_run_new news[TX_PARTS];  /* of changes[i] */
    struct kedge_bytes records[TX_PARTS]; /* likewise, when there is one record */
    bool one_record[TX_PARTS];
};

/* A run as its holder knows it. */
struct run {
    struct kedge_bytes id;
    struct kedge_id128 lease;
    uint64_t fence;
    uint64_t incarnation;
    uint64_t position;
};

void tx_init(struct world *w, struct tx *t); /* a new request id */
struct tx *tx_new(struct world *w);          /* lives until world_forget */
void tx_again(struct tx *t);                 /* empty it, with a new request id */
/* Guards and changes may be changed through what these answer. */
struct kedge_guard *g_held(struct tx *t, const struct run *r);
struct kedge_guard *g_held_by(struct tx *t, struct kedge_bytes id, struct kedge_id128 lease,
                              uint64_t fence);
struct kedge_guard *g_absent(struct tx *t, struct kedge_bytes id);
struct kedge_guard *g_unheld(struct tx *t, struct kedge_bytes id, uint32_t statuses,
                             uint64_t revision);
struct kedge_guard *g_position(struct tx *t, struct kedge_bytes id, uint64_t position);
struct kedge_guard *g_live(struct tx *t, struct kedge_id128 lease);
struct kedge_guard *g_dead(struct tx *t, struct kedge_id128 lease);
struct kedge_guard *g_lock(struct tx *t, struct kedge_bytes lock, struct kedge_id128 lease,
                           uint64_t fence);
struct kedge_guard *g_cell(struct tx *t, struct kedge_bytes cell, uint64_t version);
struct kedge_guard *g_time(struct tx *t, int64_t from, int64_t to);

struct kedge_run_new *c_create_due(struct tx *t, struct kedge_bytes id, struct kedge_when due);
struct kedge_run_new *c_create_held(struct tx *t, struct kedge_bytes id, struct kedge_id128 lease);
/* A child of P that fills slot SLOT of set SET. */
struct kedge_run_new *c_create_child(struct tx *t, struct kedge_bytes id, const struct run *p,
                                     uint32_t set, uint32_t slot);
struct kedge_change *c_take(struct tx *t, struct kedge_bytes id, struct kedge_id128 lease);
struct kedge_change *c_append(struct tx *t, struct kedge_bytes id, uint64_t first,
                              struct kedge_bytes record);
struct kedge_change *c_append_n(struct tx *t, struct kedge_bytes id, uint64_t first,
                                const struct kedge_bytes *records, size_t n);
struct kedge_change *c_snapshot(struct tx *t, struct kedge_bytes id, uint64_t position,
                                struct kedge_bytes data);
struct kedge_change *c_set(struct tx *t, struct kedge_bytes id, uint32_t mask);
struct kedge_change *c_due(struct tx *t, struct kedge_bytes id, struct kedge_when when);
struct kedge_change *c_park(struct tx *t, struct kedge_bytes id, uint32_t wakes_on,
                            struct kedge_when backstop);
struct kedge_change *c_rest(struct tx *t, struct kedge_bytes id, uint32_t status,
                            struct kedge_when expires);
struct kedge_change *c_wake(struct tx *t, struct kedge_bytes id);
struct kedge_change *c_request(struct tx *t, struct kedge_bytes id, uint32_t bits);
struct kedge_change *c_slots(struct tx *t, struct kedge_bytes id, uint32_t set, uint32_t total);
struct kedge_change *c_slot_put(struct tx *t, const struct run *parent, uint32_t set,
                                uint32_t index, struct kedge_bytes value);
struct kedge_change *c_cell_put(struct tx *t, struct kedge_bytes cell, struct kedge_bytes value,
                                struct kedge_when expires);
struct kedge_change *c_cell_delete(struct tx *t, struct kedge_bytes cell);
struct kedge_change *c_lock_take(struct tx *t, struct kedge_bytes lock, struct kedge_id128 lease);
struct kedge_change *c_lock_release(struct tx *t, struct kedge_bytes lock, struct kedge_id128 lease,
                                    uint64_t fence);

/* Make T->c ready to be sent, for those who send it themselves. */
const struct kedge_commit *tx_ready(struct tx *t);
/* Send it alone; answers its outcome. */
int tx_send(struct world *w, struct tx *t);
/* Send several in one call, which must answer OK; each has its own t->answer. */
void tx_send_batch(struct world *w, struct tx *const *txs, size_t n);
void check_tx(const char *file, int line, struct tx *t, int want);
void check_tx_refused(const char *file, int line, struct tx *t, int want, int64_t at_part);
#define expect_tx(t, want) check_tx(__FILE__, __LINE__, (t), (want))
/* Refused by part AT (guards first, then changes; -1: any), and nothing has changed. */
#define refuse_tx(t, want, at_part) check_tx_refused(__FILE__, __LINE__, (t), (want), (at_part))
void check_outcome(const char *file, int line, const struct tx *t, int want);
/* The outcome of T after tx_send_batch. */
#define expect_outcome(t, want) check_outcome(__FILE__, __LINE__, (t), (want))

/* -------------------------------------------------------- things ready made */

/* Each of these must succeed. */
struct kedge_id128 lease_make(struct world *w, int64_t ttl);
struct kedge_id128 lease_dead(struct world *w); /* granted and revoked */
struct run run_due(struct world *w, struct kedge_bytes id, struct kedge_when due);
struct run run_held(struct world *w, struct kedge_bytes id, struct kedge_id128 lease);
struct run run_parked(struct world *w, struct kedge_bytes id, uint32_t wakes_on,
                      struct kedge_when backstop);
struct run run_rest(struct world *w, struct kedge_bytes id, uint32_t status,
                    struct kedge_when expires);
/* Taken by LEASE with GUARD_UNHELD and TAKE, whatever its place but rest. */
struct run run_take(struct world *w, struct kedge_bytes id, struct kedge_id128 lease);
/* Append one record, which says TEXT. */
void step(struct world *w, struct run *r, const char *text);
void release_due(struct world *w, const struct run *r, struct kedge_when due);
void release_parked(struct world *w, const struct run *r, uint32_t wakes_on,
                    struct kedge_when backstop);
void release_rest(struct world *w, const struct run *r, uint32_t status, struct kedge_when expires);
void wake(struct world *w, struct kedge_bytes id);
uint64_t lock_take(struct world *w, struct kedge_bytes lock, struct kedge_id128 lease);
uint64_t cell_put(struct world *w, struct kedge_bytes cell, const char *value);
/* The head, which must be there. */
struct kedge_run head(struct world *w, struct kedge_bytes id);
bool is_there(struct world *w, struct kedge_bytes id);
/* version of a cell, 0 when there is none */
uint64_t cell_version(struct world *w, struct kedge_bytes cell);
uint32_t lease_state_of(struct world *w, struct kedge_id128 lease); /* 0: no record */
/* What is wrong with a head, or NULL: exactly one place. */
const char *unsound(const struct kedge_run *r);

/* ----------------------------------------------- the operations, one call each */

/* Outputs are checked to be untouched unless the call answers OK; what hangs on `mem' is kept. */
int do_info(struct world *w, struct kedge_info *out);
int do_now(struct world *w, struct kedge_time *out);
int do_grant(struct world *w, const struct kedge_lease_new *in, struct kedge_lease_state *out);
int do_extend(struct world *w, struct kedge_id128 lease, struct kedge_lease_state *out);
int do_revoke(struct world *w, struct kedge_id128 lease);
int do_bury(struct world *w, struct kedge_id128 lease);
int do_leases(struct world *w, struct kedge_bytes cursor, size_t limit,
              struct kedge_lease_page *out);
int do_held(struct world *w, struct kedge_id128 lease, struct kedge_bytes cursor, size_t limit,
            struct kedge_held_page *out);
int do_lock_acquire(struct world *w, struct kedge_bytes lock, struct kedge_id128 lease,
                    struct kedge_id128 request, struct kedge_lock_state *out);
int do_lock_extend(struct world *w, struct kedge_bytes lock, struct kedge_id128 lease,
                   uint64_t fence, struct kedge_lock_state *out);
int do_lock_release(struct world *w, struct kedge_bytes lock, struct kedge_id128 lease,
                    uint64_t fence);
int do_lock_query(struct world *w, struct kedge_bytes lock, struct kedge_lock_state *out);
int do_claim(struct world *w, const struct kedge_claim *in, struct kedge_run_page *out);
int do_retrieve(struct world *w, struct kedge_bytes id, uint64_t incarnation, uint32_t want,
                struct kedge_run_state *out);
int do_records(struct world *w, struct kedge_bytes id, uint64_t incarnation, uint64_t first,
               size_t limit, size_t bytes_max, struct kedge_record_page *out);
int do_slots(struct world *w, struct kedge_bytes id, uint64_t incarnation, uint32_t set,
             uint32_t first, size_t limit, struct kedge_slot_page *out);
int do_expired(struct world *w, struct kedge_bytes cursor, size_t limit,
               struct kedge_run_page *out);
int do_list(struct world *w, const struct kedge_list *in, struct kedge_run_page *out);
int do_cell(struct world *w, struct kedge_bytes cell, struct kedge_cell *out);
int do_purge(struct world *w, size_t limit, struct kedge_purged *out);
int do_verify(struct world *w, struct kedge_verified *out);
int do_wait(struct world *w, uint64_t seen, uint64_t *ticket, int64_t timeout_us);
int do_notify(struct world *w);

/* What most cases serve: reactor "reactor", all versions, queue "queue". */
extern const struct kedge_serve serve_all;
/* A claim of up to LIMIT runs of serve_all under LEASE with a new request id. */
struct kedge_claim claim_of(struct world *w, struct kedge_id128 lease, size_t limit);
/* Claim exactly one, which must be ID. */
struct run claim_one(struct world *w, struct kedge_bytes id, struct kedge_id128 lease);
/* Purge until there is no more; what was removed. */
struct kedge_purged purge_all(struct world *w);
/* The whole of list_expired, in order, page by page of LIMIT. */
size_t expired_all(struct world *w, size_t limit, struct kedge_run *runs, uint32_t *reasons,
                   size_t max);
bool is_expired_listed(struct world *w, struct kedge_bytes id, uint32_t *reason);

#endif
