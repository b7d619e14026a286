/* cmd_demo.c - kedge demo archive: the command line */
#include <config.h>

#include "cli.h"

#ifndef HAVE_DEMO

enum cli_exit cli_demo_archive(const struct cli *cli, int argc, char **argv)
{
    (void)cli;
    (void)argc;
    (void)argv;
    (void)fprintf(stderr, "kedge: the demo was not built, as libcrypto, libzstd or cJSON was "
                          "missing or --with-demo=no was given to configure\n");
    return CLI_EXIT_FAILURE;
}

#else

#    include <errno.h>
#    include <fcntl.h>
#    include <getopt.h>
#    include <stdlib.h>
#    include <string.h>
#    include <sys/stat.h>
#    include <unistd.h>

#    include "demo/demo.h"

enum mode { MODE_ARCHIVE, MODE_VERIFY, MODE_WORKER };

struct line {
    enum mode mode;
    bool help;
    const char *url;
    char store[PATH_MAX + 8]; /* where it is without URL */
    struct demo demo;
};

/* ARGV[0] is the program; answers the index of the first word, -1 after a mistake. */
static int read_options(struct line *line, int argc, char **argv)
{
    static const struct option options[] = {
        { "store", required_argument, NULL, 's' },     { "backend", required_argument, NULL, 'b' },
        { "namespace", required_argument, NULL, 'N' }, { "help", no_argument, NULL, 'h' },
        { "workers", required_argument, NULL, 'w' },   { "verify", no_argument, NULL, 'v' },
        { "worker", no_argument, NULL, 'W' },          { NULL, 0, NULL, 0 },
    };
    char *end = NULL;
    unsigned long n;
    int c;

    optind = 0; /* glibc and musl: begin afresh */
    while ((c = getopt_long(argc, argv, "s:b:h", options, NULL)) != -1) {
        switch (c) {
        case 's':
            line->url = optarg;
            break;
        case 'b':
            line->demo.options.backend = optarg;
            break;
        case 'N':
            line->demo.options.ns = optarg;
            break;
        case 'h':
            line->help = true;
            break;
        case 'w':
            n = strtoul(optarg, &end, 10);
            if (*optarg < '0' || *optarg > '9' || *end != '\0' || n < 1 || n > 64) {
                (void)fprintf(stderr, "kedge: --workers takes a number from 1 to 64\n");
                return -1;
            }
            line->demo.workers = (unsigned)n;
            break;
        case 'v':
            line->mode = MODE_VERIFY;
            break;
        case 'W':
            line->mode = MODE_WORKER;
            break;
        default:
            return -1;
        }
    }
    return optind;
}

/* The destination must not be part of what is archived. */
static bool is_inside(const char *dest, const char *source)
{
    size_t len = strlen(source);

    return strcmp(source, "/") == 0 ||
           (strncmp(dest, source, len) == 0 && (dest[len] == '/' || dest[len] == '\0'));
}

static enum cli_exit dispatch(struct line *line, const char *source, const char *dest)
{
    line->demo.source = source;
    line->demo.dest = dest;
    if (is_inside(dest, source)) {
        (void)fprintf(stderr, "kedge: DEST must not be inside of SRC\n");
        return CLI_EXIT_USAGE;
    }
    (void)snprintf(line->store, sizeof line->store, "%s/store", dest);
    line->demo.url = line->url != NULL ? line->url : line->store;
    /* Its workers are processes, so the default is not a store in memory, whatever else it is. */
    if (line->url == NULL && line->demo.options.backend == NULL)
        line->demo.options.backend = "lmdb";
    line->demo.source_fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (line->demo.source_fd < 0)
        return demo_errno(source);
    line->demo.dest_fd = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (line->demo.dest_fd < 0)
        return demo_errno(dest);
    switch (line->mode) {
    case MODE_VERIFY:
        return demo_verify(&line->demo);
    case MODE_WORKER:
        return demo_worker(&line->demo);
    case MODE_ARCHIVE:
        break;
    }
    return demo_archive(&line->demo);
}

/* "there is no such thing" has an exit code of its own. */
static enum cli_exit no_place(const char *path)
{
    const bool missing = errno == ENOENT;
    enum cli_exit status = demo_errno(path);

    return missing ? CLI_EXIT_NOT_FOUND : status;
}

/* This command reads its options itself: ARGV begins with the program's name. */
enum cli_exit cli_demo_archive(const struct cli *cli, int argc, char **argv)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct line line = { .mode = MODE_ARCHIVE, .url = cli->store, .demo = { .workers = 2 } };
    enum cli_exit status;
    char *source;
    char *dest = NULL;
    int at;

    options.backend = cli->backend;
    options.ns = cli->ns;
    line.demo.options = options;
    at = read_options(&line, argc, argv);
    if (at < 0)
        return cli_usage(cli, "wrong option", NULL);
    if (line.help) {
        cli_print_help(stdout, cli->command);
        return CLI_EXIT_OK;
    }
    if (argc - at > 2)
        return cli_usage(cli, "one word too many:", argv[at + 2]);
    if (argc - at < 2)
        return cli_usage(cli, "name a directory to archive and one to archive into", NULL);
    source = realpath(argv[at], NULL);
    if (source == NULL)
        return no_place(argv[at]);
    if (line.mode != MODE_ARCHIVE || mkdir(argv[at + 1], 0777) == 0 || errno == EEXIST)
        dest = realpath(argv[at + 1], NULL);
    status = dest != NULL ? dispatch(&line, source, dest) : no_place(argv[at + 1]);
    free(source);
    free(dest);
    return status;
}

#endif
