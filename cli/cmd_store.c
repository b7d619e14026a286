/* cmd_store.c - kedge store info, kedge store init */
#include <config.h>

#include <string.h>

#include <kedge/backend.h>

#include "cli.h"

/* Long enough for a server that is busy, short enough for a person who waits. */
#define TIMEOUT_US 10000000

/*
 * Is it a store that no other process can see, like mem:?  It begins with this process, so that
 * nobody could have set it up before.
 */
static bool is_private(const struct cli *cli, const char *url)
{
    const struct kedge_backend_ops *ops = NULL;
    char scheme[64];

    (void)snprintf(scheme, sizeof scheme, "%.*s", (int)strcspn(url, ":+"), url);
    return kedge_backend_find(cli->backend != NULL ? cli->backend : scheme, &ops, NULL) ==
               KEDGE_OK &&
           (ops->caps & KEDGE_CAP_SHARED) == 0;
}

enum cli_exit cli_open_store(const struct cli *cli, const char *url, uint32_t flags,
                             struct kedge_store **store)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_error err;
    int rc;

    if (url == NULL)
        return cli_usage(cli, "no store given; name one, use -s URL, or set KEDGE_STORE", NULL);
    options.backend = cli->backend;
    options.ns = cli->ns;
    options.flags = flags;
    rc = kedge_store_open(url, &options, store, &err);
    if (rc == KEDGE_ERR_SCHEMA_MISSING && is_private(cli, url)) {
        options.flags = KEDGE_STORE_CREATE;
        rc = kedge_store_open(url, &options, store, &err);
    }
    return rc == KEDGE_OK ? CLI_EXIT_OK : cli_fail(rc, &err);
}

/* The store that was named: by the command's argument, by -s, by KEDGE_STORE, in this order. */
static enum cli_exit open_store(const struct cli *cli, uint32_t flags, int argc, char **argv,
                                struct kedge_store **store)
{
    if (argc > 1)
        return cli_usage(cli, "one word too many:", argv[1]);
    return cli_open_store(cli, argc > 0 ? argv[0] : cli->store, flags, store);
}

static void print_fact(void *ctx, const char *name, const char *value)
{
    (void)ctx;
    (void)printf("%s=%s\n", name, value);
}

enum cli_exit cli_store_info(const struct cli *cli, int argc, char **argv)
{
    struct kedge_store *store = NULL;
    struct kedge_error err;
    enum cli_exit status;
    int rc;

    status = open_store(cli, 0, argc, argv, &store);
    if (status != CLI_EXIT_OK)
        return status;
    rc = kedge_store_info(store, TIMEOUT_US, print_fact, NULL, &err);
    kedge_store_close(store);
    return rc == KEDGE_OK ? CLI_EXIT_OK : cli_fail(rc, &err);
}

enum cli_exit cli_store_init(const struct cli *cli, int argc, char **argv)
{
    struct kedge_store *store = NULL;
    enum cli_exit status;

    status = open_store(cli, KEDGE_STORE_CREATE, argc, argv, &store);
    if (status != CLI_EXIT_OK)
        return status;
    kedge_store_close(store);
    return CLI_EXIT_OK;
}
