/* cmd_request.c - kedge cancel, pause, resume, undo, retry, and the verbs for stuck runs */
#include <config.h>

#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "table.h"

#define TIMEOUT_US 10000000

static const uint32_t verbs[] = {
    KEDGE_VERB_CANCEL,      KEDGE_VERB_PAUSE,     KEDGE_VERB_RESUME,     KEDGE_VERB_UNDO,
    KEDGE_VERB_RETRY,       KEDGE_VERB_RETRY_NEW, KEDGE_VERB_RETRY_UNDO, KEDGE_VERB_SKIP_UNDO,
    KEDGE_VERB_MARK_UNDONE, KEDGE_VERB_ABANDON,
};

/* The command is called as the verb is. */
static uint32_t verb_of(const struct cli *cli)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(kedge_verb_text(verbs[i]), cli->command->name) == 0)
            return verbs[i];
    }
    return 0;
}

/* Who asks, unless it is said: "user@host". */
static const char *who(char *to, size_t size)
{
    const struct passwd *user = getpwuid(geteuid());
    char host[65] = "?";

    if (gethostname(host, sizeof host - 1) != 0)
        (void)strcpy(host, "?");
    (void)snprintf(to, size, "%s@%s", user != NULL ? user->pw_name : "?", host);
    return to;
}

static void tell(const struct kedge_requested *out)
{
    (void)printf("status=%s\nplace=%s\n", kedge_run_status_text(out->status),
                 kedge_run_place_text(out->place));
    if (out->pending != 0)
        (void)printf("pending=the worker that holds the run\n");
    if (out->new_id[0] != '\0')
        (void)printf("id=%s\n", out->new_id);
}

enum cli_exit cli_request(const struct cli *cli, int argc, char **argv)
{
    struct kedge_request request = KEDGE_REQUEST_INIT;
    struct kedge_requested out = { .struct_size = sizeof out };
    struct kedge_store *store = NULL;
    struct kedge_error err = { .msg = "" };
    enum cli_exit status;
    char me[256];
    int rc;

    if (argc != 1)
        return cli_usage(cli, argc == 0 ? "no run given" : "one word too many:",
                         argc == 0 ? NULL : argv[1]);
    request.verb = verb_of(cli);
    request.who = cli->who != NULL ? cli->who : who(me, sizeof me);
    request.why = cli->why;
    request.step = cli->step;
    status = cli_open_store(cli, cli->store, 0, &store);
    if (status != CLI_EXIT_OK)
        return status;
    request.run = (struct kedge_bytes){ argv[0], cli_unescape(argv[0]) };
    rc = kedge_run_request(store, &request, &out, TIMEOUT_US, &err);
    kedge_store_close(store);
    if (rc == KEDGE_OK || rc == KEDGE_EXISTS) {
        if (rc == KEDGE_EXISTS)
            (void)fprintf(stderr, "kedge: that was asked for before, and stands\n");
        tell(&out);
        return CLI_EXIT_OK;
    }
    if (rc != KEDGE_STALE)
        return cli_fail(rc, &err);
    (void)fprintf(stderr, "kedge: %s\n", out.why);
    return CLI_EXIT_STATE;
}
