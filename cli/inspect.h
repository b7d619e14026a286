/* inspect.h - commands that look at one run, once or again and again */
#ifndef KEDGE_CLI_INSPECT_H
#define KEDGE_CLI_INSPECT_H

#include "cli.h"

/* LOOK at the run that the command's word names. */
typedef enum cli_exit cli_look_fn(const struct cli *cli, struct kedge_store *store,
                                  struct kedge_bytes id);
enum cli_exit cli_inspect(const struct cli *cli, cli_look_fn *look);

#endif
