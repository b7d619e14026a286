/* workload.c - the table of workloads */
#include <config.h>

#include <string.h>

#include "workload.h"

const struct workload workloads[] = {
    { "checkpoint", "durable commits of one record, through the storage contract", "step",
      AT_A_RATE | CEILING | COUNTED, 256, checkpoint_open, crew_close },
    { "saga", "runs of many steps from start to end, through the whole engine", "step",
      AT_A_RATE | CEILING | COUNTED | OF_RUNS, 2000, saga_work_open, saga_work_close },
    { "rollback", "runs whose last step fails, and all others are undone", "step or undo",
      CEILING | COUNTED | OF_RUNS, 2000, rollback_open, saga_work_close },
    { "lock", "take a lock and let go of it, each client its own", "lock", AT_A_RATE | COUNTED, 256,
      lock_open, crew_close },
    { "contend", "the same, all clients the same lock", "lock", COUNTED, 64, contend_open,
      crew_close },
    { "claim", "take a run that is due, and hand it back", "run", AT_A_RATE | CEILING | COUNTED,
      256, claim_open, crew_close },
    { "expired", "look for ten expired runs among many healthy ones", "look", 0, 0, expired_open,
      expired_close },
    { "recover", "kill -9 a worker process; the time to the next step of its runs", "run", SHARED,
      0, recover_open, recover_close },
    { "resume", "take over a run with many finished steps; the time to its next step", "run",
      SHARED | OF_RUNS, 0, resume_work_open, resume_work_close },
    { "mixed", "6 commits, 2 heads, a lock and a claim of ten, at random", "operation",
      AT_A_RATE | COUNTED, 512, mixed_open, crew_close },
    { NULL, NULL, NULL, 0, 0, NULL, NULL },
};

const struct workload *workload_named(const char *name)
{
    for (const struct workload *w = workloads; w->name != NULL; w++)
        if (strcmp(w->name, name) == 0)
            return w;
    return NULL;
}
