/*
 * lies.c - a server's answers that are none of those expected; speaks TAP, without a plan
 *
 *	./lies BACKEND URL ADDRESS LIE...          URL with {server} or {host}, for the server at
 *ADDRESS
 *
 * For each operation, each LIE (as in `say' of conform/proxy/proxy.h) is told in the place of its
 * first answer, its second, ..., until no lie comes into its way.  Whatever it makes of that, it
 *comes back in time and alive; all of it took place or nothing; the next call gets its own answer;
 *and sent again it takes place once (conform/harm.h).
 */
#include <inttypes.h>
#include <signal.h>

#include <kedge/store.h>

#include "conform/harm.h"
#include "conform/proxy/address.h"
#include "conform/proxy/proxy.h"

#define BRIEF     MS(100) /* for what waits for the rest of an answer */
#define LIES_MOST 3u      /* of one call: the later ones are like the first */
#define TRIES     5

static struct proxy proxy;
static struct world direct;
static struct world through;
static struct harm harm;
static int lies, believed;

/* false: it asks no N times. */
static bool lie(const struct stage_op *op, uint64_t n, const char *text)
{
    uint64_t fired = proxy_count(&proxy).fired;
    int64_t began;
    char what[128];

    harm_prepare(&harm, op);
    (void)snprintf(what, sizeof what, "told \"%.60s\" in answer %" PRIu64, text, n);
    harm.what = what;
    context("%s, %s", op->name, what);
    proxy_say(&proxy, "at reply %" PRIu64 " say %s", n, text);
    harm.stage.patience = BRIEF;
    began = real_us();
    harm.rc = op->call(&harm.stage);
    if (real_us() - began > BRIEF + HARM_MARGIN)
        fail_case(__FILE__, __LINE__, "it took %" PRId64 " ms", (real_us() - began) / 1000);
    proxy_say(&proxy, "pass");
    if (proxy_count(&proxy).fired != fired) {
        lies++;
        believed += harm.rc >= 0;
        harm.rc = KEDGE_ERR_UNKNOWN; /* an answer to a lie tells nothing */
    }
    harm_judge(&harm);
    harm_over(&harm);
    return proxy_count(&proxy).fired != fired;
}

int main(int argc, char **argv)
{
    const struct kedge_backend_ops *ops;
    struct kedge_error err = { 0 };
    char urls[2][1024];

    if (argc < 5 || !address_wanted(argv[2])) {
        (void)fputs("usage: lies BACKEND URL ADDRESS LIE...\n", stderr);
        return 2;
    }
    if (kedge_backend_find(argv[1], &ops, &err) != KEDGE_OK) {
        printf("Bail out! %s\n", err.msg);
        return 1;
    }
    (void)signal(SIGPIPE, SIG_DFL);
    proxy_start_before(&proxy, argv[3]);
    if (!address_fill(urls[0], sizeof urls[0], argv[2], argv[3]) ||
        !address_fill(urls[1], sizeof urls[1], argv[2], proxy.address))
        return 2;
    world_open(&direct, argv[1], ops, urls[0], "lies", 1);
    world_open(&through, argv[1], ops, urls[1], "lies", 2);
    clock_follow();
    harm_begin(&harm, &direct, &through, TRIES);
    for (size_t i = 0; i < stage_n_ops; i++) {
        const struct stage_op *op = &stage_ops[i];

        /* What opens a store has no deadline of its caller's, and tries for as long as it likes. */
        if (strcmp(op->name, "open") == 0)
            continue;
        for (int k = 4; k < argc && (op->there == NULL || op->there(&direct)); k++)
            for (uint64_t n = 1; n <= LIES_MOST && lie(op, n, argv[k]); n++)
                ;
        printf("ok - %s: %s is lied to\n", argv[1], op->name);
        (void)fflush(stdout);
    }
    printf("# %d lies, %d of them answered OK or refused\n%sok - some lies were told\n", lies,
           believed, lies > 0 ? "" : "not ");
    world_forget(&direct);
    world_close_own(&through);
    world_close(&direct);
    proxy_stop(&proxy);
    return lies > 0 ? 0 : 1;
}
