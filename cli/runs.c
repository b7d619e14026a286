/* runs.c - which runs a command is about, and doing something to each of them */
#include <config.h>

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fields.h"
#include "out.h"
#include "runs.h"
#include "text.h"

#define CANDIDATES 10 /* most ids that are told when a beginning is of several */

/* ---------------------------------------------------------------------- ids */

void cli_ids_free(struct cli_ids *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        free((void *)(uintptr_t)ids->all[i].data);
    free(ids->all);
    *ids = (struct cli_ids){ .n = 0 };
}

bool cli_ids_add(struct cli_ids *ids, struct kedge_bytes id)
{
    char *copy = malloc(id.len + 1);

    if (copy != NULL && ids->n == ids->room) {
        size_t room = ids->room != 0 ? 2 * ids->room : 64;
        struct kedge_bytes *all = realloc(ids->all, room * sizeof *all);

        if (all == NULL) {
            free(copy);
            return false;
        }
        ids->all = all;
        ids->room = room;
    }
    if (copy == NULL)
        return false;
    memcpy(copy, id.data, id.len);
    copy[id.len] = '\0';
    ids->all[ids->n].data = copy;
    ids->all[ids->n++].len = id.len;
    return true;
}

static enum cli_exit no_memory(void)
{
    return cli_tell(CLI_EXIT_FAILURE, "out of memory");
}

static int add_id(void *ctx, const struct kedge_run_info *info)
{
    return cli_ids_add(ctx, info->id) ? 0 : 1;
}

static enum cli_exit gather(const struct cli *cli, struct kedge_store *store,
                            const struct kedge_run_filter *filter, struct cli_ids *ids)
{
    struct kedge_error err = { .msg = "" };
    int rc = kedge_run_list(store, filter, add_id, ids, cli->timeout_us, &err);

    return rc == 1 ? no_memory() : rc == KEDGE_OK ? CLI_EXIT_OK : cli_fail(rc, &err);
}

/* ------------------------------------------------------------------ one run */

static enum cli_exit ambiguous(const char *word, const struct cli_ids *ids)
{
    char text[1024] = "";
    size_t used = 0;

    for (size_t i = 0; i < ids->n && i < CANDIDATES; i++) {
        char *id = cli_escape(ids->all[i], true);
        int n = snprintf(text + used, sizeof text - used, "%s%s", i > 0 ? ", " : "",
                         id != NULL ? id : "?");

        free(id);
        if (n < 0 || (size_t)n >= sizeof text - used)
            break;
        used += (size_t)n;
    }
    return cli_tell(CLI_EXIT_USAGE, "'%s' is the beginning of several ids (%s%s); write more of it",
                    word, text, ids->n > CANDIDATES ? ", ..." : "");
}

/* *IDS gets all that begin with PREFIX, as far as they are of interest. */
static enum cli_exit by_prefix(const struct cli *cli, struct kedge_store *store, const char *word,
                               struct kedge_bytes prefix, struct cli_ids *to)
{
    struct kedge_run_filter filter = KEDGE_RUN_FILTER_INIT;
    struct cli_ids ids = { .n = 0 };
    enum cli_exit status;

    filter.id_prefix = prefix;
    filter.limit = CANDIDATES + 1;
    status = gather(cli, store, &filter, &ids);
    if (status == CLI_EXIT_OK && ids.n == 0)
        status = cli_tell(CLI_EXIT_NOT_FOUND, "there is no run '%s'", word);
    else if (status == CLI_EXIT_OK && ids.n > 1)
        status = ambiguous(word, &ids);
    else if (status == CLI_EXIT_OK && !cli_ids_add(to, ids.all[0]))
        status = no_memory();
    cli_ids_free(&ids);
    return status;
}

enum cli_exit cli_resolve(const struct cli *cli, struct kedge_store *store, char *word,
                          struct cli_ids *ids)
{
    struct kedge_run_info *info = NULL;
    struct kedge_error err = { .msg = "" };
    char *said = strdup(word);
    struct kedge_bytes id = { word, cli_unescape(word) };
    enum cli_exit status = CLI_EXIT_OK;
    int rc;

