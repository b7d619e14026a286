/* cli.h - what the sub-commands of kedge share */
#ifndef KEDGE_CLI_H
#define KEDGE_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include <kedge/kedge.h>

/*
 * One table: the exit codes of every sub-command, fixed from the first day on so
 * that scripts may count on them.  X(name, value, meaning)
 */
#define CLI_EXIT_LIST(X)                                                                           \
    X(OK, 0, "success")                                                                            \
    X(FAILURE, 1, "failure, or the answer is no")                                                  \
    X(USAGE, 2, "the command line is wrong")                                                       \
    X(NOT_FOUND, 3, "there is no such thing")                                                      \
    X(STATE, 4, "it is in the wrong state for that")                                               \
    X(UNREACHABLE, 5, "the store cannot be reached")                                               \
    X(TIMEOUT, 6, "timed out")                                                                     \
    X(PERMISSION, 9, "not permitted, or read-only")

#define CLI_EXIT_ENUM(name, value, text) CLI_EXIT_##name = (value),
enum cli_exit { CLI_EXIT_LIST(CLI_EXIT_ENUM) };
#undef CLI_EXIT_ENUM

/* What the global options said. */
struct cli {
    const char *store;   /* -s, or KEDGE_STORE; NULL: neither */
    const char *backend; /* -b; NULL: the URL's scheme decides */
    const char *ns;      /* --namespace; NULL: the library's default */
    const char *limit;   /* --limit; NULL: not said; likewise: */
    const char *step;
    const char *why;
    const char *who;
    bool unserved;
    const struct cli_command *command;
};

/* ARGV holds the command's own arguments only, options removed. */
typedef enum cli_exit cli_run_fn(const struct cli *cli, int argc, char **argv);

/* The table in kedge.c; help texts and, one day, manual pages are made from it. */
struct cli_command {
    const char *name; /* one word, or two: "store info" */
    const char *args; /* as in a usage line */
    const char *summary;
    const char *details; /* whole lines; NULL: the summary says it all */
    cli_run_fn *run;
    uint32_t takes; /* CLI_TAKES_..., beside the options that all take */
};

#define CLI_TAKES_OWN  1u /* it reads its options itself: ARGV begins with the program's name */
#define CLI_TAKES_LIST 2u /* --limit, --unserved */
#define CLI_TAKES_WHY  4u /* --who, --why */
#define CLI_TAKES_STEP 8u

cli_run_fn cli_backends;
cli_run_fn cli_demo_archive;
cli_run_fn cli_demo_order;
cli_run_fn cli_help;
cli_run_fn cli_list;
cli_run_fn cli_request; /* of the verb that the command is called after */
cli_run_fn cli_show;
cli_run_fn cli_store_info;
cli_run_fn cli_store_init;
cli_run_fn cli_version;

extern const struct cli_command cli_commands[]; /* ends with a NULL name */

/* Print the help of COMMAND, or of the program if it is NULL. */
void cli_print_help(FILE *out, const struct cli_command *command);

/* The command that ARGV begins with; *WORDS of it are its name.  NULL: none. */
const struct cli_command *cli_find_command(int argc, char **argv, int *words);

/* Open the store at URL, which is NULL when none was named. */
enum cli_exit cli_open_store(const struct cli *cli, const char *url, uint32_t flags,
                             struct kedge_store **store);

/* "kedge: MESSAGE" on standard error, and the exit code for RC, which is not OK. */
enum cli_exit cli_fail(int rc, const struct kedge_error *err);

/* "kedge COMMAND: MESSAGE" and where to find help; CLI_EXIT_USAGE. */
enum cli_exit cli_usage(const struct cli *cli, const char *message, const char *word);

#endif
