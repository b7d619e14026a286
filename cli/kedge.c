/* kedge.c - the program: global options, the table of sub-commands, help */
#include <config.h>

#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define REASON                                                                                     \
    "  --why TEXT   the reason, for the run's record\n"                                            \
    "  --who TEXT   who asks (default: user@host)\n"
#define REASON_STEP "  --step NAME  one of them (default: all)\n" REASON

const struct cli_command cli_commands[] = {
    { "version", "", "print the version of the program and of the library", NULL, cli_version, 0 },
    { "backends", "[NAME|PATH...]", "list the storage backends, or describe the given ones",
      "Without arguments: every backend built into the library and every module in\n"
      "the plug-in directories; one that cannot be used is listed with the reason.\n"
      "A word with a '/' in it is the path of a module.\n",
      cli_backends, 0 },
    { "store info", "[URL]", "what a store is, can do and promises at this moment",
      "Opens the store (-s or URL) and prints what its backend says about it: version\n"
      "of the server or library behind it, capabilities, limits, and the durability\n"
      "in force.\n",
      cli_store_info, 0 },
    { "store init", "[URL]", "set a store up, if that was not done before",
      "Creates the namespace at that place; one that is there is left as it is.\n", cli_store_init,
      0 },
    { "list", "[OPTION...]", "list the runs, the newest first",
      "  --limit N   at most so many\n"
      "  --unserved  only those that are due and that no worker alive serves\n\n"
      "A byte of an id that cannot be shown is written \\xHH, a backslash \\\\.\n",
      cli_list, CLI_TAKES_LIST },
    { "show", "ID", "what is known of a run, and what became of its steps",
      "ID may be written as list shows it.  A state with a '?' is in doubt: the step may\n"
      "have taken effect without a record.\n",
      cli_show, 0 },
    { "cancel", "ID", "stop a run at its next step, and take back what it did",
      "The run ends as cancelled, unless it is faster.\n\n" REASON, cli_request, CLI_TAKES_WHY },
    { "pause", "ID", "let a run start no further step", REASON, cli_request, CLI_TAKES_WHY },
    { "resume", "ID", "let a run go on that was paused, or set aside, or is stuck in a crash loop",
      REASON, cli_request, CLI_TAKES_WHY },
    { "undo", "ID", "take back what a completed or halted run did", REASON, cli_request,
      CLI_TAKES_WHY },
    { "retry", "ID", "go forward again with a run that failed or was cancelled",
      "From the steps that failed or were taken back, under new idempotency keys.\n\n" REASON,
      cli_request, CLI_TAKES_WHY },
    { "retry-new", "ID", "start a new run with the input of one that came to no good end", REASON,
      cli_request, CLI_TAKES_WHY },
    { "retry-undo", "ID", "try again the undos that a run is stuck in", REASON_STEP, cli_request,
      CLI_TAKES_WHY | CLI_TAKES_STEP },
    { "skip-undo", "ID", "leave undone the undos that a run is stuck in, and go on", REASON_STEP,
      cli_request, CLI_TAKES_WHY | CLI_TAKES_STEP },
    { "mark-undone", "ID", "say that what a run is stuck in was undone by hand, and go on",
      REASON_STEP, cli_request, CLI_TAKES_WHY | CLI_TAKES_STEP },
    { "abandon", "ID", "give a run up as it is, if it is stuck or no worker holds it",
      "It ends as aborted, undoes nothing, and is kept.\n\n" REASON, cli_request, CLI_TAKES_WHY },
    { "demo archive", "SRC DEST [OPTION...]", "archive a directory by runs that can be killed",
      "Every regular file below SRC becomes a run of four steps: fingerprint, compress,\n"
      "publish, index.  Kill one of the worker processes, or this one, with -9: nothing\n"
      "is lost, and the same command goes on where it was.\n\n"
      "  --workers N  worker processes (default: 2)\n"
      "  --verify     archive nothing; compare what is in DEST with SRC\n\n"
      "Without -s the store is DEST/store.  A file whose run has ended is not looked at\n"
      "again.  DEST/log tells which step ran when, and where.  Paths are written with\n"
      "%XX for '%', spaces and bytes that are not printable ASCII.\n",
      cli_demo_archive, CLI_TAKES_OWN },
    { "demo order", "[--no-kill]", "a saga that fails, killed while it takes back what it did",
      "Reserve, screen, charge, ship; shipping fails.  Shows the steps as they stand in the\n"
      "store while worker processes carry the run, and kills the first one with -9 in the\n"
      "middle of undoing the charge.\n\n"
      "  --no-kill  let it live\n\n"
      "Without -s the store is a temporary one, which is removed at the end.\n",
      cli_demo_order, CLI_TAKES_OWN },
    { "help", "[COMMAND]", "explain a command", NULL, cli_help, 0 },
    { NULL, NULL, NULL, NULL, NULL, 0 },
};

