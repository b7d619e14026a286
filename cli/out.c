/* out.c - rows as a table, as key=value lines, or as JSON */
#include <config.h>

#include <cJSON.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "out.h"
#include "text.h"

#define MOST_FIELDS 32

struct cli_out {
    const struct cli *cli;
    const struct cli_field *fields;
    size_t n_fields;
    bool record;
    bool nested; /* part of another output */
    bool failed;
    bool open; /* JSON: an array was begun */
    size_t rows;
    cJSON *object;                /* JSON: the current row */
    cJSON *array;                 /* JSON, nested: the rows */
    char *texts[MOST_FIELDS];     /* else: its members, as they are shown; NULL: not known */
    struct libscols_table *table; /* tables */
    size_t columns[MOST_FIELDS];  /* which column a field has, + 1; 0: none */
};

/* ------------------------------------------------------------------- making */

static bool add_columns(struct cli_out *out, bool tree)
{
    size_t n = 0;

    out->table = scols_new_table();
    if (out->table == NULL)
        return false;
    (void)scols_table_enable_noencoding(out->table, 1); /* what goes in has been escaped already */
    (void)scols_table_enable_colors(out->table, out->cli->color);
    for (size_t i = 0; i < out->n_fields; i++) {
        const struct cli_field *f = &out->fields[i];
        int flags = f->type == CLI_NUMBER || f->type == CLI_SMALL || f->type == CLI_SPAN
                        ? SCOLS_FL_RIGHT
                        : 0;

        if (f->head == NULL)
            continue;
        if (tree && n == 0)
            flags |= SCOLS_FL_TREE;
        if (scols_table_new_column(out->table, f->head, 0, flags) == NULL)
            return false;
        out->columns[i] = ++n;
    }
    return true;
}

static struct cli_out *new_out(const struct cli *cli, const struct cli_field *fields, bool record,
                               bool tree)
{
    struct cli_out *out = calloc(1, sizeof *out);

    if (out == NULL)
        return NULL;
    out->cli = cli;
    out->fields = fields;
    out->record = record;
    while (fields != NULL && out->n_fields < MOST_FIELDS && fields[out->n_fields].key != NULL)
        out->n_fields++;
    if (cli->json)
        out->object = cJSON_CreateObject();
    if (cli->json ? out->object == NULL : !record && !add_columns(out, tree)) {
        cli_out_drop(out);
        return NULL;
    }
    return out;
}

struct cli_out *cli_out_table(const struct cli *cli, const struct cli_field *fields)
{
    return new_out(cli, fields, false, false);
}

struct cli_out *cli_out_tree(const struct cli *cli, const struct cli_field *fields)
{
    return new_out(cli, fields, false, true);
}

struct cli_out *cli_out_record(const struct cli *cli, const struct cli_field *fields)
{
    return new_out(cli, fields, true, false);
}

struct cli_out *cli_out_part(struct cli_out *out)
{
    if (out != NULL)
        out->nested = true;
    return out;
}

void cli_out_drop(struct cli_out *out)
{
    if (out == NULL)
        return;
    if (out->open) /* what is there is told, and what went wrong elsewhere */
        (void)puts("]");
    for (size_t i = 0; i < out->n_fields; i++)
        free(out->texts[i]);
    scols_unref_table(out->table);
    cJSON_Delete(out->object);
    cJSON_Delete(out->array);
    free(out);
}

bool cli_out_failed(const struct cli_out *out)
{
    return out == NULL || out->failed;
}

size_t cli_rows(const struct cli_out *out)
{
    return out->rows;
}

/* ------------------------------------------------------------------ members */

/* TEXT is ours from here on; NULL: there was no memory for it. */
static void keep(struct cli_out *out, size_t field, char *text)
{
    if (text == NULL) {
        out->failed = true;
        return;
    }
    free(out->texts[field]);
    out->texts[field] = text;
}

static void keep_json(struct cli_out *out, const char *key, cJSON *item)
{
    cJSON_DeleteItemFromObjectCaseSensitive(out->object, key);
    if (item == NULL || !cJSON_AddItemToObject(out->object, key, item)) {
        cJSON_Delete(item);
        out->failed = true;
    }
}

/* JSON as it is, on one line: between its tokens a line break is a space. */
static cJSON *raw(struct kedge_bytes json)
{
    char *text = malloc(json.len + 1);
    cJSON *item = NULL;

    if (text != NULL) {
        memcpy(text, json.data, json.len);
        text[json.len] = '\0';
        for (char *at = text; *at != '\0'; at++)
            *at = *at == '\n' || *at == '\r' ? ' ' : *at;
        item = cJSON_CreateRaw(text);
    }
    free(text);
    return item;
}

