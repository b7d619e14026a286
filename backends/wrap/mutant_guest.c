/* mutant_guest.c - defects of manners: what a guest in somebody's process must not do */
#include <config.h>

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mutant.h"

#define DEFECT(id, ...) const struct mutant_kind mutant_##id = { __VA_ARGS__ }
#define CUT             const struct mutant_cut *cut

static bool opened(const struct wrap_call *call)
{
    return call->op == WRAP_store_open && call->rc == KEDGE_OK;
}

static void ignores_sigpipe(struct wrap_call *call)
{
    if (opened(call))
        (void)signal(SIGPIPE, SIG_IGN);
}
DEFECT(m249, .after = ignores_sigpipe);

static void changes_umask(struct wrap_call *call)
{
    if (opened(call))
        (void)umask(umask(0) ^ 055);
}
DEFECT(m250, .after = changes_umask);

static void speaks_up(struct wrap_call *call)
{
    if (opened(call))
        (void)fputs("the store is open\n", stderr);
}
DEFECT(m251, .after = speaks_up);

static void goes_elsewhere(struct wrap_call *call)
{
    if (opened(call) && chdir("/") != 0)
        call->rc = KEDGE_ERR_UNAVAILABLE;
}
DEFECT(m252, .after = goes_elsewhere);

static void blocks_sigterm(struct wrap_call *call)
{
    sigset_t set;

    if (!opened(call))
        return;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}
DEFECT(m253, .after = blocks_sigterm);

static void tells_the_url(struct wrap_call *call)
{
    size_t len;

    if (call->op != WRAP_store_open || call->rc == KEDGE_OK || call->err == NULL)
        return;
    len = strlen(call->err->msg);
    (void)snprintf(call->err->msg + len, sizeof call->err->msg - len, " (%s)", call->open->url);
}
DEFECT(m254, .after = tells_the_url);

static enum wrap_verdict takes_any_option(struct wrap_call *call)
{
    if (call->op == WRAP_store_open)
        call->open->options = NULL;
    return WRAP_GO;
}
DEFECT(m255, .before = takes_any_option);

/* NOTES[0] is the run last made, and at COUNT what was passed in for it. */
static void keeps_what_was_lent(CUT, struct kedge_change *c)
{
    struct mutant *m = cut->m;

    if (c->kind != KEDGE_CREATE)
        return;
    (void)pthread_mutex_lock(&m->lock);
    m->next = 0;
    m->notes[0].set = false;
    (void)mutant_note(m, c->name, true);
    atomic_store(&m->count, (uint64_t)(uintptr_t)c->create);
    (void)pthread_mutex_unlock(&m->lock);
}

static int reads_what_was_lent(void *s, const struct kedge_retrieve *in,
                               struct kedge_run_state *out, WRAP_TAIL)
{
    struct wrap_below b = wrap_below(s);
    struct mutant *m = mutant_of(&b);
    int rc = b.ops->retrieve(b.session, in, out, timeout_us, err);
    const struct kedge_run_new *lent;

    (void)pthread_mutex_lock(&m->lock);
    lent = mutant_note(m, in->id, false) != NULL
               ? (const struct kedge_run_new *)(uintptr_t)atomic_load(&m->count)
               : NULL;
    (void)pthread_mutex_unlock(&m->lock);
    if (rc == KEDGE_OK && lent != NULL)
        out->run.context = lent->context;
    return rc;
}
DEFECT(m256, .change = keeps_what_was_lent, .ops = { .retrieve = reads_what_was_lent });
