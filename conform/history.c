/* history.c - events, in memory and as JSON lines */
#include <config.h>

#include "history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <cJSON.h>

#include <kedge/error.h>

/* cJSON keeps numbers as double and writes 15 digits of them: beyond that they travel as text. */
#define EXACT_MAX UINT64_C(1000000000000000)

static const struct {
    const char *word;
    enum history_subject subject;
} ops[HISTORY_N_OPS] = {
#define OP_ROW(name, word, subject) { (word), HISTORY_OF_##subject },
    HISTORY_OPS(OP_ROW)
#undef OP_ROW
};

static const struct {
    const char *name;
    int32_t value;
} statuses[] = {
#define STATUS_ROW(name, value, text) { #name, (value) },
    KEDGE_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};
#define N_STATUSES (sizeof statuses / sizeof statuses[0])

/* The numbers of an event that are left out of the text when they say nothing. */
static const struct {
    const char *name;
    size_t offset;
    bool is_signed;
    uint64_t nothing;
} members[] = {
    { "o", offsetof(struct history_event, owner), false, 0 },
    { "holder", offsetof(struct history_event, holder), false, 0 },
    { "ttl", offsetof(struct history_event, ttl), true, 0 },
    { "call", offsetof(struct history_event, call), true, (uint64_t)HISTORY_NO_TIME },
    { "ret", offsetof(struct history_event, ret), true, (uint64_t)HISTORY_NEVER },
    { "now", offsetof(struct history_event, now_from), true, (uint64_t)HISTORY_NO_TIME },
    { "now_to", offsetof(struct history_event, now_to), true, (uint64_t)HISTORY_NO_TIME },
    { "fence", offsetof(struct history_event, fence), false, 0 },
    { "seen", offsetof(struct history_event, seen), false, 0 },
    { "version", offsetof(struct history_event, version), false, 0 },
    { "value", offsetof(struct history_event, value), false, 0 },
};
#define N_MEMBERS (sizeof members / sizeof members[0])

struct history_event history_event(uint32_t op, uint32_t worker, const char *key, uint64_t owner)
{
    struct history_event e = {
        .ret = HISTORY_NEVER,
        .now_from = HISTORY_NO_TIME,
        .now_to = HISTORY_NO_TIME,
        .owner = owner,
        .worker = worker,
        .op = op,
        .result = KEDGE_ERR_UNKNOWN,
    };

    (void)snprintf(e.key, sizeof e.key, "%s", key != NULL ? key : "");
    return e;
}

void history_free(struct history *h)
{
    free(h->events);
    *h = (struct history){ NULL, 0, 0 };
}

bool history_add(struct history *h, const struct history_event *e)
{
    if (h->n == h->room) {
        size_t room = h->room == 0 ? 256 : h->room * 2;
        struct history_event *grown = realloc(h->events, room * sizeof *grown);

        if (grown == NULL)
            return false;
        h->events = grown;
        h->room = room;
    }
    h->events[h->n] = *e;
    if (e->result == KEDGE_ERR_UNKNOWN) /* it may still take effect after that answer */
        h->events[h->n].ret = HISTORY_NEVER;
    h->n++;
    return true;
}

static int by_call(const void *a, const void *b)
{
    const struct history_event *x = a, *y = b;

    if (x->call != y->call)
        return x->call < y->call ? -1 : 1;
    if (x->ret != y->ret)
        return x->ret < y->ret ? -1 : 1;
    return (x->worker > y->worker) - (x->worker < y->worker);
}

void history_sort(struct history *h)
{
    if (h->n > 1)
        qsort(h->events, h->n, sizeof *h->events, by_call);
}

enum history_subject history_subject(uint32_t op)
{
    return ops[op].subject;
}

const char *history_op_name(uint32_t op)
{
    return op < HISTORY_N_OPS ? ops[op].word : "an operation that is none";
}

const char *history_status_name(int32_t status)
{
    for (size_t i = 0; i < N_STATUSES; i++)
        if (statuses[i].value == status)
            return statuses[i].name;
    return "a status that is none";
}

void history_tell(const struct history_event *e, char *out, size_t size)
{
    char number[5][40] = { "", "", "", "", "" };
    char ret[24] = "..";

    if (e->owner != 0)
        (void)snprintf(number[0], sizeof number[0], " by %" PRIu64, e->owner);
    if (e->seen != 0)
        (void)snprintf(number[1], sizeof number[1], " at version %" PRIu64, e->seen);
    if (e->fence != 0)
        (void)snprintf(number[2], sizeof number[2], ", fence %" PRIu64, e->fence);
    if (e->version != 0)
        (void)snprintf(number[3], sizeof number[3], ", version %" PRIu64, e->version);
    if (e->value != 0)
        (void)snprintf(number[4], sizeof number[4], ", value %" PRIu64, e->value);
    if (e->ret != HISTORY_NEVER)
        (void)snprintf(ret, sizeof ret, "%" PRId64, e->ret);
    (void)snprintf(out, size, "w%" PRIu32 " %s%s%s%s%s -> %s%s%s%s [%" PRId64 ", %s]", e->worker,
                   history_op_name(e->op), e->key[0] != '\0' ? " " : "", e->key, number[0],
                   number[1], history_status_name(e->result), number[2], number[3], number[4],
                   e->call, ret);
}

/* ------------------------------------------------------------------ to text */

