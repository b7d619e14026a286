/*
 * store.c - a namespace is set up, opened, and dropped; sessions
 *
 * The schema record says which schema, which namespace (an id of its own, so that one that was
 * dropped and set up again is another), and whether it is being dropped.  Who drops says so first
 * and takes the record away last: what a dropper that was killed leaves is finished by whoever
 * comes next.
 */
#include <config.h>

#include "../kit/mutant.h"
#include "../kit/schema.h"
#include "hints.h"
#include "rows.h"
#include "session.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define DROP_TIME_US INT64_C(30000000)
#define OPEN_TIME_US INT64_C(10000000)
#define SCAN_AT_ONCE "1000"

const struct kedge_limits rd_limits = {
    .struct_size = sizeof(struct kedge_limits),
    .id_max = 1024,
    .value_max = UINT64_C(16) << 20,
    .cell_max = UINT64_C(64) << 10,
    .batch_items = 256,
    .batch_bytes = UINT64_C(1) << 20,
    .commit_changes = 1000,
    .commit_bytes = (UINT64_C(16) << 20) + (UINT64_C(64) << 10),
    .page_max = 1000,
    .ttl_min_us = 1000,
    .ttl_max_us = INT64_C(10) * 365 * 86400 * 1000000,
};

/* ------------------------------------------------------------ schema record */

static struct kedge_bytes meta_key(struct rd_arena *a, const struct rd_store *store)
{
    return rd_key(a, store->params.prefix, 'm', (struct kedge_bytes){ NULL, 0 });
}

static int simple(struct rd_link *link, struct rd_cmd *cmd, redisReply **reply, enum rd_kind kind,
                  int64_t deadline, struct kedge_error *err)
{
    int rc = rd_call(link, &cmd, 1, reply, kind, deadline, err);

    if (rc != KEDGE_OK || (*reply)->type != REDIS_REPLY_ERROR)
        return rc;
    rc = rd_reply_fail(&link->store->params, *reply, err);
    rd_replies_free(reply, 1);
    return rc;
}

struct record {
    bool there;
    bool going; /* it is being dropped */
    char text[RD_META_SIZE];
};

static int read_record(struct rd_link *link, struct record *out, int64_t deadline,
                       struct kedge_error *err)
{
    struct rd_arena arena = { .host = link->store->host };
    struct rd_cmd cmd = { 0 };
    redisReply *r = NULL;
    int rc;

    rd_cmd_begin(&cmd, "GET");
    rd_arg_bytes(&arena, &cmd, meta_key(&arena, link->store));
    rc = arena.failed ? rd_no_memory(err) : simple(link, &cmd, &r, RD_READS, deadline, err);
    if (rc == KEDGE_OK) {
        out->there = r->type == REDIS_REPLY_STRING;
        (void)snprintf(out->text, sizeof out->text, "%s", out->there ? r->str : "");
        out->going = strstr(out->text, " state=gone") != NULL;
        freeReplyObject(r);
    }
    rd_cmd_free(&cmd);
    rd_arena_free(&arena);
    return rc;
}

/* 0: it is no record of ours. */
static unsigned schema_of(const char *record)
{
    static const char before[] = "kedge redis schema=";
    unsigned long schema;

    if (strncmp(record, before, sizeof before - 1) != 0)
        return 0;
    schema = strtoul(record + sizeof before - 1, NULL, 10);
    return schema > UINT_MAX ? 0 : (unsigned)schema;
}

static int check_schema(const struct rd_store *store, const struct record *rec,
                        struct kedge_error *err)
{
    const struct rd_params *p = &store->params;
    bool said = rec->there && !rec->going;
    unsigned schema = said ? schema_of(rec->text) : 0;
    char where[KEDGE_URL_MASKED_MAX + 160];

    (void)snprintf(where, sizeof where, "the namespace '%.100s' in Redis (%s)", p->tag, p->place);
    if (said && schema == 0)
        return kedge_error_set(err, KEDGE_ERR_CORRUPT, 0,
                               "%s has a record that cannot be understood: something else writes "
                               "kedge's keys",
                               where);
    return kit_schema_check(where, schema, RD_SCHEMA, RD_SCHEMA, err);
}

