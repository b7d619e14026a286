/* cmd_conform.c - kedge conform: the suite, from the command line */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "conform/conform.h"

/* The suite's codes are fixed in conform.h, and told in the command's help. */
static enum cli_exit ended(enum conform_exit code, const struct kedge_error *err)
{
    if (err->code != KEDGE_OK)
        (void)cli_tell(CLI_EXIT_USAGE, "%s", err->msg);
    return (enum cli_exit)code;
}

static uint64_t a_new_seed(void)
{
    return ((uint64_t)time(NULL) * UINT64_C(1000003) ^ (uint64_t)getpid()) % UINT64_C(1000000000);
}

/* True: it was given and is a number, or was not given. */
static bool number(const struct cli *cli, enum cli_option_id id, uint64_t *value)
{
    if (cli_has(cli, id))
        *value = cli_number(cli, id);
    return *value != 0;
}

/* Options that are one thing and the other. */
static const char *contradiction(const struct cli *cli)
{
    const int words =
        cli_has(cli, CLI_CASES) + cli_has(cli, CLI_EXPLAIN) + cli_has(cli, CLI_MUTANTS);

    if (words > 1)
        return "give one of --list, --explain and --mutants";
    if (words > 0 && cli->n_words > 0)
        return "--list, --explain and --mutants take no URL:";
    if (cli_has(cli, CLI_PLUGIN) && cli_has(cli, CLI_BACKEND))
        return "give --plugin or --backend, not both";
    return NULL;
}

static enum cli_exit run(const struct cli *cli, struct conform_options *o, struct kedge_error *err)
{
    const struct kedge_store_options store = cli_store_options(cli);
    uint64_t jobs = 2;

    o->url = cli->n_words > 0 ? cli->words[0] : cli->given[CLI_STORE];
    if (o->url == NULL)
        return cli_usage(cli, "no URL given; one of your own is lmdb:/tmp/t/{}", NULL);
    o->backend = cli_has(cli, CLI_PLUGIN) ? cli->given[CLI_PLUGIN] : cli->given[CLI_BACKEND];
    if (cli_has(cli, CLI_PLUGIN) && strchr(o->backend, '/') == NULL)
        return cli_usage(cli, "--plugin takes the path of a module, with a '/' in it, not",
                         o->backend);
    o->backend_options = store.backend_options;
    o->opt_out = cli->given[CLI_OPT_OUT];
    o->junit = cli->given[CLI_JUNIT];
    o->cert = cli->given[CLI_CERT];
    o->clock = cli->given[CLI_CLOCK];
    o->server = cli->given[CLI_SERVER];
    o->case_us = cli_has(cli, CLI_TIMEOUT) ? cli->timeout_us : 0;
    o->in_case = cli->given[CLI_IN_CASE];
    o->keep = cli_has(cli, CLI_KEEP);
    o->seed = a_new_seed() + 1;
    if (!number(cli, CLI_SEED, &o->seed) || !number(cli, CLI_JOBS, &jobs))
        return CLI_EXIT_USAGE;
    o->jobs = (size_t)jobs;
    return ended(conform_run(o, err), err);
}

enum cli_exit cli_conform(const struct cli *cli)
{
    struct conform_options o = { .filter = cli->given[CLI_FILTER], .tier = CONFORM_CORE };
    struct kedge_error err = { .code = KEDGE_OK };
    const char *wrong = contradiction(cli);

    if (wrong != NULL)
        return cli_usage(cli, wrong, cli->n_words > 0 ? cli->words[0] : NULL);
    if (cli_has(cli, CLI_TIER) && !conform_tier_of(cli->given[CLI_TIER], &o.tier))
        return cli_usage(cli, "--tier takes core, concurrent, fault or full, not",
                         cli->given[CLI_TIER]);
    if (cli_has(cli, CLI_CASES))
        return ended(conform_list(o.filter, cli_has(cli, CLI_TIER) ? o.tier : CONFORM_FULL, &err),
                     &err);
    if (cli_has(cli, CLI_EXPLAIN))
        return ended(conform_explain(cli->given[CLI_EXPLAIN], &err), &err);
    if (cli_has(cli, CLI_MUTANTS))
        return ended(conform_mutants(), &err);
    return run(cli, &o, &err);
}
