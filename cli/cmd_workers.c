/* cmd_workers.c - kedge workers, locks, queues, queue pause, queue resume, sweep */
#include <config.h>

#include <string.h>

#include "fields.h"
#include "out.h"
#include "runs.h"
#include "text.h"

/* A walk that puts rows into OUT has ended with RC. */
static enum cli_exit end(struct cli_out *out, int rc, const struct kedge_error *err)
{
    if (rc == KEDGE_OK || cli_out_failed(out))
        return cli_out_end(out);
    cli_out_drop(out);
    return cli_fail(rc, err);
}

/* ------------------------------------------------------------------- workers */

struct workers {
    const struct cli *cli;
    struct cli_out *out;
};

/* In a table: "order@1", or "order@1-3"; and the queue, unless it is the usual one. */
static void put_served(struct cli_out *out, const struct kedge_served *s)
{
    char text[256];
    int len = snprintf(text, sizeof text, "%.*s@%lu", (int)s->reactor.len,
                       (const char *)s->reactor.data, (unsigned long)s->version_min);

    if (s->version_max != s->version_min && len > 0 && (size_t)len < sizeof text)
        len +=
            snprintf(text + len, sizeof text - (size_t)len, "-%lu", (unsigned long)s->version_max);
    if (len > 0 && (size_t)len < sizeof text &&
        (s->queue.len != 7 || memcmp(s->queue.data, "default", 7) != 0))
        (void)snprintf(text + len, sizeof text - (size_t)len, " (%.*s)", (int)s->queue.len,
                       (const char *)s->queue.data);
    cli_put_item(out, CLI_WORKER_SERVES, kedge_text(text));
}

static void put_serves(const struct workers *w, const struct kedge_worker_info *info)
{
    struct cli_out *rows;

    if (!w->cli->json) {
        for (size_t i = 0; i < info->n_serves; i++)
            put_served(w->out, &info->serves[i]);
        return;
    }
    rows = cli_out_part(cli_out_table(w->cli, cli_serves_fields));
    for (size_t i = 0; rows != NULL && i < info->n_serves; i++) {
        const struct kedge_served *s = &info->serves[i];

        cli_put_bytes(rows, CLI_SERVES_QUEUE, s->queue);
        cli_put_bytes(rows, CLI_SERVES_REACTOR, s->reactor);
        cli_put_number(rows, CLI_SERVES_MIN, s->version_min);
        cli_put_number(rows, CLI_SERVES_MAX, s->version_max);
        cli_row_end(rows, -1);
    }
    cli_put_rows(w->out, CLI_WORKER_SERVES, rows);
}

static int add_worker(void *ctx, const struct kedge_worker_info *info)
{
    const struct workers *w = ctx;
    char id[9];

    cli_put_id(w->out, CLI_WORKER_ID, info->id, sizeof info->id);
    (void)snprintf(id, sizeof id, "%02x%02x%02x%02x", info->id[0], info->id[1], info->id[2],
                   info->id[3]);
    cli_put_column(w->out, CLI_WORKER_ID, kedge_text(id));
    cli_put_bytes(w->out, CLI_WORKER_OWNER, info->owner);
    cli_put_text(w->out, CLI_WORKER_STATE, kedge_worker_state_text(info->state));
    cli_put_number(w->out, CLI_WORKER_RUNS, info->runs);
    cli_put_number(w->out, CLI_WORKER_LOCKS, info->locks);
    cli_put_time(w->out, CLI_WORKER_SINCE, info->granted);
    cli_put_number(w->out, CLI_WORKER_TTL, (uint64_t)info->ttl_us);
    cli_put_number(w->out, CLI_WORKER_LEFT, (uint64_t)info->remaining_us);
    put_serves(w, info);
    cli_row_end(w->out, -1);
    return cli_out_failed(w->out) ? 1 : 0;
}

static enum cli_exit view_workers(const struct cli *cli, struct kedge_store *store, void *ctx)
{
    struct workers w = { cli, cli_out_table(cli, cli_worker_fields) };
    struct kedge_error err = { .msg = "" };
    int rc = KEDGE_OK;

    (void)ctx;
    if (w.out != NULL)
        rc = kedge_worker_list(store, add_worker, &w, cli->timeout_us, &err);
    return end(w.out, rc, &err);
}

enum cli_exit cli_workers(const struct cli *cli)
{
    return cli_watch(cli, view_workers, NULL);
}

/* --------------------------------------------------------------------- locks */

static int add_lock(void *ctx, const struct kedge_lock_info *info)
{
    struct cli_out *out = ctx;

    cli_put_bytes(out, CLI_LOCK_NAME, info->name);
    cli_put_bytes(out, CLI_LOCK_WORKER, info->owner);
    cli_put_id(out, CLI_LOCK_HOLDER, info->holder, sizeof info->holder);
    cli_put_text(out, CLI_LOCK_STATE, kedge_worker_state_text(info->state));
    cli_put_number(out, CLI_LOCK_FENCE, info->fence);
    cli_put_number(out, CLI_LOCK_LEFT, (uint64_t)info->remaining_us);
    cli_row_end(out, -1);
    return cli_out_failed(out) ? 1 : 0;
}

