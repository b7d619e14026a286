/* cmd_list.c - kedge list */
#include <config.h>

#include <stdlib.h>

#include "fields.h"
#include "out.h"
#include "run_row.h"
#include "runs.h"
#include "text.h"

static int add_run(void *ctx, const struct kedge_run_info *info)
{
    struct cli_out *out = ctx;
    char text[80];
    int len = snprintf(text, sizeof text, "%.*s@%lu", (int)info->reactor.len,
                       (const char *)info->reactor.data, (unsigned long)info->version);

    cli_put_run(out, info);
    if (len > 0 && (size_t)len < sizeof text) /* a longer name stands alone */
        cli_put_column(out, CLI_RUN_REACTOR, kedge_text(text));
    cli_row_end(out, -1);
    return cli_out_failed(out) ? 1 : 0;
}

static int print_id(void *ctx, const struct kedge_run_info *info)
{
    char *id = cli_escape(info->id, true);

    (void)ctx;
    if (id == NULL)
        return 1;
    (void)printf("%s\n", id);
    free(id);
    return ferror(stdout) != 0;
}

static enum cli_exit view(const struct cli *cli, struct kedge_store *store, void *ctx)
{
    const bool ids = cli_has(cli, CLI_IDS);
    struct cli_out *out = cli_out_table(cli, cli_run_fields);
    struct kedge_error err = { .msg = "" };
    struct kedge_run_filter filter;
    enum cli_exit status = cli_filter(cli, store, 0, &filter);
    int rc = KEDGE_OK;

    (void)ctx;
    if (status == CLI_EXIT_OK && out != NULL)
        rc = kedge_run_list(store, &filter, ids ? print_id : add_run, out, cli->timeout_us, &err);
    if (status != CLI_EXIT_OK || rc < 0 || ids) {
        cli_out_drop(out);
        return rc < 0 ? cli_fail(rc, &err) : status;
    }
    return cli_out_end(out);
}

enum cli_exit cli_list(const struct cli *cli)
{
    if (cli_has(cli, CLI_IDS) && cli->json)
        return cli_usage(cli, "--ids or JSON, not both", NULL);
    return cli_watch(cli, view, NULL);
}