static cJSON *string_of(struct kedge_bytes bytes)
{
    char *text = cli_escape(bytes, false);
    cJSON *item = text != NULL ? cJSON_CreateString(text) : NULL;

    free(text);
    return item;
}

void cli_put_bytes(struct cli_out *out, size_t field, struct kedge_bytes bytes)
{
    const struct cli_field *f = &out->fields[field];

    if (bytes.len == 0 || out->failed)
        return;
    if (!out->cli->json)
        keep(out, field, cli_escape(bytes, true));
    else if (f->type == CLI_RAW && kedge_json_check(bytes.data, bytes.len, NULL) == KEDGE_OK)
        keep_json(out, f->key, raw(bytes));
    else
        keep_json(out, f->key, string_of(bytes));
}

void cli_put_text(struct cli_out *out, size_t field, const char *text)
{
    cli_put_bytes(out, field, kedge_text(text));
}

void cli_put_lines(struct cli_out *out, size_t field, const char *text)
{
    if (text[0] != '\0' && !out->failed && out->cli->json)
        keep_json(out, out->fields[field].key, cJSON_CreateString(text));
}

static void put_number_json(struct cli_out *out, const struct cli_field *f, uint64_t n)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    if (f->type == CLI_BOOL)
        keep_json(out, f->key, cJSON_CreateBool(n != 0));
    else if (f->type == CLI_SMALL)
        keep_json(out, f->key, cJSON_CreateRaw(text));
    else
        keep_json(out, f->key, cJSON_CreateString(text));
}

void cli_put_number(struct cli_out *out, size_t field, uint64_t n)
{
    const struct cli_field *f = &out->fields[field];
    char text[CLI_SPAN_SIZE];

    if (out->failed)
        return;
    if (out->cli->json) {
        put_number_json(out, f, n);
        return;
    }
    if (f->type == CLI_BOOL)
        (void)snprintf(text, sizeof text, "%s", n != 0 ? "yes" : "no");
    else if (f->type == CLI_SPAN)
        (void)cli_span_text((int64_t)n, text);
    else
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    keep(out, field, strdup(text));
}

void cli_put_time(struct cli_out *out, size_t field, int64_t us)
{
    char text[CLI_TIME_SIZE];

    if (us == 0 || out->failed)
        return;
    if (out->cli->json)
        keep_json(out, out->fields[field].key, cJSON_CreateString(cli_time(us, 6, text)));
    else
        keep(out, field, strdup(cli_time(us, 3, text)));
}

void cli_put_id(struct cli_out *out, size_t field, const uint8_t *id, size_t len)
{
    char text[2 * 16 + 1];
    bool nobody = true;

    for (size_t i = 0; i < len && i < 16; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", id[i]);
        nobody = nobody && id[i] == 0;
    }
    if (!nobody)
        cli_put_text(out, field, text);
}

void cli_put_item(struct cli_out *out, size_t field, struct kedge_bytes item)
{
    const struct cli_field *f = &out->fields[field];
    cJSON *list;
    cJSON *string;
    char *text;
    char *joined = NULL;

    if (out->failed)
        return;
    if (out->cli->json) {
        list = cJSON_GetObjectItemCaseSensitive(out->object, f->key);
        if (list == NULL)
            list = cJSON_AddArrayToObject(out->object, f->key);
        string = string_of(item);
        if (list == NULL || string == NULL || !cJSON_AddItemToArray(list, string)) {
            cJSON_Delete(string);
            out->failed = true;
        }
        return;
    }
    text = cli_escape(item, true);
    if (text != NULL && out->texts[field] != NULL) {
        if (asprintf(&joined, "%s,%s", out->texts[field], text) < 0)
            joined = NULL;
        free(text);
        text = joined;
    }
    keep(out, field, text);
}

void cli_put_rows(struct cli_out *out, size_t field, struct cli_out *rows)
{
    if (rows == NULL || rows->failed) {
        out->failed = true;
    } else if (out->cli->json) {
        keep_json(out, out->fields[field].key,
                  rows->array != NULL ? rows->array : cJSON_CreateArray());
        rows->array = NULL;
    }
    cli_out_drop(rows);
}

