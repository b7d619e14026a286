/* cmd_show.c - kedge show: the head of a run, and its steps as a tree */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "inspect.h"
#include "out.h"
#include "run_row.h"
#include "text.h"

/* What is known of the steps; kept, as what a step comes after may be told later. */
struct known {
    char *name;
    uint32_t *after;
    size_t n_after;
    long parent;
    uint32_t state;
    uint32_t failures;
    bool in_doubt;
    bool has_value;
    int64_t time;
    int64_t next;
    struct kedge_bytes value; /* ours */
    struct kedge_bytes error; /* likewise */
};

struct steps {
    struct known *all;
    size_t n;
};

static bool copy(struct kedge_bytes *to, struct kedge_bytes from)
{
    char *bytes = malloc(from.len + 1);

    if (bytes == NULL)
        return false;
    if (from.len > 0)
        memcpy(bytes, from.data, from.len);
    to->data = bytes;
    to->len = from.len;
    return true;
}

static int remember(void *ctx, const struct kedge_step_info *step)
{
    struct steps *s = ctx;
    struct known *all = realloc(s->all, (s->n + 1) * sizeof *all);
    struct known *k;

    if (all == NULL)
        return 1;
    s->all = all;
    k = &all[s->n++];
    *k = (struct known){ .name = strdup(step->name),
                         .after = malloc((step->n_after + 1) * sizeof *k->after),
                         .n_after = step->n_after,
                         .parent = cli_step_parent(step),
                         .state = step->state,
                         .failures = step->failures,
                         .in_doubt = (step->flags & KEDGE_STEP_IN_DOUBT) != 0,
                         .has_value = step->state == KEDGE_STEP_DONE,
                         .time = step->time,
                         .next = step->next };
    if (k->after != NULL && step->n_after != 0)
        memcpy(k->after, step->after, step->n_after * sizeof *k->after);
    return k->name != NULL && k->after != NULL && copy(&k->value, step->value) &&
                   copy(&k->error, step->error)
               ? 0
               : 1;
}

static void forget(struct steps *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->all[i].name);
        free(s->all[i].after);
        free((void *)(uintptr_t)s->all[i].value.data);
        free((void *)(uintptr_t)s->all[i].error.data);
    }
    free(s->all);
}

static void put_step(struct cli_out *out, const struct steps *s, const struct known *k)
{
    char text[40];

    cli_put_text(out, CLI_STEP_NAME, k->name);
    for (size_t i = 0; i < k->n_after; i++) {
        if (k->after[i] < s->n)
            cli_put_item(out, CLI_STEP_AFTER, kedge_text(s->all[k->after[i]].name));
    }
    cli_put_text(out, CLI_STEP_STATE, kedge_step_state_text(k->state));
    if (k->in_doubt) {
        (void)snprintf(text, sizeof text, "%s ?", kedge_step_state_text(k->state));
        cli_put_column(out, CLI_STEP_STATE, kedge_text(text));
    }
    cli_put_number(out, CLI_STEP_DOUBT, k->in_doubt);
    cli_put_number(out, CLI_STEP_FAILURES, k->failures);
    cli_put_time(out, CLI_STEP_TIME, k->time);
    cli_put_time(out, CLI_STEP_NEXT, k->next);
    if (k->has_value)
        cli_put_number(out, CLI_STEP_BYTES, k->value.len);
    cli_put_bytes(out, CLI_STEP_VALUE, k->value);
    cli_put_bytes(out, CLI_STEP_ERROR, k->error);
    cli_row_end(out, k->parent < (long)s->n ? k->parent : -1);
}

static enum cli_exit print(const struct cli *cli, const struct kedge_run_info *info,
                           const struct steps *s)
{
    struct cli_out *head = cli_out_record(cli, cli_run_fields);
    struct cli_out *steps = cli_out_tree(cli, cli_step_fields);
    enum cli_exit status = CLI_EXIT_OK;

    if (head == NULL || steps == NULL) {
        cli_out_drop(head);
        cli_out_drop(steps);
        return cli_tell(CLI_EXIT_FAILURE, "out of memory");
    }
    cli_put_run(head, info);
    if (cli->json) {
        (void)cli_out_part(steps);
        for (size_t i = 0; i < s->n; i++)
            put_step(steps, s, &s->all[i]);
        cli_put_rows(head, CLI_RUN_STEPS, steps);
        cli_row_end(head, -1);
        return cli_out_end(head);
    }
    cli_row_end(head, -1);
    status = cli_out_end(head);
    if (s->n > 0)
        (void)putchar('\n');
    for (size_t i = 0; i < s->n; i++)
        put_step(steps, s, &s->all[i]);
    return status == CLI_EXIT_OK ? cli_out_end(steps) : status;
}

static enum cli_exit look(const struct cli *cli, struct kedge_store *store, struct kedge_bytes id)
{
    struct kedge_run_info *info = NULL;
    struct kedge_error err = { .msg = "out of memory" };
    struct steps steps = { .n = 0 };
    enum cli_exit status;
    int rc = kedge_run_get(store, id, KEDGE_RUN_WANT_RESULT, &info, cli->timeout_us, &err);

    if (rc == KEDGE_OK)
        rc = kedge_run_steps(store, id, remember, &steps, cli->timeout_us, &err);
    if (rc == KEDGE_OK)
        status = print(cli, info, &steps);
    else
        status = cli_fail(rc == 1 ? KEDGE_ERR_NOMEM : rc, &err);
    forget(&steps);
    kedge_run_info_free(info);
    return status;
}

enum cli_exit cli_show(const struct cli *cli)
{
    return cli_inspect(cli, look);
}