static const char short_options[] = "s:b:h";
static const struct option long_options[] = {
    { "store", required_argument, NULL, 's' },
    { "backend", required_argument, NULL, 'b' },
    { "namespace", required_argument, NULL, 'N' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { "limit", required_argument, NULL, 'L' },
    { "unserved", no_argument, NULL, 'U' },
    { "step", required_argument, NULL, 'S' },
    { "why", required_argument, NULL, 'Y' },
    { "who", required_argument, NULL, 'O' },
    { NULL, 0, NULL, 0 },
};

static const char options_help[] =
    "  -s, --store URL          the store to use (or set KEDGE_STORE)\n"
    "  -b, --backend NAME|PATH  the backend that must keep it; a path loads a module\n"
    "      --namespace NAME     the part of the store to work in (default: default)\n"
    "  -h, --help               explain the program or the command\n"
    "      --version            print the version\n";

void cli_print_help(FILE *out, const struct cli_command *command)
{
    if (command != NULL) {
        (void)fprintf(out, "usage: kedge [OPTION...] %s%s%s\n\n%s\n", command->name,
                      command->args[0] != '\0' ? " " : "", command->args, command->summary);
        if (command->details != NULL)
            (void)fprintf(out, "\n%s", command->details);
        (void)fprintf(out, "\nOptions:\n%s", options_help);
        return;
    }
    (void)fprintf(out, "usage: kedge [OPTION...] COMMAND [ARG...]\n\nCommands:\n");
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
        (void)fprintf(out, "  %-12s %-16s %s\n", c->name, c->args, c->summary);
    (void)fprintf(out, "\nOptions, before or after the command:\n%s\nExit status:\n", options_help);
#define CLI_EXIT_LINE(name, value, text) (void)fprintf(out, "  %d  %s\n", value, text);
    CLI_EXIT_LIST(CLI_EXIT_LINE)
#undef CLI_EXIT_LINE
}

const struct cli_command *cli_find_command(int argc, char **argv, int *words)
{
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        const char *space = strchr(c->name, ' ');

        if (space == NULL) {
            if (argc >= 1 && strcmp(argv[0], c->name) == 0) {
                *words = 1;
                return c;
            }
        } else if (argc >= 2 && strlen(argv[0]) == (size_t)(space - c->name) &&
                   strncmp(argv[0], c->name, (size_t)(space - c->name)) == 0 &&
                   strcmp(argv[1], space + 1) == 0) {
            *words = 2;
            return c;
        }
    }
    return NULL;
}

enum cli_exit cli_usage(const struct cli *cli, const char *message, const char *word)
{
    const char *space = cli->command != NULL ? " " : "";
    const char *name = cli->command != NULL ? cli->command->name : "";

    (void)fprintf(stderr, "kedge%s%s: %s", space, name, message);
    if (word != NULL)
        (void)fprintf(stderr, " '%s'", word);
    (void)fprintf(stderr, "; see kedge help%s%s\n", space, name);
    return CLI_EXIT_USAGE;
}

enum { WANT_RUN, WANT_HELP, WANT_VERSION, WANT_NOTHING };

/*
 * Take the options out of ARGV: all of them, or (STOP) those before the first
 * other word.  Answers what they ask for; WANT_NOTHING after a mistake, which
 * getopt has named already.
 */
