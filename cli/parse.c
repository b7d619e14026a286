/*
 * parse.c - a command line, by the table
 *
 * Options may stand anywhere: they are taken out first, and what remains is the command's name and
 * its words.  An option that the command has no use for is a mistake, not passed over.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define TIMEOUT_US INT64_C(10000000)

/* The numbers that getopt answers: letters are what they are, options without one come after. */
#define FIRST_CODE 256

/* COMMAND tells which of two options of one name is meant. */
static void make_getopt(const struct cli_command *command, char *letters, struct option *longs)
{
    const int other = cli_takes(command, CLI_RESULTS) ? CLI_JSON : CLI_RESULTS;

    *letters++ = ':'; /* "a value is missing" is told apart, and getopt prints nothing */
    for (int i = 0; i < CLI_N_OPTIONS; i++) {
        const struct cli_option *o = &cli_options[i];

        if (i == other)
            continue;
        *longs++ = (struct option){ o->name,
                                    o->kind == CLI_FLAG    ? no_argument
                                    : o->kind == CLI_VALUE ? required_argument
                                                           : optional_argument,
                                    NULL, FIRST_CODE + i };
        if (o->letter != 0) {
            *letters++ = o->letter;
            if (o->kind == CLI_VALUE)
                *letters++ = ':';
        }
    }
    *letters = '\0';
    *longs = (struct option){ NULL, 0, NULL, 0 };
}

/* Options may come before the command that says what one of them means: look for it first. */
static const struct cli_command *look_for_command(int argc, char *const *argv)
{
    char **copy = calloc((size_t)argc + 1, sizeof *copy);
    struct option longs[CLI_N_OPTIONS + 1];
    char letters[2 * CLI_N_OPTIONS + 2];
    const struct cli_command *found = NULL;
    int taken = 0;

    if (copy == NULL)
        return NULL;
    memcpy(copy, argv, (size_t)argc * sizeof *copy);
    make_getopt(NULL, letters, longs);
    optind = 0; /* glibc and musl: begin afresh */
    opterr = 0;
    while (getopt_long(argc, copy, letters, longs, NULL) != -1)
        ;
    found = cli_find_command(copy + optind, argc - optind, &taken);
    free(copy);
    return found;
}

static int option_of(int code)
{
    if (code >= FIRST_CODE)
        return code - FIRST_CODE;
    for (int i = 0; i < CLI_N_OPTIONS; i++) {
        if (cli_options[i].letter != 0 && cli_options[i].letter == code)
            return i;
    }
    return -1;
}

/* A mistake among options comes before it is known how it is to be told. */
static void look_for_json(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "--jsonl") == 0)
            cli_errors_as_json();
    }
}

static enum cli_exit wrong_option(const struct cli *cli, int code, const char *at)
{
    char letter[3] = { '-', (char)optopt, '\0' };
    const char *name = optopt > 0 && optopt < FIRST_CODE ? letter : at;

    if (code == ':')
        return cli_usage(cli, "a value is missing after", name);
    if (optopt >= FIRST_CODE)
        return cli_usage(cli, "there is to be no value in", name);
    return cli_usage(cli, "there is no option", name);
}

static enum cli_exit take_options(struct cli *cli, int argc, char **argv)
{
    struct option longs[CLI_N_OPTIONS + 1];
    char letters[2 * CLI_N_OPTIONS + 2];
    const char *wrong = NULL;
    int c;

    make_getopt(look_for_command(argc, argv), letters, longs);
    optind = 0;
    while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        int i = option_of(c);

        if (i < 0) {
            look_for_json(argc, argv);
            return wrong_option(cli, c, argv[optind - 1]);
        }
        cli->given[i] = optarg != NULL ? optarg : "";
        if (i == CLI_BACKEND_OPT)
            wrong = cli_add_backend_opt(&cli->backend_opts, cli->given[i]);
        if (i == CLI_STORE && cli->stores.n == CLI_MOST_STORES)
            wrong = "--store is given too often";
        else if (i == CLI_STORE)
            cli->stores.words[cli->stores.n++] = cli->given[i];
        if (wrong != NULL) {
            look_for_json(argc, argv);
            return cli_usage(cli, wrong, NULL);
        }
    }
    return CLI_EXIT_OK;
}

const struct cli_command *cli_find_command(char *const *words, int n, int *taken)
{
    const struct cli_command *found = NULL;

    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        const char *space = strchr(c->name, ' ');

        if (space == NULL) {
            if (n >= 1 && found == NULL && strcmp(words[0], c->name) == 0) {
                found = c;
                *taken = 1;
            }
        } else if (n >= 2 && strlen(words[0]) == (size_t)(space - c->name) &&
                   strncmp(words[0], c->name, (size_t)(space - c->name)) == 0 &&
                   strcmp(words[1], space + 1) == 0) {
            *taken = 2;
            return c; /* "demo archive" rather than "demo" */
        }
    }
    return found;
}

/* ------------------------------------------------------------------- values */

