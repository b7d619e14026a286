/* run_row.c - runs and steps, as they are printed */
#include <config.h>

#include "fields.h"
#include "run_row.h"

void cli_put_run(struct cli_out *out, const struct kedge_run_info *info)
{
    cli_put_bytes(out, CLI_RUN_ID, info->id);
    cli_put_bytes(out, CLI_RUN_REACTOR, info->reactor);
    cli_put_number(out, CLI_RUN_VERSION, info->version);
    cli_put_text(out, CLI_RUN_STATUS, kedge_run_status_text(info->status));
    cli_put_text(out, CLI_RUN_PLACE, kedge_run_place_text(info->place));
    cli_put_bytes(out, CLI_RUN_QUEUE, info->queue);
    cli_put_number(out, CLI_RUN_RECORDS, info->records);
    cli_put_time(out, CLI_RUN_CREATED, info->created);
    cli_put_time(out, CLI_RUN_DUE, info->due);
    cli_put_time(out, CLI_RUN_FINISHED, info->finished);
    cli_put_time(out, CLI_RUN_EXPIRES, info->expires);
    cli_put_number(out, CLI_RUN_RECOVERIES, info->recoveries);
    cli_put_number(out, CLI_RUN_REQUESTS, info->requests);
    cli_put_id(out, CLI_RUN_HOLDER, info->holder, sizeof info->holder);
    cli_put_number(out, CLI_RUN_FENCE, info->fence);
    cli_put_number(out, CLI_RUN_INCARNATION, info->incarnation);
    cli_put_bytes(out, CLI_RUN_CONTEXT, info->context);
    cli_put_bytes(out, CLI_RUN_PARENT, info->parent);
    cli_put_bytes(out, CLI_RUN_RESULT, info->result);
    cli_put_bytes(out, CLI_RUN_ERROR, info->error);
    cli_put_bytes(out, CLI_RUN_ERROR_STEP, info->error_step);
}

long cli_step_parent(const struct kedge_step_info *step)
{
    long last = -1;

    for (size_t i = 0; i < step->n_after; i++) {
        if (step->after[i] < step->index && (long)step->after[i] > last)
            last = (long)step->after[i];
    }
    return last;
}
