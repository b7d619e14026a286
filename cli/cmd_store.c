/* cmd_store.c - opening the store; kedge store info, kedge store init */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include <kedge/backend.h>

#include "cli.h"
#include "out.h"

/*
 * Is it a store that no other process can see, like mem:?  It begins with this process, so that
 * nobody could have set it up before.
 */
static bool is_private(const struct cli *cli, const char *url)
{
    const char *backend = cli->given[CLI_BACKEND];
    const struct kedge_backend_ops *ops = NULL;
    char scheme[64];

    /* A scheme that is not a backend's name is that of a server. */
    (void)snprintf(scheme, sizeof scheme, "%.*s", (int)strcspn(url, ":+"), url);
    return kedge_backend_find(backend != NULL ? backend : scheme, &ops, NULL) == KEDGE_OK &&
           (ops->caps & KEDGE_CAP_SHARED) == 0;
}

enum cli_exit cli_open_store(const struct cli *cli, const char *url, uint32_t flags,
                             struct kedge_store **store)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_error err;
    int rc;

    if (url == NULL)
        url = getenv("KEDGE_STORE");
    if (url == NULL)
        return cli_usage(cli, "no store given; name one, use -s URL, or set KEDGE_STORE", NULL);
    options.backend = cli->given[CLI_BACKEND];
    options.ns = cli->given[CLI_NAMESPACE];
    options.flags = flags;
    rc = kedge_store_open(url, &options, store, &err);
    if (rc == KEDGE_ERR_SCHEMA_MISSING && is_private(cli, url)) {
        options.flags = KEDGE_STORE_CREATE;
        rc = kedge_store_open(url, &options, store, &err);
    }
    return rc == KEDGE_OK ? CLI_EXIT_OK : cli_fail(rc, &err);
}

/* The store that was named: by the command's word, by -s, by KEDGE_STORE, in this order. */
static enum cli_exit open_store(const struct cli *cli, uint32_t flags, struct kedge_store **store)
{
    const char *url = cli->n_words > 0 ? cli->words[0] : cli->given[CLI_STORE];

    return cli_open_store(cli, url, flags, store);
}

static void put_fact(void *ctx, const char *name, const char *value)
{
    cli_put_fact(ctx, name, value);
}

enum cli_exit cli_store_info(const struct cli *cli)
{
    struct kedge_store *store = NULL;
    struct kedge_error err;
    struct cli_out *out;
    enum cli_exit status;
    int rc = KEDGE_OK;

    status = open_store(cli, 0, &store);
    if (status != CLI_EXIT_OK)
        return status;
    out = cli_out_record(cli, NULL);
    if (out != NULL)
        rc = kedge_store_info(store, cli->timeout_us, put_fact, out, &err);
    kedge_store_close(store);
    if (rc != KEDGE_OK) {
        cli_out_drop(out);
        return cli_fail(rc, &err);
    }
    if (out != NULL)
        cli_row_end(out, -1);
    return cli_out_end(out);
}

enum cli_exit cli_store_init(const struct cli *cli)
{
    struct kedge_store *store = NULL;
    enum cli_exit status;

    status = open_store(cli, KEDGE_STORE_CREATE, &store);
    if (status != CLI_EXIT_OK)
        return status;
    kedge_store_close(store);
    return CLI_EXIT_OK;
}
