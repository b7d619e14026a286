/* cmd_request.c - kedge cancel, pause, resume, undo, retry, the verbs for stuck runs, and purge */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "out.h"
#include "runs.h"
#include "text.h"

#define WAIT_US INT64_C(60000000)

/* ------------------------------------------------------------------ requests */

/* --wait: until the run is at rest. */
static enum cli_exit wait_for(const struct cli *cli, struct kedge_store *store,
                              struct kedge_bytes id, struct kedge_requested *requested,
                              char message[CLI_MESSAGE_SIZE])
{
    struct kedge_run_info *info = NULL;
    struct kedge_error err = { .msg = "" };
    int64_t us = WAIT_US;
    int rc;

    if (cli->given[CLI_WAIT][0] != '\0')
        us = cli_span(cli, CLI_WAIT);
    if (us < 0)
        return CLI_EXIT_USAGE;
    rc = kedge_run_wait(store, id, &info, us, &err);
    if (rc == KEDGE_QUIET)
        (void)snprintf(message, CLI_MESSAGE_SIZE,
                       "it was asked for, and run %.*s is not at rest yet; kedge why tells why",
                       (int)(id.len < 64 ? id.len : 64), (const char *)id.data);
    else if (rc != KEDGE_OK)
        (void)cli_message(rc, &err, message);
    if (rc != KEDGE_OK)
        return cli_exit_code(rc, &err);
    requested->status = info->status;
    requested->place = info->place;
    kedge_run_info_free(info);
    return CLI_EXIT_OK;
}

/* The row is filled when all is known: what did not go well is told by a message. */
static enum cli_exit done(const struct cli *cli, struct kedge_store *store, int rc,
                          struct kedge_requested *requested, struct kedge_bytes id,
                          struct kedge_bytes new_id, struct cli_out *out,
                          char message[CLI_MESSAGE_SIZE])
{
    const bool anew = cli->command->verb == KEDGE_VERB_RETRY_NEW;
    enum cli_exit status = CLI_EXIT_OK;

    if (anew && new_id.len == 0)
        new_id = kedge_text(requested->new_id);
    if (cli_has(cli, CLI_WAIT))
        status = wait_for(cli, store, anew ? new_id : id, requested, message);
    if (status != CLI_EXIT_OK)
        return status;
    cli_put_text(out, CLI_DONE_OUTCOME,
                 rc == KEDGE_EXISTS        ? "already"
                 : requested->pending != 0 ? "pending"
                                           : "done");
    if (anew)
        cli_put_bytes(out, CLI_DONE_NEW_ID, new_id);
    cli_put_text(out, CLI_DONE_STATUS, kedge_run_status_text(requested->status));
    cli_put_text(out, CLI_DONE_PLACE, kedge_run_place_text(requested->place));
    return CLI_EXIT_OK;
}

/* --new-id and --new-version; they were looked at before anything was done. */
static void new_run(const struct cli *cli, struct kedge_request *request)
{
    static char id[4096]; /* unescaped, and so no longer than it was */

    if (cli_has(cli, CLI_NEW_ID)) {
        (void)snprintf(id, sizeof id, "%s", cli->given[CLI_NEW_ID]);
        request->new_id = (struct kedge_bytes){ id, cli_unescape(id) };
    }
    if (cli_has(cli, CLI_NEW_VERSION))
        request->new_version = (uint32_t)cli_number(cli, CLI_NEW_VERSION);
}

static enum cli_exit request(const struct cli *cli, struct kedge_store *store,
                             struct kedge_bytes id, struct cli_out *out,
                             char message[CLI_MESSAGE_SIZE])
{
    struct kedge_request ask = KEDGE_REQUEST_INIT;
    struct kedge_requested requested = { .struct_size = sizeof requested };
    struct kedge_error err = { .msg = "" };
    char me[256];
    int rc;

    ask.verb = cli->command->verb;
    ask.run = id;
    ask.who = cli_who(cli, me, sizeof me);
    ask.why = cli->given[CLI_WHY];
    ask.step = cli->given[CLI_STEP];
    new_run(cli, &ask);
    rc = kedge_run_request(store, &ask, &requested, cli->timeout_us, &err);
    if (rc == KEDGE_OK || rc == KEDGE_EXISTS)
        return done(cli, store, rc, &requested, id, ask.new_id, out, message);
    if (rc != KEDGE_STALE)
        return cli_message(rc, &err, message);
    (void)snprintf(message, CLI_MESSAGE_SIZE, "%s", requested.why);
    return CLI_EXIT_STATE;
}

enum cli_exit cli_request(const struct cli *cli)
{
    if (cli_has(cli, CLI_WAIT) && cli->given[CLI_WAIT][0] != '\0' && cli_span(cli, CLI_WAIT) < 0)
        return CLI_EXIT_USAGE;
    if (cli_has(cli, CLI_NEW_VERSION) && cli_number(cli, CLI_NEW_VERSION) == 0)
        return CLI_EXIT_USAGE;
    if (cli_has(cli, CLI_NEW_VERSION) && cli_number(cli, CLI_NEW_VERSION) > UINT32_MAX)
        return cli_usage(cli, "a version has at most 32 bits, not", cli->given[CLI_NEW_VERSION]);
    if (cli_has(cli, CLI_NEW_ID) && cli->n_words != 1)
        return cli_usage(cli, "--new-id is for one run", NULL);
    return cli_do(cli, request);
}

/* -------------------------------------------------------------------- purge */

static enum cli_exit purge(const struct cli *cli, struct kedge_store *store, struct kedge_bytes id,
                           struct cli_out *out, char message[CLI_MESSAGE_SIZE])
{
    struct kedge_error err = { .msg = "" };
    int rc = kedge_run_purge(store, id, cli->timeout_us, &err);

    if (rc == KEDGE_STALE) {
        (void)snprintf(message, CLI_MESSAGE_SIZE,
                       "the run is not at rest; cancel or abandon it first");
        return CLI_EXIT_STATE;
    }
    if (rc != KEDGE_OK)
        return cli_message(rc, &err, message);
    cli_put_text(out, CLI_DONE_OUTCOME, "done");
    return CLI_EXIT_OK;
}

enum cli_exit cli_purge(const struct cli *cli)
{
    return cli_do(cli, purge);
}