static enum cli_exit view_locks(const struct cli *cli, struct kedge_store *store, void *ctx)
{
    struct cli_out *out = cli_out_table(cli, cli_lock_fields);
    struct kedge_error err = { .msg = "" };
    int rc = KEDGE_OK;

    (void)ctx;
    if (out != NULL)
        rc = kedge_lock_list(store, add_lock, out, cli->timeout_us, &err);
    return end(out, rc, &err);
}

enum cli_exit cli_locks(const struct cli *cli)
{
    return cli_watch(cli, view_locks, NULL);
}

/* -------------------------------------------------------------------- queues */

static int add_queue(void *ctx, const struct kedge_queue_info *info)
{
    struct cli_out *out = ctx;

    cli_put_bytes(out, CLI_QUEUE_NAME, info->name);
    cli_put_time(out, CLI_QUEUE_SINCE, info->paused);
    cli_put_bytes(out, CLI_QUEUE_WHO, info->who);
    cli_put_bytes(out, CLI_QUEUE_WHY, info->why);
    cli_row_end(out, -1);
    return cli_out_failed(out) ? 1 : 0;
}

static enum cli_exit view_queues(const struct cli *cli, struct kedge_store *store, void *ctx)
{
    struct cli_out *out = cli_out_table(cli, cli_queue_fields);
    struct kedge_error err = { .msg = "" };
    int rc = KEDGE_OK;

    (void)ctx;
    if (out != NULL)
        rc = kedge_queue_list(store, add_queue, out, cli->timeout_us, &err);
    return end(out, rc, &err);
}

enum cli_exit cli_queues(const struct cli *cli)
{
    return cli_watch(cli, view_queues, NULL);
}

static enum cli_exit change_queue(const struct cli *cli, bool pause)
{
    char *word = cli->words[0];
    struct kedge_bytes name = { word, cli_unescape(word) };
    struct kedge_store *store = NULL;
    struct kedge_error err = { .msg = "" };
    enum cli_exit status = cli_open_store(cli, cli->given[CLI_STORE], 0, &store);
    char me[256];
    int rc;

    if (status != CLI_EXIT_OK)
        return status;
    if (pause)
        rc = kedge_queue_pause(store, name, cli_who(cli, me, sizeof me), cli->given[CLI_WHY],
                               cli->timeout_us, &err);
    else
        rc = kedge_queue_resume(store, name, cli->timeout_us, &err);
    kedge_store_close(store);
    if (rc == KEDGE_EXISTS)
        return cli_tell(CLI_EXIT_STATE, "that queue is paused already");
    if (rc == KEDGE_NOT_FOUND)
        return cli_tell(CLI_EXIT_STATE, "that queue is not paused");
    return rc == KEDGE_OK ? CLI_EXIT_OK : cli_fail(rc, &err);
}

enum cli_exit cli_queue_pause(const struct cli *cli)
{
    return change_queue(cli, true);
}

enum cli_exit cli_queue_resume(const struct cli *cli)
{
    return change_queue(cli, false);
}

/* --------------------------------------------------------------------- sweep */

static void put_swept(struct cli_out *out, const struct kedge_swept *swept, bool dry)
{
    cli_put_number(out, CLI_SWEPT_WORKERS, swept->workers);
    cli_put_number(out, CLI_SWEPT_BURIED, swept->buried);
    cli_put_number(out, CLI_SWEPT_SPARED, swept->spared);
    cli_put_number(out, CLI_SWEPT_RECOVERED, swept->recovered);
    cli_put_number(out, CLI_SWEPT_STUCK, swept->stuck);
    if (!dry) {
        cli_put_number(out, CLI_SWEPT_RUNS, swept->runs);
        cli_put_number(out, CLI_SWEPT_ROWS, swept->rows);
    }
    cli_row_end(out, -1);
}

enum cli_exit cli_sweep(const struct cli *cli)
{
    struct kedge_sweep_options options = KEDGE_SWEEP_OPTIONS_INIT;
    struct kedge_swept swept = { .struct_size = sizeof swept };
    struct kedge_store *store = NULL;
    struct kedge_error err = { .msg = "" };
    enum cli_exit status = cli_open_store(cli, cli->given[CLI_STORE], 0, &store);
    struct cli_out *out;
    int rc;

    if (status != CLI_EXIT_OK)
        return status;
    if (cli_has(cli, CLI_DRY_RUN))
        options.flags = KEDGE_SWEEP_DRY;
    rc = kedge_store_sweep(store, &options, &swept, cli->timeout_us, &err);
    kedge_store_close(store);
    out = cli_out_record(cli, cli_swept_fields);
    if (out != NULL)
        put_swept(out, &swept, cli_has(cli, CLI_DRY_RUN));
    status = cli_out_end(out);
    return rc == KEDGE_OK ? status : cli_fail(rc, &err);
}