static void random_bytes(unsigned char id[16])
{
    if (getrandom(id, 16, 0) == 16)
        return;
    rd_put_u64(id, (uint64_t)rd_mono_us());
    rd_put_u64(id + 8, (uint64_t)getpid() << 32 ^ (uintptr_t)id);
}

void rd_unique(struct rd_session *s, unsigned char out[16])
{
    if (s->unique_no == 0)
        random_bytes(s->unique);
    memcpy(out, s->unique, 8);
    rd_put_u64(out + 8, rd_get_u64(s->unique + 8) + s->unique_no++);
}

static void new_record(char text[RD_META_SIZE])
{
    unsigned char id[16];
    char hex[33];

    random_bytes(id);
    for (size_t i = 0; i < sizeof id; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", id[i]);
    (void)snprintf(text, RD_META_SIZE, "kedge redis schema=%u id=%s state=here", RD_SCHEMA, hex);
}

/* The same record of a namespace that is being dropped, or back. */
static void turn_record(const char *from, const char *state, char to[RD_META_SIZE])
{
    const char *end = strstr(from, " state=");

    (void)snprintf(to, RD_META_SIZE, "%.*s state=%s", (int)(end == NULL ? 0 : end - from), from,
                   state);
}

static int create_record(struct rd_link *link, int64_t deadline, struct kedge_error *err)
{
    struct rd_arena arena = { .host = link->store->host };
    struct rd_cmd cmd = { 0 };
    char text[RD_META_SIZE];
    redisReply *r = NULL;
    int rc;

    new_record(text);
    rd_cmd_begin(&cmd, "SET");
    rd_arg_bytes(&arena, &cmd, meta_key(&arena, link->store));
    rd_arg_text(&arena, &cmd, text);
    rd_arg_text(&arena, &cmd, "NX");
    rc = arena.failed ? rd_no_memory(err) : simple(link, &cmd, &r, RD_WRITES, deadline, err);
    if (rc == KEDGE_OK)
        freeReplyObject(r); /* done, or somebody else was first */
    rd_cmd_free(&cmd);
    rd_arena_free(&arena);
    return rc == KEDGE_ERR_UNKNOWN ? KEDGE_OK : rc; /* reading it tells */
}

/* -------------------------------------------------------------------- removal */

/* Unlink KEYS while the record says GONE.  OK, or KEDGE_NOT_FOUND: it does not say so any more. */
static int unlink_keys(struct rd_link *link, struct rd_arena *arena, const char *gone,
                       redisReply *const *keys, size_t n, bool record_too, int64_t deadline,
                       struct kedge_error *err)
{
    struct rd_list list = { 0 };
    struct rd_list args = { 0 };
    struct rd_cmd cmd = { 0 };
    struct kedge_bytes meta = meta_key(arena, link->store);
    redisReply *r = NULL;
    int rc;

    rd_list_add(arena, &list, meta);
    for (size_t i = 0; i < n; i++)
        if (record_too || !kit_bytes_equal(rd_reply_bytes(keys[i]), meta))
            rd_list_add(arena, &list, rd_reply_bytes(keys[i]));
    if (record_too)
        rd_list_add(arena, &list, meta);
    rd_list_add_text(arena, &args, gone);
    rd_cmd_call(arena, &cmd, &link->store->scripts[RD_SCRIPT_DROP], &list, &args);
    rc = arena->failed
             ? rd_no_memory(err)
             : rd_call_one(link, &cmd, &r, REDIS_REPLY_INTEGER, 0, RD_WRITES, deadline, err);
    if (rc == KEDGE_OK) {
        rc = r->integer < 0 ? KEDGE_NOT_FOUND : KEDGE_OK;
        freeReplyObject(r);
    }
    rd_cmd_free(&cmd);
    rd_list_free(&list);
    rd_list_free(&args);
    return rc;
}

/* Everything of the namespace, the record last.  KEDGE_NOT_FOUND: somebody else was faster. */
static int remove_all(struct rd_link *link, const char *gone, int64_t deadline,
                      struct kedge_error *err)
{
    struct rd_arena arena = { .host = link->store->host };
    struct rd_cmd cmd = { 0 };
    char cursor[32] = "0";
    char pattern[4096];
    int rc = KEDGE_OK;

    (void)snprintf(pattern, sizeof pattern, "%s*", link->store->params.prefix);
    do {
        redisReply *r = NULL;

        rd_arena_reset(&arena);
        rd_cmd_begin(&cmd, "SCAN");
        rd_arg_text(&arena, &cmd, cursor);
        rd_arg_text(&arena, &cmd, "MATCH");
        rd_arg_text(&arena, &cmd, pattern);
        rd_arg_text(&arena, &cmd, "COUNT");
        rd_arg_text(&arena, &cmd, SCAN_AT_ONCE);
        rc = arena.failed
                 ? rd_no_memory(err)
                 : rd_call_one(link, &cmd, &r, REDIS_REPLY_ARRAY, 2, RD_READS, deadline, err);
        if (rc != KEDGE_OK)
            break;
        (void)snprintf(cursor, sizeof cursor, "%s", r->element[0]->str);
        rc = unlink_keys(link, &arena, gone, r->element[1]->element, r->element[1]->elements, false,
                         deadline, err);
        freeReplyObject(r);
    } while (rc == KEDGE_OK && strcmp(cursor, "0") != 0);
    rd_arena_reset(&arena);
    if (rc == KEDGE_OK)
        rc = unlink_keys(link, &arena, gone, NULL, 0, true, deadline, err);
    rd_cmd_free(&cmd);
    rd_arena_free(&arena);
    return rc;
}

/* What somebody began to drop is removed to the end. */
static int finish_removal(struct rd_link *link, const struct record *rec, int64_t deadline,
                          struct kedge_error *err)
{
    int rc = remove_all(link, rec->text, deadline, err);

    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

/* ---------------------------------------------------------------- open, close */

static struct rd_store *store_new(const struct kedge_host *host, const struct kedge_open *open,
                                  int *rc, struct kedge_error *err)
{
    struct rd_store *s;

    *rc = kit_check_name(&rd_limits, open->ns, "the namespace", err);
    if (*rc != KEDGE_OK)
        return NULL;
    s = calloc(1, sizeof *s);
    if (s == NULL) {
        *rc = rd_no_memory(err);
        return NULL;
    }
    *rc = rd_params_parse(open, &s->params, err);
    if (*rc != KEDGE_OK) {
        free(s);
        return NULL;
    }
    s->host = host;
    s->pid = getpid();
    memcpy(s->scripts, rd_script_texts, sizeof s->scripts);
    KIT_MUTANT_TEXT("r01", s->scripts[RD_SCRIPT_COMMIT].text, "if got==want then return '1' end",
                    "do return '1' end");
    KIT_MUTANT_TEXT("r02", s->scripts[RD_SCRIPT_COMMIT].text, "local t=call('TIME')",
                    "local t={'1800000000','0'}");
    KIT_MUTANT_TEXT("r03", s->scripts[RD_SCRIPT_COMMIT].text, "if len==G[i]+m then",
                    "if type(len)=='number' then");
    KIT_MUTANT_TEXT("r03", s->scripts[RD_SCRIPT_APPEND].text, "if len~=G[i]+1 then",
                    "if type(len)~='number' then");
    KIT_MUTANT_TEXT("r04", s->scripts[RD_SCRIPT_COMMIT].text,
                    "if s<sec or s==sec and u<usec-1 then", "if true then");
    KIT_MUTANT_TEXT("r10", s->scripts[RD_SCRIPT_COMMIT].text, "if call('STRLEN',k)>=121 then",
                    "if false then");
    KIT_MUTANT_TEXT("r05", s->scripts[RD_SCRIPT_COMMIT].text, "if work then", "if false then");
    kit_moment_init(&s->moment);
    (void)pthread_mutex_init(&s->lock, NULL);
    s->hints = rd_hints_new(s);
    if (s->hints == NULL) {
        rd_params_free(&s->params);
        free(s);
        *rc = rd_no_memory(err);
        return NULL;
    }
    return s;
}

static void store_free(struct rd_store *s)
{
    rd_hints_free(s->hints);
    rd_params_free(&s->params);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Teach the server the scripts; one that may not is told each time. */
static int load_scripts(struct rd_link *link, int64_t deadline, struct kedge_error *err)
{
    struct rd_arena arena = { .host = link->store->host };
    struct rd_cmd cmds[RD_SCRIPTS];
    struct rd_cmd *list[RD_SCRIPTS];
    redisReply *r[RD_SCRIPTS] = { NULL };
    int rc;

    memset(cmds, 0, sizeof cmds);
    for (size_t i = 0; i < RD_SCRIPTS; i++) {
        rd_cmd_begin(&cmds[i], "SCRIPT");
        rd_arg_text(&arena, &cmds[i], "LOAD");
        rd_arg_text(&arena, &cmds[i], link->store->scripts[i].text);
        list[i] = &cmds[i];
    }
    rc = arena.failed ? rd_no_memory(err)
                      : rd_call(link, list, RD_SCRIPTS, r, RD_READS, deadline, err);
    for (size_t i = 0; rc == KEDGE_OK && i < RD_SCRIPTS; i++)
        if (r[i]->type == REDIS_REPLY_STRING)
            (void)snprintf(link->store->scripts[i].digest, sizeof link->store->scripts[i].digest,
                           "%s", r[i]->str);
    rd_replies_free(r, RD_SCRIPTS);
    for (size_t i = 0; i < RD_SCRIPTS; i++)
        rd_cmd_free(&cmds[i]);
    rd_arena_free(&arena);
    return rc;
}

/* A server that throws keys away when its memory is used up keeps no promise. */
static int check_eviction(struct rd_link *link, int64_t deadline, struct kedge_error *err)
{
    struct rd_arena arena = { .host = link->store->host };
    struct rd_cmd cmd = { 0 };
    redisReply *r = NULL;
    char policy[64];
    int rc;

    rd_cmd_begin(&cmd, "INFO");
    rd_arg_text(&arena, &cmd, "memory");
    rc = arena.failed ? rd_no_memory(err)
                      : rd_call(link, &(struct rd_cmd *){ &cmd }, 1, &r, RD_READS, deadline, err);
    if (rc == KEDGE_OK && rd_info_field(r, "maxmemory_policy", policy, sizeof policy) &&
        strcmp(policy, "noeviction") != 0 && !link->store->params.allow_eviction)
        rc = kedge_error_set(err, KEDGE_ERR_BACKEND, 0,
                             "Redis (%s) may throw away keys when its memory is used up "
                             "(maxmemory-policy %s): set maxmemory-policy noeviction, or open with "
                             "allow_eviction=1 in the URL and lose runs",
                             link->store->params.place, policy);
    rd_replies_free(&r, 1);
    rd_cmd_free(&cmd);
    rd_arena_free(&arena);
    return rc;
}

static int open_record(struct rd_store *s, struct rd_link *link, bool create, int64_t deadline,
                       struct kedge_error *err)
{
    struct record rec;
    int rc = read_record(link, &rec, deadline, err);

    for (int i = 0; i < 3 && rc == KEDGE_OK && create && (!rec.there || rec.going); i++) {
        if (rec.going)
            rc = finish_removal(link, &rec, deadline, err);
        if (rc == KEDGE_OK)
            rc = create_record(link, deadline, err);
        if (rc == KEDGE_OK)
            rc = read_record(link, &rec, deadline, err);
    }
    if (rc == KEDGE_OK)
        rc = check_schema(s, &rec, err);
    if (rc == KEDGE_OK)
        (void)snprintf(s->meta, sizeof s->meta, "%s", rec.text);
    return rc;
}

/* What opening or dropping wrote without an answer is written, or passed over, when it is done
 * again. */
static int again(int rc, struct kedge_error *err)
{
    if (rc != KEDGE_ERR_UNKNOWN)
        return rc;
    err->code = KEDGE_ERR_UNAVAILABLE;
    return KEDGE_ERR_UNAVAILABLE;
}

int rd_store_open(const struct kedge_host *host, const struct kedge_open *open, void **store,
                  struct kedge_error *err)
{
    struct kedge_error local;
    int64_t deadline = rd_deadline(OPEN_TIME_US);
    struct rd_link *link;
    struct rd_store *s;
    int rc;

    if (err == NULL)
        err = &local;
    s = store_new(host, open, &rc, err);
    if (s == NULL)
        return rc;
    link = rd_hints_link(s->hints);
    rc = check_eviction(link, deadline, err);
    if (rc == KEDGE_OK)
        rc = load_scripts(link, deadline, err);
    if (rc == KEDGE_OK)
        rc = open_record(s, link, (open->flags & KEDGE_OPEN_CREATE) != 0, deadline, err);
    if (rc == KEDGE_OK)
        rc = rd_hints_start(s->hints, deadline, err);
    if (rc != KEDGE_OK) {
        store_free(s);
        return again(rc, err);
    }
    *store = s;
    return KEDGE_OK;
}

void rd_store_close(void *store)
{
    if (store != NULL)
        store_free(store);
}

/* ----------------------------------------------------------------------- drop */

/* Where nobody may look at the clients: is there a lease that has not lapsed? */
static int any_live(struct rd_store *store, int64_t deadline, struct kedge_error *err)
{
    struct kedge_bytes cursor = { NULL, 0 };
    struct kedge_lease_page page = { 0 };
    void *session;
    int rc = rd_session_open(store, &session, err);

    if (rc != KEDGE_OK)
        return rc;
    do {
        struct kedge_mem *last = page.mem;
        int64_t left = deadline - rd_mono_us();

        rc = rd_lease_list(session, cursor, 500, &page, left > 1 ? left : 1, err);
        kedge_mem_free(store->host, last);
        if (rc != KEDGE_OK)
            page.mem = NULL;
        for (size_t i = 0; rc == KEDGE_OK && i < page.n; i++)
            if (page.leases[i].state == KEDGE_LEASE_LIVE)
                rc = KEDGE_HELD;
        cursor = page.next;
    } while (rc == KEDGE_OK && cursor.len != 0);
    kedge_mem_free(store->host, page.mem);
    rd_session_close(session);
    return rc;
}

/* OK: nobody but we has it open, as far as the server tells; HELD. */
static int in_use(struct rd_link *link, int64_t deadline, struct kedge_error *err)
{
    struct rd_arena arena = { .host = link->store->host };
    struct rd_cmd cmd = { 0 };
    redisReply *r = NULL;
    int rc;

    rd_cmd_begin(&cmd, "CLIENT");
    rd_arg_text(&arena, &cmd, "LIST");
    rc = arena.failed ? rd_no_memory(err)
                      : rd_call(link, &(struct rd_cmd *){ &cmd }, 1, &r, RD_READS, deadline, err);
    if (rc == KEDGE_OK && r->type == REDIS_REPLY_STRING)
        rc = rd_clients_named(r, &link->store->params, link->conn.id) ? KEDGE_HELD : KEDGE_OK;
    else if (rc == KEDGE_OK)
        rc = any_live(link->store, deadline, err);
    rd_replies_free(&r, 1);
    rd_cmd_free(&cmd);
    rd_arena_free(&arena);
    return rc;
}

/* The record from one text to another, if it still says the first. */
static int swap_record(struct rd_link *link, const char *from, const char *to, int64_t deadline,
                       struct kedge_error *err)
{
    struct rd_arena arena = { .host = link->store->host };
    struct rd_list keys = { 0 };
    struct rd_list args = { 0 };
    struct rd_cmd cmd = { 0 };
    redisReply *r = NULL;
    int rc;

    rd_list_add(&arena, &keys, meta_key(&arena, link->store));
    rd_list_add_text(&arena, &args, from);
    rd_list_add_text(&arena, &args, to);
    rd_cmd_call(&arena, &cmd, &link->store->scripts[RD_SCRIPT_SWAP], &keys, &args);
    rc = arena.failed
             ? rd_no_memory(err)
             : rd_call_one(link, &cmd, &r, REDIS_REPLY_INTEGER, 0, RD_WRITES, deadline, err);
    if (rc == KEDGE_OK) {
        rc = r->integer == 1 ? KEDGE_OK : KEDGE_HELD; /* somebody is at it */
        freeReplyObject(r);
    }
    rd_cmd_free(&cmd);
    rd_list_free(&keys);
    rd_list_free(&args);
    rd_arena_free(&arena);
    return rc;
}

static int drop_record(struct rd_link *link, const struct record *rec, int64_t deadline,
                       struct kedge_error *err)
{
    char gone[RD_META_SIZE];
    int rc = in_use(link, deadline, err);

    if (rc != KEDGE_OK)
        return rc;
    turn_record(rec->text, "gone", gone);
    rc = swap_record(link, rec->text, gone, deadline, err);
    if (rc != KEDGE_OK)
        return rc;
    /* Who opened it in between had its name on its connection before it read the record. */
    rc = in_use(link, deadline, err);
    if (rc == KEDGE_HELD) {
        (void)swap_record(link, gone, rec->text, deadline, err);
        return KEDGE_HELD;
    }
    if (rc == KEDGE_OK)
        rc = remove_all(link, gone, deadline, err);
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc; /* somebody else finished it */
}

int rd_store_drop(const struct kedge_host *host, const struct kedge_open *open,
                  struct kedge_error *err)
{
    struct kedge_error local;
    int64_t deadline = rd_deadline(DROP_TIME_US);
    struct rd_link *link;
    struct rd_store *s;
    struct record rec;
    int rc;

    if (err == NULL)
        err = &local;
    s = store_new(host, open, &rc, err);
    if (s == NULL)
        return rc;
    link = rd_hints_link(s->hints);
    rc = read_record(link, &rec, deadline, err);
    if (rc == KEDGE_OK && rec.there && rec.going) {
        rc = finish_removal(link, &rec, deadline, err);
    } else if (rc == KEDGE_OK && !rec.there) {
        rc = KEDGE_NOT_FOUND;
    } else if (rc == KEDGE_OK) {
        rc = check_schema(s, &rec, err);
        if (rc == KEDGE_OK)
            rc = drop_record(link, &rec, deadline, err);
    }
    store_free(s);
    return again(rc, err);
}

/* ------------------------------------------------------------------- sessions */

int rd_session_open(void *store, void **session, struct kedge_error *err)
{
    struct rd_store *st = store;
    struct rd_session *s;
    int rc = rd_fork_check(st, err);

    if (rc != KEDGE_OK)
        return rc;
    s = calloc(1, sizeof *s);
    if (s == NULL)
        return rd_no_memory(err);
    s->store = st;
    s->host = st->host;
    s->link.store = st;
    s->arena.host = st->host;
    s->remote = kit_remote_new(st->host, &rd_remote_ops, s);
    if (s->remote == NULL) {
        free(s);
        return rd_no_memory(err);
    }
    *session = s;
    return KEDGE_OK;
}

void rd_session_close(void *session)
{
    struct rd_session *s = session;

    if (s == NULL)
        return;
    rd_link_close(&s->link);
    rd_conn_close(&s->ear);
    kit_remote_free(s->remote);
    rd_cache_free(s);
    rd_classes_free(s);
    rd_cmd_free(&s->cmds[0]);
    rd_cmd_free(&s->cmds[1]);
    rd_list_free(&s->keys);
    rd_list_free(&s->args);
    rd_arena_free(&s->arena);
    free(s);
}

int rd_now(void *session, struct kedge_time *out, int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = session;
    redisReply *r = NULL;
    int64_t us;
    int rc = rd_enter(s, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    rd_cmd_begin(&s->cmds[0], "TIME");
    if (s->cmds[0].n == 0)
        return rd_no_memory(err);
    rc = rd_call_one(&s->link, &s->cmds[0], &r, REDIS_REPLY_ARRAY, 2, RD_READS,
                     rd_deadline(timeout_us), err);
    if (rc != KEDGE_OK)
        return rc;
    if (!rd_reply_strings(r, 2)) {
        rc = rd_reply_fail(&s->store->params, r, err);
        freeReplyObject(r);
        return rc;
    }
    us = strtoll(r->element[0]->str, NULL, 10) * 1000000 + strtoll(r->element[1]->str, NULL, 10);
    freeReplyObject(r);
    out->wall = out->lease = us;
    return KEDGE_OK;
}
