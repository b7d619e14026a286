/* cmd_show.c - kedge show */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "table.h"

#define TIMEOUT_US 10000000
#define NO_MEMORY  (-1)

static const char *const columns[] = { "STEP", "AFTER", "STATE", "FAILURES",
                                       "TIME", "NEXT",  "VALUE", "ERROR" };
enum { COL_STEP, COL_AFTER, COL_STATE, COL_FAILURES, COL_TIME, COL_NEXT, COL_VALUE, COL_ERROR };
#define N_COLUMNS (sizeof columns / sizeof *columns)

struct known {
    char *name;
    uint32_t *after;
    size_t n_after;
};

/* The steps so far, by index: a step comes after others of the table. */
struct steps {
    struct libscols_table *table;
    struct known *known;
    size_t n;
};

/* ------------------------------------------------------------------- head */

static void fact_bytes(const char *name, struct kedge_bytes bytes)
{
    char *text;

    if (bytes.len == 0)
        return;
    text = cli_escape(bytes);
    (void)printf("%s=%s\n", name, text != NULL ? text : "?");
    free(text);
}

static void fact_time(const char *name, int64_t us)
{
    char buf[CLI_TIME_SIZE];

    if (us != 0)
        (void)printf("%s=%s\n", name, cli_time(us, buf));
}

static void fact_number(const char *name, uint64_t n)
{
    (void)printf("%s=%llu\n", name, (unsigned long long)n);
}

static void fact_holder(const uint8_t holder[16])
{
    static const uint8_t nobody[16];

    if (memcmp(holder, nobody, sizeof nobody) == 0)
        return;
    (void)printf("holder=");
    for (size_t i = 0; i < sizeof nobody; i++)
        (void)printf("%02x", holder[i]);
    (void)putchar('\n');
}

static void show_head(const struct kedge_run_info *info)
{
    fact_bytes("id", info->id);
    fact_bytes("reactor", info->reactor);
    fact_number("version", info->version);
    fact_bytes("queue", info->queue);
    fact_bytes("context", info->context);
    (void)printf("status=%s\nplace=%s\n", kedge_run_status_text(info->status),
                 kedge_run_place_text(info->place));
    fact_number("records", info->records);
    fact_number("recoveries", info->recoveries);
    fact_number("fence", info->fence);
    fact_number("incarnation", info->incarnation);
    fact_holder(info->holder);
    fact_time("created", info->created);
    fact_time("due", info->due);
    fact_time("finished", info->finished);
    fact_time("expires", info->expires);
    fact_bytes("result", info->result);
    fact_bytes("error", info->error);
    fact_bytes("error_step", info->error_step);
}

/* ------------------------------------------------------------------ steps */

static int set_text(struct libscols_line *line, size_t column, struct kedge_bytes bytes)
{
    char *text;

    if (bytes.len == 0)
        return scols_line_set_data(line, column, "-");
    text = cli_escape(bytes);
    if (text == NULL)
        return NO_MEMORY;
    if (scols_line_refer_data(line, column, text) == 0)
        return 0;
    free(text);
    return NO_MEMORY;
}

static int set_number(struct libscols_line *line, size_t column, uint64_t n)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    return scols_line_set_data(line, column, text);
}

/* "ready ?": an earlier execution may have taken effect. */
static int set_state(struct libscols_line *line, const struct kedge_step_info *step)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%s%s", kedge_step_state_text(step->state),
                   (step->flags & KEDGE_STEP_IN_DOUBT) != 0 ? " ?" : "");
    return scols_line_set_data(line, COL_STATE, text);
}

/* Remember its name, and what it comes after: those names may be told later. */
static int remember(struct steps *s, const struct kedge_step_info *step)
{
    struct known *all = realloc(s->known, (s->n + 1) * sizeof *all);
    struct known known = { .n_after = step->n_after };

    if (all == NULL)
        return NO_MEMORY;
    s->known = all;
    known.name = cli_escape(kedge_text(step->name));
    known.after = malloc((step->n_after + 1) * sizeof *known.after);
    if (known.after != NULL && step->n_after != 0)
        memcpy(known.after, step->after, step->n_after * sizeof *known.after);
    all[s->n++] = known;
    return known.name != NULL && known.after != NULL ? 0 : NO_MEMORY;
}