    if (said == NULL)
        return no_memory();
    rc = kedge_run_get(store, id, 0, &info, cli->timeout_us, &err);
    kedge_run_info_free(info);
    if (rc == KEDGE_NOT_FOUND)
        status = by_prefix(cli, store, said, id, ids);
    else if (rc != KEDGE_OK)
        status = cli_fail(rc, &err);
    else if (!cli_ids_add(ids, id))
        status = no_memory();
    free(said);
    return status;
}

/* ------------------------------------------------------------- descriptions */

static uint32_t status_named(const char *word, size_t len)
{
    for (uint32_t s = KEDGE_PENDING; s <= KEDGE_ABORTED; s++) {
        const char *text = kedge_run_status_text(s);
        size_t i = 0;

        while (i < len && (word[i] == text[i] || (word[i] == '-' && text[i] == ' ')))
            i++;
        if (i == len && text[i] == '\0')
            return KEDGE_STATUS_BIT(s);
    }
    if (len == 10 && strncmp(word, "unfinished", len) == 0)
        return KEDGE_STATUSES_UNFINISHED;
    return len == 5 && strncmp(word, "ended", len) == 0 ? KEDGE_STATUSES_RESTING : 0;
}

static enum cli_exit take_states(const struct cli *cli, uint32_t *statuses)
{
    const char *at = cli->given[CLI_STATE];
    char word[32];

    *statuses = 0;
    for (;;) {
        size_t len = strcspn(at, ",");
        uint32_t status = status_named(at, len);

        if (status == 0) {
            (void)snprintf(word, sizeof word, "%.*s", (int)len, at);
            return cli_usage(cli, "there is no state", word);
        }
        *statuses |= status;
        if (at[len] == '\0')
            return CLI_EXIT_OK;
        at += len + 1;
    }
}

/* By the store's clock, which is the one that stamped them. */
static enum cli_exit take_age(const struct cli *cli, int64_t now, enum cli_option_id option,
                              int64_t *to)
{
    int64_t age;

    if (!cli_has(cli, option))
        return CLI_EXIT_OK;
    age = cli_span(cli, option);
    if (age < 0)
        return CLI_EXIT_USAGE;
    *to = now > age ? now - age : 1;
    return CLI_EXIT_OK;
}

enum cli_exit cli_filter(const struct cli *cli, struct kedge_store *store, uint32_t statuses,
                         struct kedge_run_filter *filter)
{
    struct kedge_error err = { .msg = "" };
    enum cli_exit status = CLI_EXIT_OK;
    int64_t now = 0;
    int rc;

    *filter = (struct kedge_run_filter)KEDGE_RUN_FILTER_INIT;
    filter->statuses = statuses;
    filter->reactor = kedge_text(cli->given[CLI_REACTOR]);
    filter->queue = kedge_text(cli->given[CLI_QUEUE]);
    filter->unserved = cli_has(cli, CLI_UNSERVED);
    filter->newest_first = !cli_has(cli, CLI_OLDEST);
    if (cli_has(cli, CLI_STATE))
        status = take_states(cli, &filter->statuses);
    if (status == CLI_EXIT_OK && cli_has(cli, CLI_LIMIT)) {
        filter->limit = cli_number(cli, CLI_LIMIT);
        if (filter->limit == 0)
            return CLI_EXIT_USAGE;
    }
    if (status == CLI_EXIT_OK && store != NULL &&
        (cli_has(cli, CLI_OLDER) || cli_has(cli, CLI_NEWER))) {
        rc = kedge_store_now(store, &now, cli->timeout_us, &err);
        if (rc != KEDGE_OK)
            return cli_fail(rc, &err);
    }
    if (status == CLI_EXIT_OK)
        status = take_age(cli, now, CLI_OLDER, &filter->created_to);
    if (status == CLI_EXIT_OK)
        status = take_age(cli, now, CLI_NEWER, &filter->created_from);
    return status;
}

