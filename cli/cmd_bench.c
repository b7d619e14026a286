/*
 * cmd_bench.c - kedge bench: hands the command line to kedge-bench, which does the work
 *
 * A program of its own, as it links the client libraries of all stores for its bare clients.  It is
 * looked for beside this program (a build tree), then where it is installed.  Values are checked
 * there; what options there are is decided here.  KEDGE_STORE stays where it is: a command line can
 * be seen by all.
 */
#include <config.h>

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define PROGRAM "kedge-bench"

/* What every command takes, and is of no use here. */
static const char *refused(const struct cli *cli)
{
    if (cli_has(cli, CLI_NAMESPACE))
        return "takes no --namespace: it works in namespaces of its own";
    if (cli_has(cli, CLI_JSON) || cli_has(cli, CLI_JSONL))
        return "prints no JSON; bench run writes it, with --json FILE";
    return NULL;
}

/* --NAME=VALUE; a flag has no value. */
static char *as_word(enum cli_option_id id, const char *value)
{
    const struct cli_option *o = &cli_options[id];
    const bool bare = value[0] == '\0' && o->kind != CLI_VALUE;
    size_t room = strlen(o->name) + strlen(value) + 4;
    char *word = malloc(room);

    if (word != NULL)
        (void)snprintf(word, room, "--%s%s%s", o->name, bare ? "" : "=", value);
    return word;
}

/* The command line of that program; NULL: out of memory. */
static char **words_of(const struct cli *cli)
{
    char **words =
        calloc((size_t)(CLI_N_OPTIONS + CLI_MOST_STORES + cli->n_words) + 8, sizeof *words);
    const char *verb = strchr(cli->command->name, ' ') + 1;
    int n = 0;

    if (words == NULL)
        return NULL;
    words[n++] = strdup(PROGRAM);
    words[n++] = strdup(verb);
    for (int i = 0; i < cli->stores.n; i++)
        words[n++] = as_word(CLI_STORE, cli->stores.words[i]);
    if (cli->backend_opts.n > 0)
        words[n++] = as_word(CLI_BACKEND_OPT, cli->backend_opts.joined);
    if (cli_has(cli, CLI_BACKEND))
        words[n++] = as_word(CLI_BACKEND, cli->given[CLI_BACKEND]);
    for (int i = 0; i < CLI_N_OPTIONS; i++)
        if (cli->given[i] != NULL && cli_among(cli->command->options, i))
            words[n++] = as_word((enum cli_option_id)i, cli->given[i]);
    words[n++] = strdup("--");
    for (int i = 0; i < cli->n_words; i++)
        words[n++] = strdup(cli->words[i]);
    for (int i = 0; i < n; i++)
        if (words[i] == NULL)
            return NULL;
    return words;
}

/* Beside what this process runs; libtool keeps that a directory deeper. */
static void execute_beside(char **words)
{
    char self[PATH_MAX];
    char path[PATH_MAX + 32];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    const char *dir;

    if (n <= 0)
        return;
    self[n] = '\0';
    dir = dirname(self);
    (void)snprintf(path, sizeof path, "%s/%s", dir, PROGRAM);
    if (strcmp(dir + strlen(dir) - (strlen(dir) < 6 ? 0 : 6), "/.libs") == 0)
        (void)snprintf(path, sizeof path, "%s/../%s", dir, PROGRAM);
    (void)execv(path, words);
}

enum cli_exit cli_bench(const struct cli *cli)
{
    const char *wrong = refused(cli);
    char **words;

    if (wrong != NULL)
        return cli_usage(cli, wrong, NULL);
    words = words_of(cli);
    if (words == NULL)
        return cli_tell(CLI_EXIT_FAILURE, "out of memory");
    (void)fflush(NULL);
    execute_beside(words);
    if (errno == ENOENT)
        (void)execv(PKGLIBEXECDIR "/" PROGRAM, words);
    if (errno == ENOENT)
        return cli_tell(CLI_EXIT_FAILURE,
                        "%s is neither beside kedge nor in %s: it is installed with "
                        "kedge, or by 'make install'",
                        PROGRAM, PKGLIBEXECDIR);
    return cli_tell(CLI_EXIT_FAILURE, "%s cannot be started: %s", PROGRAM, strerror(errno));
}