static int add_step(void *ctx, const struct kedge_step_info *step)
{
    struct steps *s = ctx;
    struct libscols_line *line = scols_table_new_line(s->table, cli_table_parent(s->table, step));
    char time[CLI_TIME_SIZE];
    int rc;

    if (line == NULL || remember(s, step) != 0)
        return NO_MEMORY;
    rc = scols_line_set_data(line, COL_STEP, s->known[s->n - 1].name);
    rc |= set_state(line, step);
    rc |= set_number(line, COL_FAILURES, step->failures);
    rc |= scols_line_set_data(line, COL_TIME, cli_time(step->time, time));
    rc |= scols_line_set_data(line, COL_NEXT, cli_time(step->next, time));
    if (step->state == KEDGE_STEP_DONE)
        rc |= set_number(line, COL_VALUE, step->value.len);
    else
        rc |= scols_line_set_data(line, COL_VALUE, "-");
    rc |= set_text(line, COL_ERROR, step->error);
    return rc != 0 ? NO_MEMORY : 0;
}

/* All steps are known: say in words which come before which.  They are in the table's order,
   without gaps where there is a definition to tell of any order. */
static int join_after(const struct steps *s, size_t i)
{
    const struct known *known = &s->known[i];
    size_t size = 2;
    char *text;

    for (size_t k = 0; k < known->n_after; k++)
        size += known->after[k] < s->n ? strlen(s->known[known->after[k]].name) + 1 : 0;
    text = calloc(1, size);
    if (text == NULL)
        return NO_MEMORY;
    for (size_t k = 0; k < known->n_after; k++) {
        if (known->after[k] >= s->n)
            continue;
        if (text[0] != '\0')
            (void)strcat(text, ",");
        (void)strcat(text, s->known[known->after[k]].name);
    }
    if (text[0] == '\0')
        (void)strcpy(text, "-");
    if (scols_line_refer_data(scols_table_get_line(s->table, i), COL_AFTER, text) == 0)
        return 0;
    free(text);
    return NO_MEMORY;
}

static int show_steps(struct kedge_store *store, struct kedge_bytes id, struct kedge_error *err)
{
    struct steps s = { .table =
                           cli_table_new(columns, N_COLUMNS,
                                         UINT32_C(1) << COL_FAILURES | UINT32_C(1) << COL_VALUE) };
    int rc = KEDGE_ERR_NOMEM;

    (void)snprintf(err->msg, sizeof err->msg, "out of memory");
    if (s.table != NULL)
        cli_table_tree(s.table);
    if (s.table != NULL)
        rc = kedge_run_steps(store, id, add_step, &s, TIMEOUT_US, err);
    for (size_t i = 0; rc == KEDGE_OK && i < s.n; i++)
        rc = join_after(&s, i);
    if (rc == KEDGE_OK && s.n > 0) {
        (void)putchar('\n');
        (void)scols_print_table(s.table);
    }
    for (size_t i = 0; i < s.n; i++) {
        free(s.known[i].name);
        free(s.known[i].after);
    }
    free(s.known);
    scols_unref_table(s.table);
    return rc;
}

enum cli_exit cli_show(const struct cli *cli, int argc, char **argv)
{
    struct kedge_run_info *info = NULL;
    struct kedge_store *store = NULL;
    struct kedge_error err = { .msg = "" };
    struct kedge_bytes id;
    enum cli_exit status;
    int rc;

    if (argc != 1)
        return cli_usage(cli, argc == 0 ? "no run given" : "one word too many:",
                         argc == 0 ? NULL : argv[1]);
    status = cli_open_store(cli, cli->store, 0, &store);
    if (status != CLI_EXIT_OK)
        return status;
    id = (struct kedge_bytes){ argv[0], cli_unescape(argv[0]) };
    rc = kedge_run_get(store, id, KEDGE_RUN_WANT_RESULT, &info, TIMEOUT_US, &err);
    if (rc == KEDGE_OK) {
        show_head(info);
        rc = show_steps(store, id, &err);
    }
    kedge_run_info_free(info);
    kedge_store_close(store);
    return rc == KEDGE_OK ? CLI_EXIT_OK : cli_fail(rc, &err);
}
