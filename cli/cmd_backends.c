/* cmd_backends.c - kedge backends */
#include <config.h>

#include <string.h>

#include "cli.h"

/* One backend is one block of name=value lines; an empty line stands between two. */
struct listing {
    bool begun;
    bool broken;
};

static void print_fact(void *ctx, const char *name, const char *value)
{
    (void)ctx;
    (void)printf("%s=%s\n", name, value);
}

static void begin_block(struct listing *l)
{
    if (l->begun)
        (void)putchar('\n');
    l->begun = true;
}

static int show(void *ctx, const char *name, const char *path, const struct kedge_error *problem)
{
    struct listing *l = ctx;
    struct kedge_error err;

    begin_block(l);
    if (problem != NULL) {
        (void)printf("name=%s\norigin=%s\nproblem=%s\n", name, path, problem->msg);
        l->broken = true;
        return 0;
    }
    if (kedge_backend_info(name, print_fact, NULL, &err) != KEDGE_OK) {
        (void)printf("name=%s\nproblem=%s\n", name, err.msg);
        l->broken = true;
        return 0;
    }
    if (strcmp(name, kedge_backend_default()) == 0)
        (void)printf("default=yes\n");
    return 0;
}

enum cli_exit cli_backends(const struct cli *cli, int argc, char **argv)
{
    struct listing l = { .begun = false };
    struct kedge_error err;
    int rc;

    if (argc == 0 && cli->backend == NULL) {
        rc = kedge_backend_each(show, &l, &err);
        if (rc != 0)
            return cli_fail(rc, &err);
        return l.broken ? CLI_EXIT_FAILURE : CLI_EXIT_OK;
    }
    for (int i = cli->backend != NULL ? -1 : 0; i < argc; i++) {
        begin_block(&l);
        rc = kedge_backend_info(i < 0 ? cli->backend : argv[i], print_fact, NULL, &err);
        if (rc != KEDGE_OK)
            return cli_fail(rc, &err);
    }
    return CLI_EXIT_OK;
}