/* What is known of the row, which is nothing any more then. */
static void print_lines(struct cli_out *out)
{
    for (size_t i = 0; i < out->n_fields; i++) {
        if (out->texts[i] != NULL)
            (void)printf("%s=%s\n", out->fields[i].key, out->texts[i]);
        free(out->texts[i]);
        out->texts[i] = NULL;
    }
}

void cli_put_fact(struct cli_out *out, const char *name, const char *value)
{
    char *text;

    if (out->failed)
        return;
    if (out->cli->json) {
        keep_json(out, name, string_of(kedge_text(value)));
        return;
    }
    print_lines(out); /* what was put before */
    text = cli_printable(value, true);
    if (text != NULL)
        (void)printf("%s=%s\n", name, text);
    else
        out->failed = true;
    free(text);
}

void cli_put_column(struct cli_out *out, size_t field, struct kedge_bytes text)
{
    if (!out->cli->json && !out->record && !out->failed)
        keep(out, field, cli_escape(text, true));
}

/* --------------------------------------------------------------------- rows */

/* What went well is green, what needs somebody is red, what is under way is neither. */
static const char *color_of(const char *text)
{
    static const struct {
        const char *text;
        const char *color;
    } colors[] = { { "completed", "green" }, { "failed", "red" },      { "stuck", "red" },
                   { "aborted", "red" },     { "undo failed", "red" }, { "cancelled", "yellow" },
                   { "halted", "yellow" },   { "paused", "yellow" },   { "rolling back", "yellow" },
                   { "done", "green" },      { "dead", "red" },        { "lapsed", "yellow" },
                   { "gone", "yellow" },     { "alive", "green" },     { "refused", "yellow" } };

    for (size_t i = 0; i < sizeof colors / sizeof *colors; i++) {
        if (strcmp(text, colors[i].text) == 0)
            return colors[i].color;
    }
    return NULL;
}

static bool add_line(struct cli_out *out, long parent)
{
    struct libscols_line *above =
        parent >= 0 ? scols_table_get_line(out->table, (size_t)parent) : NULL;
    struct libscols_line *line = scols_table_new_line(out->table, above);

    if (line == NULL)
        return false;
    for (size_t i = 0; i < out->n_fields; i++) {
        size_t column = out->columns[i];
        char *text = out->texts[i];

        if (column == 0)
            continue;
        if (text == NULL) {
            if (scols_line_set_data(line, column - 1, "-") != 0)
                return false;
            continue;
        }
        if (out->cli->color && out->fields[i].type == CLI_WORD && color_of(text) != NULL)
            (void)scols_cell_set_color(scols_line_get_cell(line, column - 1), color_of(text));
        if (scols_line_refer_data(line, column - 1, text) != 0)
            return false;
        out->texts[i] = NULL; /* the line's from here on */
    }
    return true;
}

/* An object, or an element of the array that is printed as it comes. */
static bool print_object(struct cli_out *out)
{
    char *text = cJSON_PrintUnformatted(out->object);

    if (text == NULL)
        return false;
    if (out->record || out->cli->lines)
        (void)printf("%s\n", text);
    else
        (void)printf("%s%s", out->open ? ",\n" : "[", text);
    cJSON_free(text);
    out->open = !out->record && !out->cli->lines;
    return true;
}

static bool end_json(struct cli_out *out)
{
    if (!out->nested) {
        if (!print_object(out))
            return false;
        cJSON_Delete(out->object);
    } else {
        if (out->array == NULL)
            out->array = cJSON_CreateArray();
        if (out->array == NULL || !cJSON_AddItemToArray(out->array, out->object))
            return false;
    }
    out->object = cJSON_CreateObject();
    return out->object != NULL;
}

void cli_row_end(struct cli_out *out, long parent)
{
    if (!out->failed) {
        if (out->cli->json)
            out->failed = !end_json(out);
        else if (out->record)
            print_lines(out);
        else
            out->failed = !add_line(out, parent);
    }
    for (size_t i = 0; i < out->n_fields; i++) {
        free(out->texts[i]);
        out->texts[i] = NULL;
    }
    out->rows++;
}

enum cli_exit cli_out_end(struct cli_out *out)
{
    bool failed = cli_out_failed(out);

    if (!failed && !out->record) {
        if (out->table != NULL && out->rows > 0)
            failed = scols_print_table(out->table) != 0;
        else if (out->cli->json && !out->cli->lines && out->rows == 0)
            (void)puts("[]");
    }
    cli_out_drop(out);
    return failed ? cli_tell(CLI_EXIT_FAILURE, "out of memory") : CLI_EXIT_OK;
}
