/* run_row.h - runs and steps, as they are printed */
#ifndef KEDGE_CLI_RUN_ROW_H
#define KEDGE_CLI_RUN_ROW_H

#include "out.h"

/* OUT's fields are cli_run_fields. */
void cli_put_run(struct cli_out *out, const struct kedge_run_info *info);

/* Which line of a tree a step hangs on: that of the last step it comes after, of those before it in
   the reactor's table; -1: none. */
long cli_step_parent(const struct kedge_step_info *step);

#endif
