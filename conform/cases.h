/* cases.h - the table of the contract's cases */
#ifndef KEDGE_CONFORM_CASES_H
#define KEDGE_CONFORM_CASES_H

#include "world.h"

/* What a case needs of a backend; it is skipped, aloud, where that is not promised. */
#define NEEDS_CLOCK   1u    /* the test moves the clock */
#define NEEDS_HINT    2u    /* KEDGE_CAP_HINT */
#define NEEDS_SHARED  4u    /* KEDGE_CAP_SHARED */
#define NEEDS_THREADS 8u    /* KEDGE_THREADS_SESSION */
#define NEEDS_CLOCKS  33u   /* NEEDS_CLOCK, and that wall and lease time are two */
#define NEEDS_WAIT    64u   /* the optional operations wait and notify */
#define NEEDS_KILL    128u  /* kedge-kill.so in the case's process */
#define NEEDS_SKEW    256u  /* the process's own clock can be moved: kedge-clock.so in it */
#define NEEDS_SERVER  512u  /* KEDGE_CAP_SERVER_CLOCK */
#define NEEDS_PROXY   1024u /* it is told where the server listens: way.h */
#define USES_CLOCK    2048u /* moves the clock if it can, and waits if it cannot */

struct contract_case {
    const char *id;   /* area and number; never given to another case */
    const char *what; /* what must hold */
    uint32_t needs;
    void (*run)(struct world *w);
};

/* Before a case's store is opened: what is the process's own, for the cases of manners.c. */
void manners_remember(void);

/* One table per file; each ends with a case without an id. */
extern const struct contract_case cases_store[];
extern const struct contract_case cases_caps[];
extern const struct contract_case cases_limits[];
extern const struct contract_case cases_manners[];
extern const struct contract_case cases_resources[];
extern const struct contract_case cases_leases[];
extern const struct contract_case cases_hints[];
extern const struct contract_case cases_commit[];
extern const struct contract_case cases_matrix[];
extern const struct contract_case cases_batch[];
extern const struct contract_case cases_resend[];
extern const struct contract_case cases_fences[];
extern const struct contract_case cases_locks[];
extern const struct contract_case cases_cells[];
extern const struct contract_case cases_runs[];
extern const struct contract_case cases_claim[];
extern const struct contract_case cases_slots[];
extern const struct contract_case cases_lists[];
extern const struct contract_case cases_purge[];
extern const struct contract_case cases_data[];
extern const struct contract_case cases_wait[];
extern const struct contract_case cases_threads[];
extern const struct contract_case cases_processes[];
extern const struct contract_case cases_memory[];
extern const struct contract_case cases_walk[];
extern const struct contract_case cases_linear[];
extern const struct contract_case cases_paused[];
extern const struct contract_case cases_queue[];
extern const struct contract_case cases_ttl[];
extern const struct contract_case cases_crash[];
extern const struct contract_case cases_iofail[];
extern const struct contract_case cases_sweep[];
extern const struct contract_case cases_clock[];
extern const struct contract_case cases_net[];
extern const struct contract_case cases_net_holder[];

#endif
