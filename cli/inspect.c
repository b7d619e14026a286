/* inspect.c - commands that look at one run, once or again and again */
#include <config.h>

#include "inspect.h"
#include "runs.h"

struct inspection {
    cli_look_fn *look;
    struct cli_ids ids; /* the run; it is looked for once */
};

static enum cli_exit view(const struct cli *cli, struct kedge_store *store, void *ctx)
{
    struct inspection *i = ctx;
    enum cli_exit status = CLI_EXIT_OK;

    if (i->ids.n == 0)
        status = cli_resolve(cli, store, cli->words[0], &i->ids);
    return status == CLI_EXIT_OK ? i->look(cli, store, i->ids.all[0]) : status;
}

enum cli_exit cli_inspect(const struct cli *cli, cli_look_fn *look)
{
    struct inspection i = { .look = look };
    enum cli_exit status = cli_watch(cli, view, &i);

    cli_ids_free(&i.ids);
    return status;
}