static bool describes(const struct cli *cli)
{
    return cli_has(cli, CLI_STATE) || cli_has(cli, CLI_REACTOR) || cli_has(cli, CLI_QUEUE) ||
           cli_has(cli, CLI_OLDER) || cli_has(cli, CLI_NEWER) || cli_has(cli, CLI_UNSERVED) ||
           cli_has(cli, CLI_ALL);
}

enum cli_exit cli_choose(const struct cli *cli, struct kedge_store *store, struct cli_ids *ids)
{
    struct kedge_run_filter filter;
    enum cli_exit status = CLI_EXIT_OK;

    for (int i = 0; status == CLI_EXIT_OK && i < cli->n_words; i++)
        status = cli_resolve(cli, store, cli->words[i], ids);
    if (cli->n_words > 0)
        return status;
    status = cli_filter(cli, store, cli->command->statuses, &filter);
    filter.statuses &= cli->command->statuses;
    if (status == CLI_EXIT_OK && filter.statuses == 0)
        return CLI_EXIT_OK; /* in none of these states it can be asked for */
    return status == CLI_EXIT_OK ? gather(cli, store, &filter, ids) : status;
}

/* ------------------------------------------------------------------ a deed */

const char *cli_who(const struct cli *cli, char *buf, size_t size)
{
    const struct passwd *user;
    char host[65] = "?";

    if (cli_has(cli, CLI_WHO))
        return cli->given[CLI_WHO];
    user = getpwuid(geteuid());
    if (gethostname(host, sizeof host - 1) != 0)
        (void)strcpy(host, "?");
    (void)snprintf(buf, size, "%s@%s", user != NULL ? user->pw_name : "?", host);
    return buf;
}

/* May it be done to so many?  OK: yes. */
static enum cli_exit agree(const struct cli *cli, size_t n)
{
    char answer[16] = "";

    if (cli_has(cli, CLI_YES))
        return CLI_EXIT_OK;
    if (cli->json || isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0)
        return cli_tell(CLI_EXIT_USAGE,
                        "%s %zu run%s? There is nobody to ask here; say --yes, or --dry-run to see "
                        "which",
                        cli->command->name, n, n == 1 ? "" : "s");
    (void)fprintf(stderr, "%s %zu run%s? [y/N] ", cli->command->name, n, n == 1 ? "" : "s");
    if (fgets(answer, sizeof answer, stdin) == NULL)
        (void)fputc('\n', stderr);
    if (cli_interrupted())
        return CLI_EXIT_INTERRUPTED;
    if (answer[0] == 'y' || answer[0] == 'Y')
        return CLI_EXIT_OK;
    return cli_tell(CLI_EXIT_FAILURE, "nothing was done");
}

enum cli_exit cli_message(int rc, const struct kedge_error *err, char message[CLI_MESSAGE_SIZE])
{
    (void)snprintf(message, CLI_MESSAGE_SIZE, "%s", rc < 0 ? err->msg : kedge_status_text(rc));
    return cli_exit_code(rc, err);
}

static enum cli_exit would(const struct cli *cli, struct kedge_store *store, struct kedge_bytes id,
                           struct cli_out *out, char message[CLI_MESSAGE_SIZE])
{
    struct kedge_run_info *info = NULL;
    struct kedge_error err = { .msg = "" };
    int rc = kedge_run_get(store, id, 0, &info, cli->timeout_us, &err);

    if (rc != KEDGE_OK)
        return cli_message(rc, &err, message);
    cli_put_text(out, CLI_DONE_OUTCOME, "would");
    cli_put_text(out, CLI_DONE_STATUS, kedge_run_status_text(info->status));
    cli_put_text(out, CLI_DONE_PLACE, kedge_run_place_text(info->place));
    kedge_run_info_free(info);
    return CLI_EXIT_OK;
}

static void progress(const struct cli *cli, size_t i, size_t n)
{
    if (cli->json || isatty(STDERR_FILENO) == 0)
        return;
    (void)fprintf(stderr, "\r%s: %zu of %zu%s", cli->command->name, i, n, i == n ? "\r\033[K" : "");
}

