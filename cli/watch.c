/* watch.c - show something again and again, and be interrupted */
#include <config.h>

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

void cli_interrupts_catch(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt; /* no SA_RESTART: a prompt ends as well */
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool cli_interrupted(void)
{
    return interrupted != 0;
}

/* Blocked but for the moment of sleeping, so that none is lost before it begins. */
bool cli_sleep(int64_t us)
{
    struct timespec ts = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };
    sigset_t both;
    sigset_t old;

    (void)sigemptyset(&both);
    (void)sigaddset(&both, SIGINT);
    (void)sigaddset(&both, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &both, &old);
    if (!cli_interrupted() && sigtimedwait(&both, NULL, &ts) > 0)
        interrupted = 1;
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    return !cli_interrupted();
}

/* Seconds, or any span of time with its unit. */
static int64_t interval(const struct cli *cli)
{
    const char *text = cli->given[CLI_WATCH];

    if (text[0] == '\0')
        return 2000000;
    if (strspn(text, "0123456789") == strlen(text) && strlen(text) < 8)
        return (int64_t)cli_number(cli, CLI_WATCH) * 1000000;
    return cli_span(cli, CLI_WATCH);
}

/* Begin a new picture: on a terminal at its top, else (but for JSON) below an empty line. */
static void begin_picture(const struct cli *cli, bool first)
{
    if (cli->json)
        return;
    if (isatty(STDOUT_FILENO) != 0)
        (void)fputs("\033[H\033[2J", stdout);
    else if (!first)
        (void)putchar('\n');
}

static enum cli_exit again(const struct cli *cli, struct kedge_store *store, int64_t us,
                           cli_view_fn *view, void *ctx)
{
    enum cli_exit status = CLI_EXIT_OK;
    bool first = true;

    cli_interrupts_catch();
    do {
        begin_picture(cli, first);
        first = false;
        status = view(cli, store, ctx);
        if (fflush(stdout) != 0)
            return CLI_EXIT_FAILURE;
    } while (status == CLI_EXIT_OK && cli_sleep(us));
    return status == CLI_EXIT_OK ? CLI_EXIT_INTERRUPTED : status;
}

enum cli_exit cli_watch(const struct cli *cli, cli_view_fn *view, void *ctx)
{
    struct kedge_store *store = NULL;
    enum cli_exit status;
    int64_t us = 0;

    if (cli_has(cli, CLI_WATCH)) {
        us = interval(cli);
        if (us <= 0)
            return CLI_EXIT_USAGE;
    }
    status = cli_open_store(cli, cli->given[CLI_STORE], 0, &store);
    if (status != CLI_EXIT_OK)
        return status;
    status = us > 0 ? again(cli, store, us, view, ctx) : view(cli, store, ctx);
    kedge_store_close(store);
    return status;
}