const char *cli_add_backend_opt(struct cli_backend_opts *opts, const char *word)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *equals = strchr(word, '=');
    size_t used = strlen(opts->joined);
    char *to = opts->joined + used;

    if (equals == NULL || equals == word)
        return "--backend-opt takes NAME=VALUE";
    if (opts->n == CLI_MOST_BACKEND_OPTS || used + 3 * strlen(word) + 2 > sizeof opts->joined)
        return "--backend-opt is given too often, or is too long";
    opts->words[opts->n++] = word;
    if (used > 0)
        *to++ = '&';
    for (const char *at = word; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;

        if (at == equals || c == '-' || c == '.' || c == '_' || c == '/' ||
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) {
            *to++ = *at;
        } else {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        }
    }
    *to = '\0';
    return NULL;
}

uint64_t cli_number(const struct cli *cli, enum cli_option_id id)
{
    const char *text = cli->given[id];
    char message[80];
    char *end = NULL;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && n != 0)
        return n;
    (void)snprintf(message, sizeof message, "--%s takes a positive number, not",
                   cli_options[id].name);
    (void)cli_usage(cli, message, text);
    return 0;
}

int64_t cli_span(const struct cli *cli, enum cli_option_id id)
{
    static const struct {
        const char *unit;
        int64_t us;
    } units[] = {
        { "us", 1 },           { "ms", 1000 },         { "s", 1000000 },       { "m", 60000000 },
        { "h", 3600000000LL }, { "d", 86400000000LL }, { "w", 604800000000LL }
    };
    const char *text = cli->given[id];
    char message[120];
    char *end = NULL;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && errno == 0 && n != 0) {
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            if (strcmp(end, units[i].unit) == 0 && n <= (uint64_t)(INT64_MAX / units[i].us / 4))
                return (int64_t)n * units[i].us;
        }
    }
    (void)snprintf(message, sizeof message,
                   "--%s takes a number and a unit (us, ms, s, m, h, d, w), like 90s, not",
                   cli_options[id].name);
    (void)cli_usage(cli, message, text);
    return -1;
}

/* ----------------------------------------------------------------- the whole */

static bool may_color(const char *when)
{
    const char *none = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    if (when != NULL && strcmp(when, "auto") != 0)
        return strcmp(when, "always") == 0;
    return (none == NULL || none[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0 &&
           isatty(STDOUT_FILENO) != 0;
}

/* What all commands take. */
static enum cli_exit general(struct cli *cli)
{
    const char *color = cli->given[CLI_COLOR];

    cli->lines = cli_has(cli, CLI_JSONL);
    cli->json = cli->lines || cli_has(cli, CLI_JSON);
    if (cli->json)
        cli_errors_as_json();
    if (cli_has(cli, CLI_JSONL) && cli_has(cli, CLI_JSON))
        return cli_usage(cli, "--json or --jsonl, not both", NULL);
    if (color != NULL && strcmp(color, "auto") != 0 && strcmp(color, "always") != 0 &&
        strcmp(color, "never") != 0)
        return cli_usage(cli, "--color is auto, always or never, not", color);
    cli->color = !cli->json && may_color(color);
    cli->timeout_us = TIMEOUT_US;
    if (cli_has(cli, CLI_TIMEOUT))
        cli->timeout_us = cli_span(cli, CLI_TIMEOUT);
    return cli->timeout_us > 0 ? CLI_EXIT_OK : CLI_EXIT_USAGE;
}

/* Those of the command. */
static enum cli_exit particular(const struct cli *cli)
{
    for (int i = 0; i < CLI_N_OPTIONS; i++) {
        if (cli->given[i] != NULL && !cli_takes(cli->command, i)) {
            char message[64];

            (void)snprintf(message, sizeof message, "takes no --%s", cli_options[i].name);
            return cli_usage(cli, message, NULL);
        }
    }
    if (cli->n_words < cli->command->least)
        return cli_usage(cli, cli->command->missing, NULL);
    if (cli->n_words > cli->command->most)
        return cli_usage(cli, "one word too many:", cli->words[cli->command->most]);
    return CLI_EXIT_OK;
}

enum cli_exit cli_parse(struct cli *cli, int argc, char **argv)
{
    static char program[] = "kedge";
    enum cli_exit status;
    int taken = 0;

    *cli = (struct cli){ .timeout_us = TIMEOUT_US };
    argv[0] = program;
    status = take_options(cli, argc, argv);
    if (status == CLI_EXIT_OK)
        status = general(cli);
    if (status != CLI_EXIT_OK)
        return status;
    cli->words = argv + optind;
    cli->n_words = argc - optind;
    if (cli->n_words > 0) {
        cli->command = cli_find_command(cli->words, cli->n_words, &taken);
        if (cli->command == NULL)
            return cli_usage(cli, "there is no command", cli->words[0]);
        cli->words += taken;
        cli->n_words -= taken;
    }
    if (cli->command == NULL || cli_has(cli, CLI_HELP) || cli_has(cli, CLI_VERSION))
        return CLI_EXIT_OK;
    return particular(cli);
}