static bool add_number(cJSON *line, size_t m, const struct history_event *e)
{
    uint64_t v;
    char text[24];

    memcpy(&v, (const char *)e + members[m].offset, sizeof v);
    if (v == members[m].nothing)
        return true;
    if (members[m].is_signed) {
        int64_t s = (int64_t)v;

        if (s < (int64_t)EXACT_MAX && s > -(int64_t)EXACT_MAX)
            return cJSON_AddNumberToObject(line, members[m].name, (double)s) != NULL;
        (void)snprintf(text, sizeof text, "%" PRId64, s);
    } else {
        if (v < EXACT_MAX)
            return cJSON_AddNumberToObject(line, members[m].name, (double)v) != NULL;
        (void)snprintf(text, sizeof text, "%" PRIu64, v);
    }
    return cJSON_AddStringToObject(line, members[m].name, text) != NULL;
}

static char *event_text(const struct history_event *e, size_t i)
{
    cJSON *line = cJSON_CreateObject();
    char *text = NULL;
    bool ok = line != NULL && cJSON_AddNumberToObject(line, "i", (double)i) != NULL &&
              cJSON_AddNumberToObject(line, "w", (double)e->worker) != NULL &&
              cJSON_AddStringToObject(line, "op", history_op_name(e->op)) != NULL &&
              (e->key[0] == '\0' || cJSON_AddStringToObject(line, "k", e->key) != NULL) &&
              cJSON_AddStringToObject(line, "res", history_status_name(e->result)) != NULL;

    for (size_t m = 0; ok && m < N_MEMBERS; m++)
        ok = add_number(line, m, e);
    if (ok)
        text = cJSON_PrintUnformatted(line);
    cJSON_Delete(line);
    return text;
}

bool history_write(const struct history *h, FILE *out)
{
    for (size_t i = 0; i < h->n; i++) {
        char *text = event_text(&h->events[i], i);
        bool ok = text != NULL && fputs(text, out) >= 0 && fputc('\n', out) != EOF;

        cJSON_free(text);
        if (!ok)
            return false;
    }
    return fflush(out) == 0;
}

/* ---------------------------------------------------------------- from text */

static const char *take_number(const cJSON *item, size_t m, struct history_event *e)
{
    uint64_t v;

    if (cJSON_IsString(item)) {
        char *end;

        v = members[m].is_signed ? (uint64_t)strtoll(item->valuestring, &end, 10)
                                 : strtoull(item->valuestring, &end, 10);
        if (*end != '\0' || end == item->valuestring)
            return "a number is none";
    } else if (cJSON_IsNumber(item)) {
        double d = item->valuedouble;

        if (d > (double)EXACT_MAX || d < (members[m].is_signed ? -(double)EXACT_MAX : 0.0))
            return "a number is too large to be exact: it has to be a string";
        v = (uint64_t)(int64_t)d;
    } else {
        return "a number is none";
    }
    memcpy((char *)e + members[m].offset, &v, sizeof v);
    return NULL;
}

static const char *take_words(const cJSON *line, struct history_event *e)
{
    const char *op = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, "op"));
    const char *res = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, "res"));
    const cJSON *key = cJSON_GetObjectItemCaseSensitive(line, "k");
    const cJSON *worker = cJSON_GetObjectItemCaseSensitive(line, "w");
    size_t s = 0;

    *e = history_event(HISTORY_N_OPS, 0, "", 0);
    e->call = HISTORY_NO_TIME;
    for (uint32_t i = 0; op != NULL && i < HISTORY_N_OPS; i++)
        if (strcmp(ops[i].word, op) == 0)
            e->op = i;
    if (e->op == HISTORY_N_OPS)
        return "no known \"op\"";
    while (res != NULL && s < N_STATUSES && strcmp(statuses[s].name, res) != 0)
        s++;
    if (res == NULL || s == N_STATUSES)
        return "no known \"res\"";
    e->result = statuses[s].value;
    if (key != NULL) {
        if (!cJSON_IsString(key) || strlen(key->valuestring) >= sizeof e->key)
            return "\"k\" is no text, or longer than a key can be";
        memcpy(e->key, key->valuestring, strlen(key->valuestring) + 1);
    }
    if (worker != NULL) {
        if (!cJSON_IsNumber(worker) || worker->valuedouble < 0 || worker->valuedouble > 1e9)
            return "\"w\" is no number";
        e->worker = (uint32_t)worker->valuedouble;
    }
    return NULL;
}

static const char *take_event(const cJSON *line, struct history_event *e)
{
    const char *wrong;

    if (!cJSON_IsObject(line))
        return "not a JSON object";
    wrong = take_words(line, e);
    for (size_t m = 0; wrong == NULL && m < N_MEMBERS; m++) {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(line, members[m].name);

        if (item != NULL)
            wrong = take_number(item, m, e);
    }
    if (wrong == NULL && (e->call == HISTORY_NO_TIME || e->ret < e->call))
        wrong = "no \"call\", or a \"ret\" before it";
    if (wrong == NULL && e->ret == HISTORY_NEVER && e->result != KEDGE_ERR_UNKNOWN)
        wrong = "a result without \"ret\"";
    return wrong;
}

size_t history_read(struct history *h, FILE *in, char *why, size_t size)
{
    char text[2048];
    size_t number = 0;

    while (fgets(text, sizeof text, in) != NULL) {
        struct history_event e;
        cJSON *line;
        const char *wrong;

        number++;
        if (text[strspn(text, " \t\n")] == '\0')
            continue;
        line = cJSON_Parse(text);
        wrong = take_event(line, &e);
        cJSON_Delete(line);
        if (wrong == NULL && !history_add(h, &e))
            wrong = "out of memory";
        if (wrong != NULL) {
            (void)snprintf(why, size, "line %zu: %s", number, wrong);
            return number;
        }
    }
    return 0;
}
