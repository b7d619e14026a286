/* victim.c - processes that are killed at a call of their own; see victim.h */
#include "victim.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload.h"

struct ground *ground_new(void)
{
    struct ground *g =
        mmap(NULL, sizeof *g, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    expect(g != MAP_FAILED);
    return g;
}

void victim_arm(struct ground *g, const struct point *p)
{
    const struct iofault_calls *shim = preload_iofault();

    expect(shim != NULL);
    shim->use(&g->fault);
    atomic_store(&g->fault.mask, p->mask);
    atomic_store(&g->fault.sticky, p->sticky ? 1 : 0);
    shim->arm(&g->fault, p->mode, p->at, p->err);
}

void victim_disarm(struct ground *g)
{
    preload_iofault()->disarm(&g->fault);
}

const char *point_name(const struct ground *g, const struct point *p)
{
    static const char *const modes[] = {
        [IOFAULT_COUNT] = "no harm at",        [IOFAULT_KILL_BEFORE] = "killed before",
        [IOFAULT_KILL_AFTER] = "killed after", [IOFAULT_TORN] = "killed in the middle of",
        [IOFAULT_FAIL] = "failing at",         [IOFAULT_FAIL_AFTER] = "done but failing at",
        [IOFAULT_SHORT] = "half done from",    [IOFAULT_STALL] = "stalled at",
    };
#define CALL_NAME(name) #name,
    static const char *const calls[] = { IOFAULT_CALLS(CALL_NAME) };
#undef CALL_NAME
    static char text[128];
    uint32_t call = atomic_load(&g->fault.fired_call);

    (void)snprintf(text, sizeof text, "%s%s call %llu%s%s%s%s", modes[p->mode],
                   p->sticky ? " every one from" : "", (unsigned long long)p->at,
                   atomic_load(&g->fault.fired) != 0 ? ", " : "",
                   atomic_load(&g->fault.fired) != 0 ? calls[call] : "", p->err != 0 ? ": " : "",
                   p->err != 0 ? strerror(p->err) : "");
    return text;
}

static uint64_t victims; /* so far; each has random numbers of its own */

static _Noreturn void be_victim(const struct world *w, struct ground *g, const struct point *p,
                                void (*body)(struct world *w, struct ground *g,
                                             const struct point *p))
{
    struct world mine = *w;

    mine.keep = NULL;
    mine.txs = NULL;
    mine.store = mine.session = NULL;
    world_salt(&mine, victims);
    body(&mine, g, p);
    (void)fflush(stdout);
    _exit(CASE_EXIT_PASS);
}

enum victim_end victim(struct world *w, struct ground *g, const struct point *p,
                       void (*body)(struct world *w, struct ground *g, const struct point *p),
                       void (*watch)(struct world *w, struct ground *g))
{
    int status = 0;
    pid_t pid;

    atomic_store(&g->answered, 0);
    atomic_store(&g->go, 0);
    atomic_store(&g->fault.fired, 0);
    atomic_store(&g->fault.armed, 0);
    g->reopened = false;
    (void)fflush(NULL);
    victims++;
    pid = fork();
    expect(pid >= 0);
    if (pid == 0)
        be_victim(w, g, p, body);
    if (watch != NULL) {
        while (atomic_load(&g->answered) == 0 && waitpid(pid, &status, WNOHANG) == 0)
            pause_us(200);
        if (atomic_load(&g->answered) == 0 && WIFEXITED(status) &&
            WEXITSTATUS(status) == CASE_EXIT_FAIL)
            _exit(CASE_EXIT_FAIL); /* it has said why */
        if (atomic_load(&g->answered) == 0)
            fail_case(__FILE__, __LINE__, "%s: it ended by itself, status %d", point_name(g, p),
                      status);
        watch(w, g);
        atomic_store(&g->go, 1);
    }
    expect_eq(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && atomic_load(&g->fault.fired) != 0)
        return VICTIM_KILLED;
    if (WIFEXITED(status) && WEXITSTATUS(status) == CASE_EXIT_FAIL)
        _exit(CASE_EXIT_FAIL); /* it has said why */
    if (!WIFEXITED(status) || WEXITSTATUS(status) != CASE_EXIT_PASS)
        fail_case(__FILE__, __LINE__, "%s: it ended by itself, status %d", point_name(g, p),
                  status);
    return atomic_load(&g->fault.fired) != 0 ? VICTIM_DONE : VICTIM_UNHARMED;
}
