/*
 * reactor.h - a checked definition: steps by index, the graph both ways, and its stored form
 *
 * Immutable once made, and counted: each worker and each run in flight may hold it.
 * Steps are known by their index in the table; names are for people and for the store.
 */
#ifndef KEDGE_SRC_REACTOR_H
#define KEDGE_SRC_REACTOR_H

#include <kedge/backend.h>
#include <kedge/reactor.h>

/* Which functions a step has: all that is left of them in the stored form. */
#define KEDGE_REACTOR_RUN        UINT32_C(1)
#define KEDGE_REACTOR_COMPENSATE UINT32_C(2)
#define KEDGE_REACTOR_UNDO       UINT32_C(4)

struct kedge_reactor_step {
    const char *name;
    kedge_step_fn *run;
    kedge_step_fn *compensate;
    kedge_step_fn *undo;
    void *user;
    struct kedge_retry retry; /* with defaults filled in: attempts >= 1, cap_us > 0 */
    int64_t timeout_us;
    uint32_t flags;
    uint32_t n_after;
    uint32_t n_before;
    uint32_t name_len;
    uint32_t kind;
    uint32_t functions;     /* KEDGE_REACTOR_RUN ... */
    const uint32_t *after;  /* indices of the steps it comes after, each once, in the order given */
    const uint32_t *before; /* indices of the steps that come after it, rising */
};

struct kedge_reactor {
    _Atomic uint32_t refs;
    uint32_t version;
    const char *name;
    uint32_t n_steps;
    uint32_t result; /* index of the step whose value is the run's */
    const struct kedge_reactor_step *steps;
    struct kedge_id128 digest; /* of everything in the stored form */
    size_t n_edges;            /* all n_after together */
    /*
     * The graph once more, for who walks much of it: a step's `after' begins in `edges' where
     * after_at says, and ends where the next one's begins; likewise `before'.
     */
    uint32_t *after_at;
    uint32_t *before_at;
    /* index + 1 of the step whose name belongs there, or 0; a power of two of places */
    uint32_t *places;
    size_t n_places;
    /* what the members above point to, or are const of */
    struct kedge_reactor_step *table;
    uint32_t *edges;
    char *text;
};

struct kedge_reactor *kedge_reactor_hold(struct kedge_reactor *reactor);

/*
 * For those who make one, from a program's definition or from a stored one: make() has room for
 * so many steps, edges and bytes of names, and copies NAME; the caller fills the table (all but
 * `before') and links each name; connect() turns the graph round; sign() comes last.
 */
int kedge_reactor_make(struct kedge_bytes name, uint32_t version, size_t n_steps, size_t n_edges,
                       size_t n_text, struct kedge_reactor **reactor, struct kedge_error *err);
/* Enter the name of step INDEX.  Answers the index of the step of that name: INDEX, or an earlier
   one that has the name already. */
uint32_t kedge_reactor_link(struct kedge_reactor *reactor, uint32_t index);
/* Is there a cycle?  ERR_INVALID and a sentence; else `before' is made.  ERR_NOMEM. */
int kedge_reactor_connect(struct kedge_reactor *reactor, struct kedge_error *err);
/* What is wrong with NAME as a name?  NULL: nothing; else the rest of a sentence, maybe in TEXT. */
const char *kedge_reactor_name_fault(struct kedge_bytes name, char text[128]);
/* Digest of the stored form.  ERR_NOMEM. */
int kedge_reactor_sign(struct kedge_reactor *reactor, struct kedge_error *err);

/* Index of the step of that name, or UINT32_MAX.  Constant time on average. */
uint32_t kedge_reactor_find(const struct kedge_reactor *reactor, struct kedge_bytes name);

/* How long to wait after FAILURES (>= 1) failed attempts; RANDOM is 0 .. UINT32_MAX. */
int64_t kedge_retry_delay(const struct kedge_retry *retry, uint32_t failures, uint32_t random);

/*
 * The stored form: what matters to a run in the store and to a person who reads it (names,
 * graph, flags, which functions there are, result), not retry policies or timeouts.  In cells
 * named by kedge_reactor_cell(): part 0 says how many parts there are.
 *
 * Layout: format (1 byte), version, name, number of steps, index of the result; for each step
 * name, kind, flags, functions, number of steps it comes after, their indices; digest (16 bytes,
 * XXH3 of all before it).  Numbers are varints; a name is its length and its bytes.
 */
/* The name of a cell; TO has room for KEDGE_REACTOR_CELL_MAX bytes.  NAME is at most 255 bytes. */
#define KEDGE_REACTOR_CELL_MAX 320
struct kedge_bytes kedge_reactor_cell(char *to, struct kedge_bytes name, uint32_t version,
                                      uint32_t part);

/* Size of the stored form; writes it to TO, which has that room. */
size_t kedge_reactor_store_size(const struct kedge_reactor *reactor);
void kedge_reactor_store(const struct kedge_reactor *reactor, unsigned char *to);

/* The definition as the store has it: no functions.  Free it with kedge_reactor_free().
   ERR_CORRUPT; ERR_SCHEMA_NEW: intact, and with something in it that only a newer kedge knows. */
int kedge_reactor_load(struct kedge_bytes stored, struct kedge_reactor **reactor,
                       struct kedge_error *err);

/* Do they have the same steps?  0, or 1 and the first difference in a sentence. */
int kedge_reactor_differ(const struct kedge_reactor *ours, const struct kedge_reactor *stored,
                         char *why, size_t size);

/* Record REACTOR in the store, or compare it with what is there: ERR_INVALID names the difference.
   SESSION is used for it alone meanwhile. */
int kedge_reactor_register(const struct kedge_backend_ops *ops, void *session,
                           const struct kedge_host *host, const struct kedge_reactor *reactor,
                           int64_t timeout_us, struct kedge_error *err);

/* The definition of NAME, VERSION as the store has it.  NOT_FOUND. */
int kedge_reactor_fetch(const struct kedge_backend_ops *ops, void *session,
                        const struct kedge_host *host, struct kedge_bytes name, uint32_t version,
                        struct kedge_reactor **reactor, int64_t timeout_us,
                        struct kedge_error *err);

#endif
