/*
 * cmdline.c - fuzz target: the program's command line
 *
 * The input's lines are the words.  They are parsed, and nothing is run; what is accepted keeps the
 * promises that commands rely on.  Then the same words are completed, unless they name a store.
 */
#include <config.h>

#include <string.h>

#include "../../cli/cli.h"
#include "../../cli/text.h"
#include "fuzz.h"

#define MOST_WORDS 32

/* What is told to somebody at a terminal is of no interest here. */
static void be_quiet(void)
{
#ifdef __GLIBC__
    static FILE *nowhere;

    if (nowhere == NULL) {
        nowhere = fopen("/dev/null", "w");
        MUST(nowhere != NULL);
        stdout = nowhere;
        stderr = nowhere; /* the sanitizers use the descriptor */
    }
#endif
}

/* Lines of TEXT, which ends with a NUL, as words after the program's name. */
static int split(char *text, char **argv)
{
    int n = 1;

    while (n < MOST_WORDS) {
        char *end = strchr(text, '\n');

        argv[n++] = text;
        if (end == NULL)
            break;
        *end = '\0';
        text = end + 1;
    }
    argv[n] = NULL;
    return n;
}

/* What commands take for granted once they run. */
static void check(const struct cli *cli)
{
    const uint64_t takes = CLI_EVERYWHERE | cli->command->options;

    MUST(cli->n_words >= cli->command->least && cli->n_words <= cli->command->most);
    MUST(cli->timeout_us > 0);
    MUST(!cli->lines || cli->json);
    for (int i = 0; i < CLI_N_OPTIONS; i++) {
        MUST(cli->given[i] == NULL || (takes & (UINT64_C(1) << i)) != 0);
        MUST(cli->given[i] == NULL || cli_options[i].kind != CLI_FLAG || cli->given[i][0] == '\0');
    }
    if (cli_has(cli, CLI_LIMIT))
        (void)cli_number(cli, CLI_LIMIT);
    if (cli_has(cli, CLI_OLDER)) {
        int64_t us = cli_span(cli, CLI_OLDER);

        MUST(us == -1 || us > 0);
    }
}

/* An id as it is written is an id that is read. */
static void escaped(const uint8_t *data, size_t size)
{
    char *text = cli_escape((struct kedge_bytes){ data, size }, false);

    MUST(text != NULL);
    MUST(cli_unescape(text) == size && memcmp(text, data, size) == 0);
    free(text);
}

static void completed(char *const *words, int n)
{
    char *argv[MOST_WORDS + 1] = { (char *)(uintptr_t) "words" };
    struct cli cli = { .words = argv, .n_words = n + 1 };

    for (int i = 0; i < n; i++) {
        if (words[i][0] == '-' && (words[i][1] == 's' || strncmp(words[i], "--s", 3) == 0))
            return; /* might open whatever is there */
        argv[i + 1] = words[i];
    }
    MUST(cli_completion(&cli) == CLI_EXIT_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *argv[MOST_WORDS + 1] = { (char *)(uintptr_t) "kedge" };
    char *text = malloc(size + 1);
    enum cli_exit status;
    struct cli cli;
    int argc;

    MUST(text != NULL);
    be_quiet();
    escaped(data, size);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    argc = split(text, argv);
    completed(argv + 1, argc - 1);
    status = cli_parse(&cli, argc, argv);
    MUST(status == CLI_EXIT_OK || status == CLI_EXIT_USAGE);
    if (status == CLI_EXIT_OK && cli.command != NULL && !cli_has(&cli, CLI_HELP) &&
        !cli_has(&cli, CLI_VERSION))
        check(&cli);
    free(text);
    return 0;
}
