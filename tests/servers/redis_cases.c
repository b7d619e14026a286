/*
 * redis_cases.c - runs the cases of redis_cases.h
 *
 *	./redis_cases URL [CASE]...
 *
 * What a case may want is in the environment: see there.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kedge/store.h>

#include "redis_cases.h"

#define CASE_SECONDS 120u
#define EXIT_SKIP    77

static const struct kedge_backend_ops *ops;
static int n_tests;
static int n_failed;

void shell(const char *command, char *text, size_t size)
{
    FILE *f = popen(command, "r"); /* NOLINT(cert-env33-c) */
    size_t n = 0;
    char rest[256];
    int status;

    expect(f != NULL);
    if (text != NULL) {
        n = fread(text, 1, size - 1, f);
        text[n] = '\0';
    }
    while (fread(rest, 1, sizeof rest, f) > 0)
        ;
    status = pclose(f);
    if (status != 0)
        fail_case(__FILE__, __LINE__, "`%s' ended with status %d", command, status);
}

struct run *runs_held(struct world *w, size_t n)
{
    struct kedge_id128 lease = lease_make(w, TTL);
    struct run *runs = calloc(n, sizeof *runs);

    expect(runs != NULL);
    for (size_t i = 0; i < n; i++)
        runs[i] = run_held(w, name(w, "run-%zu", i), lease);
    return runs;
}

void append_to(struct tx *t, struct run *r, const char *text)
{
    g_held(t, r);
    (void)c_append(t, r->id, r->position + 1, str(text));
    r->position++;
}

void append_batch(struct world *w, struct run *runs, size_t n)
{
    struct tx *txs[BATCH_MOST] = { NULL };

    expect(n <= BATCH_MOST);
    for (size_t i = 0; i < n; i++) {
        txs[i] = tx_new(w);
        append_to(txs[i], &runs[i], APPENDED);
    }
    tx_send_batch(w, txs, n);
    for (size_t i = 0; i < n; i++)
        expect_outcome(txs[i], KEDGE_OK);
}

static _Noreturn void run_case(const struct redis_case *c, const char *url)
{
    static struct world w;

    (void)alarm(CASE_SECONDS);
    world_open(&w, "redis", ops, url, c->name, 1);
    c->run(&w);
    world_close(&w);
    (void)fflush(NULL);
    exit(0);
}

static void try_case(const struct redis_case *c, const char *url)
{
    pid_t pid;
    int status = -1;

    (void)fflush(NULL);
    pid = fork();
    if (pid == 0)
        run_case(c, url);
    if (pid > 0)
        (void)waitpid(pid, &status, 0);
    n_tests++;
    if (status == 0) {
        printf("ok %d - %s: %s\n", n_tests, c->name, c->what);
    } else if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP) {
        printf("ok %d - %s: %s # SKIP see above\n", n_tests, c->name, c->what);
    } else {
        printf("not ok %d - %s: %s\n# wait status %d\n", n_tests, c->name, c->what, status);
        n_failed++;
    }
}

static bool is_wanted(const char *name, char *const *names)
{
    if (*names == NULL)
        return true;
    while (*names != NULL)
        if (strcmp(*names++, name) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    static const struct redis_case *const all[] = { redis_costs, redis_events };
    struct kedge_error err = { 0 };

    if (argc < 2) {
        (void)fputs("usage: redis_cases URL [CASE]...\n", stderr);
        return 2;
    }
    if (kedge_backend_find("redis", &ops, &err) != KEDGE_OK) {
        printf("Bail out! %s\n", err.msg);
        return 99;
    }
    for (size_t a = 0; a < ARRAY_LEN(all); a++)
        for (const struct redis_case *c = all[a]; c->name != NULL; c++)
            if (is_wanted(c->name, argv + 2))
                try_case(c, argv[1]);
    printf("1..%d\n", n_tests);
    if (n_tests == 0)
        puts("Bail out! no case of that name");
    return n_failed > 0 || n_tests == 0;
}
