/* cmd_demo.c - kedge demo archive: the command line */
#include <config.h>

#include "cli.h"

#ifndef HAVE_DEMO

enum cli_exit cli_demo_archive(const struct cli *cli)
{
    (void)cli;
    return cli_tell(CLI_EXIT_FAILURE, "the demo was not built, as libcrypto or libzstd was missing "
                                      "or --with-demo=no was given to configure");
}

#else

#    include <errno.h>
#    include <fcntl.h>
#    include <stdlib.h>
#    include <string.h>
#    include <sys/stat.h>
#    include <unistd.h>

#    include "demo/demo.h"

/* The destination must not be part of what is archived. */
static bool is_inside(const char *dest, const char *source)
{
    size_t len = strlen(source);

    return strcmp(source, "/") == 0 ||
           (strncmp(dest, source, len) == 0 && (dest[len] == '/' || dest[len] == '\0'));
}

static enum cli_exit dispatch(const struct cli *cli, struct demo *demo)
{
    if (is_inside(demo->dest, demo->source))
        return cli_tell(CLI_EXIT_USAGE, "DEST must not be inside of SRC");
    demo->source_fd = open(demo->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (demo->source_fd < 0)
        return demo_errno(demo->source);
    demo->dest_fd = open(demo->dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (demo->dest_fd < 0)
        return demo_errno(demo->dest);
    if (cli_has(cli, CLI_VERIFY))
        return demo_verify(demo);
    return cli_has(cli, CLI_WORKER) ? demo_worker(demo) : demo_archive(demo);
}

/* Where the store is: as was said, or below DEST. */
static void place_store(const struct cli *cli, struct demo *demo, char *room, size_t size)
{
    struct kedge_store_options options = cli_store_options(cli);

    demo->url = cli->given[CLI_STORE]; /* not KEDGE_STORE: that one may be for real work */
    /* Its workers are processes, so the default is not a store in memory, whatever else it is. */
    if (demo->url == NULL && options.backend == NULL)
        options.backend = "lmdb";
    demo->options = options;
    (void)snprintf(room, size, "%s/store", demo->dest);
    if (demo->url == NULL)
        demo->url = room;
}

/* "there is no such thing" has an exit code of its own. */
static enum cli_exit no_place(const char *path)
{
    const bool missing = errno == ENOENT;
    enum cli_exit status = demo_errno(path);

    return missing ? CLI_EXIT_NOT_FOUND : status;
}

enum cli_exit cli_demo_archive(const struct cli *cli)
{
    struct demo demo = { .workers = 2, .cli = cli };
    char store[PATH_MAX + 8];
    enum cli_exit status;
    uint64_t n = 2;
    char *source;
    char *dest = NULL;

    if (cli->json)
        return cli_usage(cli, "a demo is to be looked at, and prints no JSON", NULL);
    if (cli_has(cli, CLI_WORKERS))
        n = cli_number(cli, CLI_WORKERS);
    if (n > 64)
        return cli_usage(cli, "--workers takes a number from 1 to 64, not",
                         cli->given[CLI_WORKERS]);
    if (n == 0)
        return CLI_EXIT_USAGE;
    demo.workers = (unsigned)n;
    source = realpath(cli->words[0], NULL);
    if (source == NULL)
        return no_place(cli->words[0]);
    if (cli_has(cli, CLI_VERIFY) || cli_has(cli, CLI_WORKER) || mkdir(cli->words[1], 0777) == 0 ||
        errno == EEXIST)
        dest = realpath(cli->words[1], NULL);
    demo.source = source;
    demo.dest = dest;
    if (dest != NULL)
        place_store(cli, &demo, store, sizeof store);
    status = dest != NULL ? dispatch(cli, &demo) : no_place(cli->words[1]);
    free(source);
    free(dest);
    return status;
}

#endif
