/* cmd_store.c - opening the store; kedge store info, init and migrate */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include <kedge/backend.h>

#include "cli.h"
#include "fields.h"
#include "out.h"

#define NO_STORE "no store given; name one, use -s URL, or set KEDGE_STORE"

/*
 * Is it a store that no other process can see, like mem:?  It begins with this process, so that
 * nobody could have set it up before.
 */
static bool is_private(const struct cli *cli, const char *url)
{
    const struct kedge_backend_ops *ops = NULL;
    char *place = NULL;
    int rc = kedge_backend_resolve(url, cli->given[CLI_BACKEND], &ops, &place, NULL);

    free(place);
    return rc == KEDGE_OK && (ops->caps & KEDGE_CAP_SHARED) == 0;
}

struct kedge_store_options cli_store_options(const struct cli *cli)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;

    options.backend = cli->given[CLI_BACKEND];
    options.ns = cli->given[CLI_NAMESPACE];
    if (cli->backend_opts.n > 0)
        options.backend_options = cli->backend_opts.joined;
    return options;
}

size_t cli_store_words(const struct cli *cli, const char **argv, size_t n)
{
    if (cli_has(cli, CLI_BACKEND)) {
        argv[n++] = "--backend";
        argv[n++] = cli->given[CLI_BACKEND];
    }
    if (cli_has(cli, CLI_NAMESPACE)) {
        argv[n++] = "--namespace";
        argv[n++] = cli->given[CLI_NAMESPACE];
    }
    for (int i = 0; i < cli->backend_opts.n; i++) {
        argv[n++] = "--backend-opt";
        argv[n++] = cli->backend_opts.words[i];
    }
    return n;
}

enum cli_exit cli_open_store(const struct cli *cli, const char *url, uint32_t flags,
                             struct kedge_store **store)
{
    struct kedge_store_options options = cli_store_options(cli);
    struct kedge_error err;
    int rc;

    if (url == NULL)
        url = getenv("KEDGE_STORE");
    if (url == NULL)
        return cli_usage(cli, NO_STORE, NULL);
    options.flags = flags;
    rc = kedge_store_open(url, &options, store, &err);
    if (rc == KEDGE_ERR_SCHEMA_MISSING && is_private(cli, url)) {
        options.flags = KEDGE_STORE_CREATE;
        rc = kedge_store_open(url, &options, store, &err);
    }
    return rc == KEDGE_OK ? CLI_EXIT_OK : cli_fail(rc, &err);
}

/* The store that was named: by the command's word, by -s, by KEDGE_STORE, in this order. */
static const char *named(const struct cli *cli)
{
    return cli->n_words > 0 ? cli->words[0] : cli->given[CLI_STORE];
}

/* Is WORD among the words of TEXT? */
static bool has_word(const char *text, const char *word)
{
    size_t len = strlen(word);

    for (; *text != '\0'; text += strcspn(text, " "), text += *text == ' ') {
        if (strcspn(text, " ") == len && strncmp(text, word, len) == 0)
            return true;
    }
    return false;
}

static const char *survives(const char *durability)
{
    if (has_word(durability, "power"))
        return "an acknowledged write survives the death of any process, and power loss as far as "
               "the disk tells the truth";
    if (has_word(durability, "server"))
        return "an acknowledged write survives the death of any process; power loss may take the "
               "last ones";
    if (has_word(durability, "process"))
        return "an acknowledged write survives the death of who wrote it; a crash of the store may "
               "take the last ones, or all";
    return "an acknowledged write is gone with the process that keeps it";
}

static const char *fences(const char *capabilities)
{
    if (has_word(capabilities, "fence_volatile"))
        return "may repeat after the store has lost acknowledged writes, as by a failover: do not "
               "take an equal fence for the same holder";
    return "never repeat";
}

static void put_fact(void *ctx, const char *name, const char *value)
{
    struct cli_out *out = ctx;

    for (size_t i = 0; i < CLI_N_STORE_FIELDS; i++) {
        if (strcmp(cli_store_fields[i].key, name) != 0)
            continue;
        cli_put_text(out, i, value);
        if (i == CLI_STORE_DURABILITY) {
            cli_put_text(out, CLI_STORE_SURVIVES, survives(value));
        } else if (i == CLI_STORE_CAPS) {
            cli_put_number(out, CLI_STORE_HINTS, has_word(value, "hint"));
            cli_put_text(out, CLI_STORE_FENCES, fences(value));
        }
        return;
    }
    cli_put_fact(out, name, value);
}

enum cli_exit cli_store_info(const struct cli *cli)
{
    struct kedge_store *store = NULL;
    struct kedge_error err;
    struct cli_out *out;
    enum cli_exit status;
    int rc = KEDGE_OK;

    status = cli_open_store(cli, named(cli), 0, &store);
    if (status != CLI_EXIT_OK)
        return status;
    out = cli_out_record(cli, cli_store_fields);
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

static void put_script(void *ctx, const char *text, uint32_t from, uint32_t to)
{
    const struct cli *cli = ctx;
    struct cli_out *out;

    if (!cli->json) {
        (void)fputs(text, stdout);
        return;
    }
    out = cli_out_record(cli, cli_script_fields);
    if (out != NULL) {
        cli_put_number(out, CLI_SCRIPT_FROM, from);
        cli_put_number(out, CLI_SCRIPT_TO, to);
        cli_put_lines(out, CLI_SCRIPT_TEXT, text);
        cli_row_end(out, -1);
    }
    (void)cli_out_end(out);
}

static enum cli_exit print_script(const struct cli *cli, uint32_t flags)
{
    struct kedge_store_options options = cli_store_options(cli);
    const char *url = named(cli) != NULL ? named(cli) : getenv("KEDGE_STORE");
    struct kedge_error err;
    int rc;

    if (url == NULL)
        return cli_usage(cli, NO_STORE, NULL);
    options.flags = flags;
    rc = kedge_store_script(url, &options, put_script, (void *)(uintptr_t)cli, &err);
    return rc == KEDGE_OK ? CLI_EXIT_OK : cli_fail(rc, &err);
}

/* Opening it does what is to be done. */
static enum cli_exit open_or_print(const struct cli *cli, uint32_t flags)
{
    struct kedge_store *store = NULL;
    enum cli_exit status;

    if (cli_has(cli, CLI_PRINT))
        return print_script(cli, flags);
    status = cli_open_store(cli, named(cli), flags, &store);
    if (status == CLI_EXIT_OK)
        kedge_store_close(store);
    return status;
}

enum cli_exit cli_store_init(const struct cli *cli)
{
    return open_or_print(cli, KEDGE_STORE_CREATE);
}

enum cli_exit cli_store_migrate(const struct cli *cli)
{
    return open_or_print(cli, KEDGE_STORE_MIGRATE);
}