static int take_options(struct cli *cli, bool stop, int argc, char **argv)
{
    char spec[sizeof short_options + 1];
    int want = WANT_RUN;
    int c;

    (void)snprintf(spec, sizeof spec, "%s%s", stop ? "+" : "", short_options);
    optind = 0; /* glibc and musl: begin afresh */
    while ((c = getopt_long(argc, argv, spec, long_options, NULL)) != -1) {
        switch (c) {
        case 's':
            cli->store = optarg;
            break;
        case 'b':
            cli->backend = optarg;
            break;
        case 'N':
            cli->ns = optarg;
            break;
        case 'L':
            cli->limit = optarg;
            break;
        case 'U':
            cli->unserved = true;
            break;
        case 'S':
            cli->step = optarg;
            break;
        case 'Y':
            cli->why = optarg;
            break;
        case 'O':
            cli->who = optarg;
            break;
        case 'h':
            want = WANT_HELP;
            break;
        case 'V':
            if (want == WANT_RUN)
                want = WANT_VERSION;
            break;
        default:
            return WANT_NOTHING;
        }
    }
    return want;
}

/* An option that the command has no use for. */
static const char *refuses(const struct cli *cli)
{
    uint32_t takes = cli->command->takes;

    if (cli->limit != NULL && (takes & CLI_TAKES_LIST) == 0)
        return "takes no --limit";
    if (cli->unserved && (takes & CLI_TAKES_LIST) == 0)
        return "takes no --unserved";
    if (cli->step != NULL && (takes & CLI_TAKES_STEP) == 0)
        return "takes no --step";
    if (cli->why != NULL && (takes & CLI_TAKES_WHY) == 0)
        return "takes no --why";
    return cli->who != NULL && (takes & CLI_TAKES_WHY) == 0 ? "takes no --who" : NULL;
}

static enum cli_exit run(struct cli *cli, int argc, char **argv)
{
    const char *refused;
    static char program[] = "kedge";
    int words = 0;
    int want;

    argv[0] = program; /* what getopt calls us, rather than the path of a wrapper */
    want = take_options(cli, true, argc, argv);
    if (want == WANT_NOTHING)
        return cli_usage(cli, "wrong option", NULL);
    argc -= optind;
    argv += optind;
    if (want == WANT_RUN && argc == 0) {
        cli_print_help(stderr, NULL);
        return CLI_EXIT_USAGE;
    }
    if (want == WANT_VERSION)
        return cli_version(cli, 0, NULL);
    if (argc > 0) {
        cli->command = cli_find_command(argc, argv, &words);
        if (cli->command == NULL)
            return cli_usage(cli, "there is no command", argv[0]);
        /* The last word of the name takes the place of the program's. */
        argc -= words - 1;
        argv += words - 1;
        argv[0] = program;
        if ((cli->command->takes & CLI_TAKES_OWN) != 0)
            return cli->command->run(cli, argc, argv);
        switch (take_options(cli, false, argc, argv)) {
        case WANT_HELP:
            want = WANT_HELP;
            break;
        case WANT_NOTHING:
            return cli_usage(cli, "wrong option", NULL);
        case WANT_VERSION:
            return cli_version(cli, 0, NULL);
        default:
            break;
        }
        argc -= optind;
        argv += optind;
    }
    if (want == WANT_HELP) {
        cli_print_help(stdout, cli->command);
        return CLI_EXIT_OK;
    }
    refused = refuses(cli);
    if (refused != NULL)
        return cli_usage(cli, refused, NULL);
    return cli->command->run(cli, argc, argv);
}

int main(int argc, char **argv)
{
    struct cli cli = { .store = getenv("KEDGE_STORE") };
    enum cli_exit status;

    if (argc < 1)
        return CLI_EXIT_USAGE;
    (void)setlocale(LC_CTYPE, ""); /* which characters can be shown */
    status = run(&cli, argc, argv);
    /* A full disk behind standard output is a failure, not a silent success. */
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        perror("kedge: standard output");
        if (status == CLI_EXIT_OK)
            status = CLI_EXIT_FAILURE;
    }
    return (int)status;
}
