/* cmd_journal.c - kedge journal, kedge why: what happened to a run, and why nothing happens */
#include <config.h>

#include "fields.h"
#include "inspect.h"
#include "out.h"

/* ------------------------------------------------------------------- journal */

struct journal {
    struct cli_out *out;
    uint64_t left;
    bool values;
};

/* What a record's numbers and bytes mean depends on its kind. */
static void put_particulars(const struct journal *j, const struct kedge_entry *e)
{
    struct cli_out *out = j->out;

    switch (e->kind) {
    case KEDGE_ENTRY_CRASH_LOOP:
        cli_put_number(out, CLI_ENTRY_COUNT, e->count);
        break;
    case KEDGE_ENTRY_END:
        cli_put_text(out, CLI_ENTRY_STATUS, kedge_run_status_text((uint32_t)e->count));
        break;
    case KEDGE_ENTRY_REQUEST:
        cli_put_text(out, CLI_ENTRY_VERB, kedge_verb_text((uint32_t)e->count));
        cli_put_bytes(out, CLI_ENTRY_WHO, e->value);
        break;
    case KEDGE_ENTRY_BEGIN:
    case KEDGE_ENTRY_DONE:
        if (j->values)
            cli_put_bytes(out, CLI_ENTRY_VALUE, e->value);
        break;
    default:
        break;
    }
}

/* In a table one column says what else there is to say. */
static void put_text_column(const struct journal *j, const struct kedge_entry *e)
{
    static const char *const actions[] = { "", "", "compensate: ", "undo: " };
    char text[1400];
    const char *what = "";

    if (e->kind == KEDGE_ENTRY_END)
        what = kedge_run_status_text((uint32_t)e->count);
    else if (e->kind == KEDGE_ENTRY_REQUEST)
        what = kedge_verb_text((uint32_t)e->count);
    else if (e->kind == KEDGE_ENTRY_DELAYED && e->action < 4)
        what = actions[e->action];
    if (what[0] == '\0')
        return;
    (void)snprintf(text, sizeof text, "%s%s%.*s%s%.*s", what,
                   e->text.len > 0 && e->kind != KEDGE_ENTRY_DELAYED ? ": " : "", (int)e->text.len,
                   e->text.len > 0 ? (const char *)e->text.data : "",
                   e->kind == KEDGE_ENTRY_REQUEST && e->value.len > 0 ? ", by " : "",
                   e->kind == KEDGE_ENTRY_REQUEST ? (int)e->value.len : 0,
                   e->value.len > 0 ? (const char *)e->value.data : "");
    cli_put_column(j->out, CLI_ENTRY_TEXT, kedge_text(text));
}

static void put_value_column(const struct journal *j, const struct kedge_entry *e)
{
    if (j->values && (e->kind == KEDGE_ENTRY_BEGIN || e->kind == KEDGE_ENTRY_DONE))
        cli_put_column(j->out, CLI_ENTRY_TEXT, e->value);
}

static int add_entry(void *ctx, const struct kedge_entry *e)
{
    static const char *const actions[] = { NULL, "run", "compensate", "undo" };
    struct journal *j = ctx;
    struct cli_out *out = j->out;

    cli_put_number(out, CLI_ENTRY_NUMBER, e->number);
    cli_put_time(out, CLI_ENTRY_TIME, e->time);
    cli_put_text(out, CLI_ENTRY_KIND, kedge_entry_kind_text(e->kind));
    cli_put_text(out, CLI_ENTRY_STEP, e->step);
    if (e->kind == KEDGE_ENTRY_DELAYED && e->action < sizeof actions / sizeof *actions)
        cli_put_text(out, CLI_ENTRY_ACTION, actions[e->action]);
    cli_put_number(out, CLI_ENTRY_BYTES, e->bytes);
    cli_put_bytes(out, CLI_ENTRY_WRITER, e->writer);
    cli_put_id(out, CLI_ENTRY_WRITER_ID, e->writer_id, sizeof e->writer_id);
    if (e->failures != 0)
        cli_put_number(out, CLI_ENTRY_FAILURES, e->failures);
    if ((e->flags & KEDGE_ENTRY_TIMED_OUT) != 0)
        cli_put_number(out, CLI_ENTRY_TIMED_OUT, 1);
    cli_put_time(out, CLI_ENTRY_NEXT, e->next);
    cli_put_bytes(out, CLI_ENTRY_TEXT, e->text);
    put_particulars(j, e);
    put_text_column(j, e);
    put_value_column(j, e);
    cli_row_end(out, -1);
    return cli_out_failed(out) || --j->left == 0 ? 1 : 0;
}

static enum cli_exit look_at_journal(const struct cli *cli, struct kedge_store *store,
                                     struct kedge_bytes id)
{
    struct journal j = { .left = UINT64_MAX, .values = cli_has(cli, CLI_VALUES) };
    struct kedge_error err = { .msg = "" };
    uint64_t from = 0;
    int rc = KEDGE_OK;

    if (cli_has(cli, CLI_FROM))
        from = cli_number(cli, CLI_FROM);
    if (cli_has(cli, CLI_LIMIT))
        j.left = cli_number(cli, CLI_LIMIT);
    if ((cli_has(cli, CLI_FROM) && from == 0) || j.left == 0)
        return CLI_EXIT_USAGE;
    j.out = cli_out_table(cli, cli_entry_fields);
    if (j.out != NULL)
        rc = kedge_run_journal(store, id, from, add_entry, &j, cli->timeout_us, &err);
    if (rc == KEDGE_OK || rc == 1)
        return cli_out_end(j.out);
    cli_out_drop(j.out);
    return cli_fail(rc, &err);
}

enum cli_exit cli_journal(const struct cli *cli)
{
    return cli_inspect(cli, look_at_journal);
}

/* ----------------------------------------------------------------------- why */

static int add_cause(void *ctx, const struct kedge_cause *c)
{
    struct cli_out *out = ctx;

    cli_put_text(out, CLI_CAUSE_KIND, kedge_cause_text(c->kind));
    cli_put_time(out, CLI_CAUSE_AT, c->at);
    cli_put_text(out, CLI_CAUSE_STEP, c->step);
    cli_put_bytes(out, CLI_CAUSE_WORKER, c->worker);
    cli_put_bytes(out, CLI_CAUSE_WHO, c->who);
    cli_put_bytes(out, CLI_CAUSE_TEXT, c->text);
    if (c->count != 0)
        cli_put_number(out, CLI_CAUSE_COUNT, c->count);
    cli_put_text(out, CLI_CAUSE_SENTENCE, c->sentence);
    cli_row_end(out, -1);
    return cli_out_failed(out) ? 1 : 0;
}

static enum cli_exit look_why(const struct cli *cli, struct kedge_store *store,
                              struct kedge_bytes id)
{
    struct cli_out *out = cli_out_table(cli, cli_cause_fields);
    struct kedge_error err = { .msg = "" };
    int rc = KEDGE_OK;

    if (out != NULL)
        rc = kedge_run_why(store, id, add_cause, out, cli->timeout_us, &err);
    if (rc == KEDGE_OK || rc == 1)
        return cli_out_end(out);
    cli_out_drop(out);
    return cli_fail(rc, &err);
}

enum cli_exit cli_why(const struct cli *cli)
{
    return cli_inspect(cli, look_why);
}
