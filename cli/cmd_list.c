/* cmd_list.c - kedge list */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include "cli.h"
#include "table.h"

#define TIMEOUT_US 10000000

static const char *const columns[] = { "ID",    "REACTOR", "STATUS", "PLACE",
                                       "QUEUE", "RECORDS", "CREATED" };
enum { COL_ID, COL_REACTOR, COL_STATUS, COL_PLACE, COL_QUEUE, COL_RECORDS, COL_CREATED, N_COLUMNS };

#define NO_MEMORY (-1)

static int set_bytes(struct libscols_line *line, size_t column, struct kedge_bytes bytes)
{
    char *text = cli_escape(bytes);

    if (text == NULL)
        return NO_MEMORY;
    if (scols_line_refer_data(line, column, text) == 0)
        return 0;
    free(text);
    return NO_MEMORY;
}

static int set_reactor(struct libscols_line *line, const struct kedge_run_info *info)
{
    char *name = cli_escape(info->reactor);
    char *text = NULL;
    int rc = NO_MEMORY;

    if (name != NULL && asprintf(&text, "%s@%lu", name, (unsigned long)info->version) >= 0) {
        rc = scols_line_refer_data(line, COL_REACTOR, text);
        if (rc != 0)
            free(text);
    }
    free(name);
    return rc != 0 ? NO_MEMORY : 0;
}

static int add_run(void *ctx, const struct kedge_run_info *info)
{
    struct libscols_line *line = scols_table_new_line(ctx, NULL);
    char created[CLI_TIME_SIZE];
    char records[24];

    if (line == NULL)
        return NO_MEMORY;
    (void)snprintf(records, sizeof records, "%llu", (unsigned long long)info->records);
    if (set_bytes(line, COL_ID, info->id) != 0 || set_reactor(line, info) != 0 ||
        set_bytes(line, COL_QUEUE, info->queue) != 0 ||
        scols_line_set_data(line, COL_STATUS, kedge_run_status_text(info->status)) != 0 ||
        scols_line_set_data(line, COL_PLACE, kedge_run_place_text(info->place)) != 0 ||
        scols_line_set_data(line, COL_RECORDS, records) != 0 ||
        scols_line_set_data(line, COL_CREATED, cli_time(info->created, created)) != 0)
        return NO_MEMORY;
    return 0;
}

static enum cli_exit take_limit(const struct cli *cli, uint64_t *limit)
{
    char *end;
    unsigned long long n;

    *limit = 0;
    if (cli->limit == NULL)
        return CLI_EXIT_OK;
    errno = 0;
    n = strtoull(cli->limit, &end, 10);
    if (cli->limit[0] < '0' || cli->limit[0] > '9' || *end != '\0' || errno != 0 || n == 0)
        return cli_usage(cli, "the limit is not a positive number:", cli->limit);
    *limit = n;
    return CLI_EXIT_OK;
}

enum cli_exit cli_list(const struct cli *cli, int argc, char **argv)
{
    struct kedge_run_filter filter = KEDGE_RUN_FILTER_INIT;
    struct libscols_table *table = NULL;
    struct kedge_store *store = NULL;
    struct kedge_error err = { .msg = "out of memory" };
    enum cli_exit status;
    int rc = KEDGE_ERR_NOMEM;

    if (argc > 0)
        return cli_usage(cli, "one word too many:", argv[0]);
    status = take_limit(cli, &filter.limit);
    filter.unserved = cli->unserved;
    if (status == CLI_EXIT_OK)
        status = cli_open_store(cli, cli->store, 0, &store);
    if (status != CLI_EXIT_OK)
        return status;
    table = cli_table_new(columns, N_COLUMNS, UINT32_C(1) << COL_RECORDS);
    if (table != NULL)
        rc = kedge_run_list(store, &filter, add_run, table, TIMEOUT_US, &err);
    if (rc == KEDGE_OK && scols_table_get_nlines(table) > 0)
        (void)scols_print_table(table);
    scols_unref_table(table);
    kedge_store_close(store);
    return rc == KEDGE_OK ? CLI_EXIT_OK : cli_fail(rc, &err);
}