static enum cli_exit do_all(const struct cli *cli, struct kedge_store *store,
                            const struct cli_ids *ids, cli_deed_fn *deed)
{
    const bool dry = cli_has(cli, CLI_DRY_RUN);
    struct cli_out *out = cli_out_table(cli, cli_done_fields);
    char message[CLI_MESSAGE_SIZE] = "";
    enum cli_exit status;
    size_t bad = 0;
    size_t i;

    if (out == NULL)
        return no_memory();
    for (i = 0; i < ids->n && !cli_interrupted() && !cli_out_failed(out); i++) {
        cli_put_bytes(out, CLI_DONE_ID, ids->all[i]);
        status = (dry ? would : deed)(cli, store, ids->all[i], out, message);
        if (status != CLI_EXIT_OK) {
            bad++;
            cli_put_text(out, CLI_DONE_OUTCOME, status == CLI_EXIT_STATE ? "refused" : "failed");
            cli_put_text(out, CLI_DONE_MESSAGE, message);
        }
        cli_row_end(out, -1);
        progress(cli, i + 1, ids->n);
    }
    status = cli_out_end(out);
    if (status != CLI_EXIT_OK)
        return status;
    if (i < ids->n)
        return cli_tell(CLI_EXIT_INTERRUPTED, "interrupted after %zu of %zu runs", i, ids->n);
    if (!cli->json)
        (void)fprintf(stderr, "%zu of %zu runs %s\n", ids->n - bad, ids->n,
                      dry ? "would be taken" : "done");
    return bad == 0 ? CLI_EXIT_OK : CLI_EXIT_SOME;
}

static enum cli_exit do_one(const struct cli *cli, struct kedge_store *store, struct kedge_bytes id,
                            cli_deed_fn *deed)
{
    struct cli_out *out = cli_out_record(cli, cli_done_fields);
    char message[CLI_MESSAGE_SIZE] = "";
    enum cli_exit status;

    if (out == NULL)
        return no_memory();
    cli_put_bytes(out, CLI_DONE_ID, id);
    status = (cli_has(cli, CLI_DRY_RUN) ? would : deed)(cli, store, id, out, message);
    if (status != CLI_EXIT_OK) {
        cli_out_drop(out);
        return message[0] != '\0' ? cli_tell(status, "%s", message) : status;
    }
    cli_row_end(out, -1);
    return cli_out_end(out);
}

static enum cli_exit do_chosen(const struct cli *cli, struct kedge_store *store,
                               struct cli_ids *ids, cli_deed_fn *deed)
{
    enum cli_exit status = cli_choose(cli, store, ids);

    if (status != CLI_EXIT_OK)
        return status;
    if (cli->n_words == 1 && ids->n == 1)
        return do_one(cli, store, ids->all[0], deed);
    cli_interrupts_catch();
    if (cli->n_words == 0 && ids->n > 0 && !cli_has(cli, CLI_DRY_RUN))
        status = agree(cli, ids->n);
    return status == CLI_EXIT_OK ? do_all(cli, store, ids, deed) : status;
}

enum cli_exit cli_do(const struct cli *cli, cli_deed_fn *deed)
{
    struct kedge_store *store = NULL;
    struct cli_ids ids = { .n = 0 };
    enum cli_exit status;

    if (cli->n_words > 0 && (describes(cli) || cli_has(cli, CLI_LIMIT)))
        return cli_usage(cli, "name runs, or describe them, not both", NULL);
    if (cli->n_words == 0 && !describes(cli))
        return cli_usage(cli, "no run given; name one, or describe some, or say --all", NULL);
    status = cli_open_store(cli, cli->given[CLI_STORE], 0, &store);
    if (status != CLI_EXIT_OK)
        return status;
    status = do_chosen(cli, store, &ids, deed);
    cli_ids_free(&ids);
    kedge_store_close(store);
    return status;
}
