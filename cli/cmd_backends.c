/* cmd_backends.c - kedge backends */
#include <config.h>

#include <string.h>

#include "cli.h"
#include "out.h"

/* One backend is one block of name=value lines, an empty line between two; or one object. */
struct listing {
    const struct cli *cli;
    bool begun;
    bool broken;
    bool failed;
};

static void put_fact(void *ctx, const char *name, const char *value)
{
    cli_put_fact(ctx, name, value);
}

/* In JSON the blocks are one array, printed as it comes. */
static struct cli_out *begin_block(struct listing *l)
{
    struct cli_out *out = cli_out_record(l->cli, NULL);

    if (l->cli->json && !l->cli->lines)
        (void)fputs(l->begun ? "," : "[", stdout);
    else if (!l->cli->json && l->begun)
        (void)putchar('\n');
    l->begun = true;
    return out;
}

static void end_block(struct listing *l, struct cli_out *out)
{
    if (out != NULL)
        cli_row_end(out, -1);
    if (cli_out_end(out) != CLI_EXIT_OK)
        l->failed = true;
}

static int show(void *ctx, const char *name, const char *path, const struct kedge_error *problem)
{
    struct listing *l = ctx;
    struct cli_out *out = begin_block(l);
    struct kedge_error err = { .msg = "" };

    if (out == NULL) {
        l->failed = true;
        return 1;
    }
    if (problem != NULL || kedge_backend_info(name, put_fact, out, &err) != KEDGE_OK) {
        cli_put_fact(out, "name", name);
        if (path != NULL)
            cli_put_fact(out, "origin", path);
        cli_put_fact(out, "problem", problem != NULL ? problem->msg : err.msg);
        l->broken = true;
    } else if (strcmp(name, kedge_backend_default()) == 0) {
        cli_put_fact(out, "default", "yes");
    }
    end_block(l, out);
    return l->failed ? 1 : 0;
}

/* What a wrapper can do is up to the backend behind it. */
static int show_wrapper(void *ctx, const char *name, const char *path,
                        const struct kedge_error *problem)
{
    struct listing *l = ctx;
    struct cli_out *out = begin_block(l);

    (void)problem;
    if (out == NULL) {
        l->failed = true;
        return 1;
    }
    cli_put_fact(out, "name", name);
    cli_put_fact(out, "wrapper", "yes");
    cli_put_fact(out, "origin", path);
    end_block(l, out);
    return l->failed ? 1 : 0;
}

/* One that was named: without it there is nothing to be shown. */
static enum cli_exit describe(struct listing *l, const char *name)
{
    struct cli_out *out = NULL;
    struct kedge_error err;
    const struct kedge_backend_ops *ops = NULL;
    int rc = kedge_backend_find(name, &ops, &err);

    if (rc != KEDGE_OK)
        return cli_fail(rc, &err);
    out = begin_block(l);
    if (out != NULL)
        rc = kedge_backend_info(name, put_fact, out, &err);
    end_block(l, out);
    return rc == KEDGE_OK ? CLI_EXIT_OK : cli_fail(rc, &err);
}

enum cli_exit cli_backends(const struct cli *cli)
{
    const char *named = cli->given[CLI_BACKEND];
    struct listing l = { .cli = cli };
    enum cli_exit status = CLI_EXIT_OK;
    struct kedge_error err;
    int rc = KEDGE_OK;

    if (cli->n_words == 0 && named == NULL) {
        rc = kedge_backend_each(show, &l, &err);
        if (rc == 0)
            rc = kedge_wrapper_each(show_wrapper, &l, &err);
        status = rc < 0 ? cli_fail(rc, &err) : l.broken ? CLI_EXIT_FAILURE : CLI_EXIT_OK;
    } else {
        for (int i = named != NULL ? -1 : 0; status == CLI_EXIT_OK && i < cli->n_words; i++)
            status = describe(&l, i < 0 ? named : cli->words[i]);
    }
    if (cli->json && !cli->lines && l.begun)
        (void)puts("]");
    return status == CLI_EXIT_OK && l.failed ? CLI_EXIT_FAILURE : status;
}
