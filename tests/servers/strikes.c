/*
 * strikes.c - every operation while its server ends its connections; speaks TAP, without a plan
 *
 *	./strikes BACKEND URL STRUCK-URL COMMAND [OPERATION]...
 *
 * COMMAND, which runs all the while, does what it can to the connections of STRUCK-URL, at moments
 * that nobody chooses, and leaves those of URL alone: a server says something before it ends a
 * connection, which no proxy does.  What must hold is in conform/harm.h.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kedge/store.h>

#include "conform/harm.h"

#define FOR_EACH SEC(5)
#define TRIES    1000

static struct world direct;
static struct world struck;
static struct harm harm;

static void strike(const char *command)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid != 0)
        return;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

/* For a while, and until something has happened to it. */
static int strikes_at(const struct stage_op *op)
{
    int64_t until = real_us() + FOR_EACH;
    int n = 0;

    while (real_us() < until) {
        harm_prepare_things(&harm, op);
        harm.what = "struck";
        n += harm_call(&harm, PATIENT) != KEDGE_OK;
        harm_judge(&harm);
        harm_over(&harm);
    }
    return n;
}

static bool wanted(const struct stage_op *op, char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(op->name, names[i]) == 0)
            return true;
    return n == 0;
}

int main(int argc, char **argv)
{
    const struct kedge_backend_ops *ops;
    struct kedge_error err = { 0 };
    int all = 0;

    if (argc < 5) {
        (void)fputs("usage: strikes BACKEND URL STRUCK-URL COMMAND [OPERATION]...\n", stderr);
        return 2;
    }
    if (kedge_backend_find(argv[1], &ops, &err) != KEDGE_OK) {
        printf("Bail out! %s\n", err.msg);
        return 1;
    }
    (void)signal(SIGPIPE, SIG_DFL);
    world_open(&direct, argv[1], ops, argv[2], "strikes", 1);
    world_open(&struck, argv[1], ops, argv[3], "strikes", 2);
    clock_follow();
    harm_begin(&harm, &direct, &struck, TRIES);
    strike(argv[4]);
    for (size_t i = 0; i < stage_n_ops; i++) {
        const struct stage_op *op = &stage_ops[i];

        if (!wanted(op, argv + 5, argc - 5) || (op->there != NULL && !op->there(&direct)))
            continue;
        all += strikes_at(op);
        printf("ok - %s: %s while its connections are ended\n", argv[1], op->name);
        (void)fflush(stdout);
    }
    harm_note(&harm, all);
    printf("%sok - %s: some calls were struck\n", all > 0 ? "" : "not ", argv[1]);
    world_forget(&direct);
    world_close_own(&struck);
    world_close(&direct);
    return all > 0 ? 0 : 1;
}
