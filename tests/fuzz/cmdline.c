/*
 * cmdline.c - fuzz target: the program's command line
 *
 * The input's lines are the words.  They are parsed, and nothing is run; what is accepted keeps the
 * promises that commands rely on, and what is refused is told in one line that a terminal shows as
 * it is, or that is JSON.  The same words are completed, unless they name a store.
 */
#include <config.h>

#include <string.h>

#include "../../cli/cli.h"
#include "../../cli/text.h"
#include "fuzz.h"

#define MOST_WORDS 32

#ifdef __GLIBC__

/* Standard error, while it is listened to; what is printed meanwhile is of no interest. */
struct heard {
    FILE *out;
    FILE *was;
    FILE *stream;
    char *text;
    size_t len;
};

static void listen(struct heard *h)
{
    static FILE *nowhere;

    if (nowhere == NULL) {
        nowhere = fopen("/dev/null", "w");
        MUST(nowhere != NULL);
    }
    h->out = stdout;
    stdout = nowhere;
    h->was = stderr;
    h->stream = open_memstream(&h->text, &h->len);
    MUST(h->stream != NULL);
    stderr = h->stream; /* the sanitizers use the descriptor */
}

static void check_line(const char *text, size_t len)
{
    struct kedge_bytes raw;

    MUST(len > 0 && text[len - 1] == '\n');
    if (text[0] == '{') {
        MUST(kedge_json_find(text, len, "/error/message", &raw, NULL) == KEDGE_OK);
        return;
    }
    MUST(strncmp(text, "kedge", 5) == 0);
    for (size_t i = 0; i + 1 < len; i++)
        MUST((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
}

/* One line was said if TOLD, else nothing. */
static void listened(struct heard *h, int told)
{
    stdout = h->out;
    stderr = h->was;
    MUST(fclose(h->stream) == 0);
    if (told)
        check_line(h->text, h->len);
    else
        MUST(h->len == 0);
    free(h->text);
}

#else

struct heard {
    int unused;
};

static void listen(struct heard *h)
{
    h->unused = 0;
}

static void listened(struct heard *h, int told)
{
    (void)h;
    (void)told;
}

#endif

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

/* Values of options, as the commands read them. */
static void read_values(const struct cli *cli)
{
    static const enum cli_option_id numbers[] = { CLI_LIMIT, CLI_FROM, CLI_NEW_VERSION,
                                                  CLI_WORKERS };
    static const enum cli_option_id spans[] = { CLI_OLDER, CLI_NEWER, CLI_WAIT, CLI_TIMEOUT };
    struct heard h;

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (!cli_has(cli, numbers[i]))
            continue;
        listen(&h);
        listened(&h, cli_number(cli, numbers[i]) == 0);
    }
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++) {
        int64_t us;

        if (!cli_has(cli, spans[i]))
            continue;
        listen(&h);
        us = cli_span(cli, spans[i]);
        listened(&h, us < 0);
        MUST(us == -1 || us > 0);
    }
}

/* What commands take for granted once they run. */
static void check(const struct cli *cli)
{
    MUST(cli->n_words >= cli->command->least && cli->n_words <= cli->command->most);
    MUST(cli->timeout_us > 0);
    MUST(!cli->lines || cli->json);
    for (int i = 0; i < CLI_N_OPTIONS; i++) {
        MUST(cli->given[i] == NULL || cli_takes(cli->command, i));
        MUST(cli->given[i] == NULL || cli_options[i].kind != CLI_FLAG || cli->given[i][0] == '\0');
    }
    MUST(cli->backend_opts.n > 0 ? cli_has(cli, CLI_BACKEND_OPT)
                                 : cli->backend_opts.joined[0] == '\0');
    MUST(strlen(cli->backend_opts.joined) < sizeof cli->backend_opts.joined);
    read_values(cli);
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
    struct heard h;

    for (int i = 0; i < n; i++) {
        if (words[i][0] == '-' && (words[i][1] == 's' || strncmp(words[i], "--s", 3) == 0))
            return; /* might open whatever is there */
        argv[i + 1] = words[i];
    }
    listen(&h);
    MUST(cli_completion(&cli) == CLI_EXIT_OK);
    listened(&h, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *argv[MOST_WORDS + 1] = { (char *)(uintptr_t) "kedge" };
    char *text = malloc(size + 1);
    enum cli_exit status;
    struct heard h;
    struct cli cli;
    int argc;

    MUST(text != NULL);
    escaped(data, size);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    argc = split(text, argv);
    completed(argv + 1, argc - 1);
    listen(&h);
    status = cli_parse(&cli, argc, argv);
    listened(&h, status != CLI_EXIT_OK);
    MUST(status == CLI_EXIT_OK || status == CLI_EXIT_USAGE);
    if (status == CLI_EXIT_OK && cli.command != NULL && !cli_has(&cli, CLI_HELP) &&
        !cli_has(&cli, CLI_VERSION))
        check(&cli);
    free(text);
    return 0;
}
