/*
 * after.c - what a server thinks of a session after each kind of call; speaks TAP, without a plan
 *
 *	./after BACKEND URL COMMAND          COMMAND succeeds if all is well
 */
#include <stdlib.h>

#include <kedge/store.h>

#include "conform/stage.h"

static int n_failed;

static void asked(const struct stage_op *op, const char *when, const char *command)
{
    bool good = system(command) == 0; /* NOLINT(cert-env33-c): it is the test's own */

    n_failed += !good;
    printf("%sok - after %s%s\n", good ? "" : "not ", op->name, when);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct world w;
    static struct stage stage;
    const struct kedge_backend_ops *ops;
    struct kedge_error err = { 0 };

    if (argc != 4) {
        (void)fputs("usage: after BACKEND URL COMMAND\n", stderr);
        return 2;
    }
    if (kedge_backend_find(argv[1], &ops, &err) != KEDGE_OK) {
        printf("Bail out! %s\n", err.msg);
        return 1;
    }
    world_open(&w, argv[1], ops, argv[2], "after", 1);
    clock_follow();
    stage.lease = lease_make(&w, SEC(7200));
    for (size_t i = 0; i < stage_n_ops; i++) {
        const struct stage_op *op = &stage_ops[i];
        int rc;

        if (op->there != NULL && !op->there(&w))
            continue;
        context("%s", op->name);
        stage_begin(&stage, op, &w, &w, PATIENCE);
        check_rc(__FILE__, __LINE__, op->name, &w, op->call(&stage), KEDGE_OK);
        asked(op, "", argv[3]);
        rc = op->call(&stage);
        if (rc != KEDGE_OK)
            check_rc(__FILE__, __LINE__, op->name, &w, rc, op->again);
        asked(op, ", sent again", argv[3]);
        if (op->check != NULL)
            op->check(&stage);
    }
    world_forget(&w);
    world_close(&w);
    return n_failed > 0;
}
