/*
 * info.c - what a store tells about itself, asked of the server and never assumed
 */
#include <config.h>

#include "hints.h"

#include <stdio.h>

enum asked {
    ASK_SERVER,
    ASK_REPLICATION,
    ASK_PERSISTENCE,
    ASK_MEMORY,
    ASK_CONFIG,
    ASK_CLIENTS,
    ASK_PARTS
};

static const char *keep_text(struct rd_session *s, struct kedge_info *out, const char *text)
{
    struct kedge_bytes b = { text, strlen(text) + 1 };

    return kit_copy(s->host, &out->mem, b, &b) ? b.data : NULL;
}

/* The value of a setting in an answer to CONFIG GET. */
static bool config_value(const redisReply *r, const char *name, char *out, size_t size)
{
    if (r->type != REDIS_REPLY_ARRAY || !rd_reply_strings(r, r->elements))
        return false;
    for (size_t i = 0; i + 1 < r->elements; i += 2)
        if (strcmp(r->element[i]->str, name) == 0) {
            (void)snprintf(out, size, "%s", r->element[i + 1]->str);
            return true;
        }
    return false;
}

struct telling {
    struct rd_session *s;
    struct kedge_info *out;
    struct kedge_fact *facts;
    bool failed;
};

static void tell(struct telling *t, const char *name, const char *value)
{
    const char *kept = keep_text(t->s, t->out, value);

    t->failed = t->failed || kept == NULL;
    t->facts[t->out->n_facts++] = (struct kedge_fact){ name, kept };
}

static void tell_setting(struct telling *t, const redisReply *config, const char *name)
{
    char value[256];

    tell(t, name, config_value(config, name, value, sizeof value) ? value : "not allowed to read");
}

static void tell_field(struct telling *t, const redisReply *info, const char *field,
                       const char *name)
{
    char value[128];

    if (rd_info_field(info, field, value, sizeof value))
        tell(t, name, value);
}

/*
 * What an acknowledged write survives.  Before it answers, the server has handed the write to the
 * kernel (appendfsync no) or to the disk (always).  With everysec it may do so later.
 */
static uint32_t durability(const redisReply *const r[ASK_PARTS])
{
    char value[64] = "";
    char rewrite[16] = "no";

    if (!rd_info_field(r[ASK_PERSISTENCE], "aof_enabled", value, sizeof value) ||
        strcmp(value, "1") != 0 || !config_value(r[ASK_CONFIG], "appendfsync", value, sizeof value))
        return KEDGE_SURVIVES_PROCESS;
    (void)config_value(r[ASK_CONFIG], "no-appendfsync-on-rewrite", rewrite, sizeof rewrite);
    if (strcmp(value, "always") == 0)
        return KEDGE_SURVIVES_PROCESS | KEDGE_SURVIVES_SERVER |
               (strcmp(rewrite, "yes") == 0 ? 0 : KEDGE_SURVIVES_POWER);
    return KEDGE_SURVIVES_PROCESS | (strcmp(value, "no") == 0 ? KEDGE_SURVIVES_SERVER : 0);
}

/* Without that nobody's absence is ever noticed. */
static bool may_look(const redisReply *const r[ASK_PARTS])
{
    return r[ASK_CLIENTS]->type == REDIS_REPLY_STRING;
}

static void tell_all(struct telling *t, const redisReply *const r[ASK_PARTS])
{
    const struct rd_params *p = &t->s->store->params;
    char text[64];

    tell_setting(t, r[ASK_CONFIG], "appendonly");
    tell_setting(t, r[ASK_CONFIG], "appendfsync");
    tell_setting(t, r[ASK_CONFIG], "no-appendfsync-on-rewrite");
    tell_setting(t, r[ASK_CONFIG], "save");
    tell_setting(t, r[ASK_CONFIG], "maxmemory");
    tell_field(t, r[ASK_MEMORY], "maxmemory_policy", "maxmemory-policy");
    tell_field(t, r[ASK_MEMORY], "used_memory", "used_memory");
    tell_field(t, r[ASK_REPLICATION], "role", "role");
    tell_field(t, r[ASK_REPLICATION], "connected_slaves", "replicas");
    tell_field(t, r[ASK_SERVER], "redis_mode", "mode");
    (void)snprintf(text, sizeof text, "%u", p->wait);
    tell(t, "replicas_waited_for", text);
    tell(t, "eviction_allowed", p->allow_eviction ? "yes" : "no");
    tell(t, "crash_hints",
         may_look(r) ? "yes" : "no: this user may not use CLIENT LIST; deadlines alone decide");
}

static int ask_info(struct rd_session *s, redisReply **r, int64_t deadline, struct kedge_error *err)
{
    static const char *const words[] = { "server", "replication", "persistence",
                                         "memory", "GET",         "LIST" };
    struct rd_cmd cmds[ASK_PARTS];
    struct rd_cmd *list[ASK_PARTS];
    int rc;

    memset(cmds, 0, sizeof cmds);
    for (size_t i = 0; i < ASK_PARTS; i++) {
        static const char *const verbs[] = { [ASK_CONFIG] = "CONFIG", [ASK_CLIENTS] = "CLIENT" };

        list[i] = &cmds[i];
        rd_cmd_begin(&cmds[i], i < ASK_CONFIG ? "INFO" : verbs[i]);
        rd_arg_text(&s->arena, &cmds[i], words[i]);
    }
    rd_arg_text(&s->arena, &cmds[ASK_CONFIG], "*");
    rd_arg_text(&s->arena, &cmds[ASK_CLIENTS], "ID"); /* of one that is there or not */
    rd_arg_number(&s->arena, &cmds[ASK_CLIENTS], 1);
    rc = s->arena.failed ? rd_no_memory(err)
                         : rd_call(&s->link, list, ASK_PARTS, r, RD_READS, deadline, err);
    for (size_t i = 0; i < ASK_PARTS; i++)
        rd_cmd_free(&cmds[i]);
    return rc;
}

int rd_info(void *session, struct kedge_info *out, int64_t timeout_us, struct kedge_error *err)
{
    struct rd_session *s = session;
    struct kedge_info info = { 0 };
    struct telling t = { .s = s, .out = &info };
    redisReply *r[ASK_PARTS] = { NULL };
    char version[64] = "of an unknown version";
    char text[96];
    int rc = rd_enter(s, timeout_us, err);

    if (rc == KEDGE_OK)
        rc = ask_info(s, r, rd_deadline(timeout_us), err);
    if (rc != KEDGE_OK)
        return rc;
    t.facts = kedge_mem_alloc(s->host, &info.mem, 16 * sizeof *t.facts);
    if (t.facts == NULL) {
        rd_replies_free(r, ASK_PARTS);
        return rd_no_memory(err);
    }
    info.facts = t.facts;
    tell_all(&t, (const redisReply *const *)r);
    (void)rd_info_field(r[ASK_SERVER], "redis_version", version, sizeof version);
    (void)snprintf(text, sizeof text, "Redis %s", version);
    info.server = keep_text(s, &info, text);
    info.place = keep_text(s, &info, s->store->params.place);
    info.durability = durability((const redisReply *const *)r);
    info.caps = may_look((const redisReply *const *)r) ? RD_CAPS : RD_CAPS & ~KEDGE_CAP_HINT;
    rd_replies_free(r, ASK_PARTS);
    if (t.failed || info.server == NULL || info.place == NULL) {
        kedge_mem_free(s->host, info.mem);
        return rd_no_memory(err);
    }
    info.schema = RD_SCHEMA;
    info.incarnation = s->link.conn.incarnation;
    info.limits = rd_limits;
    *out = info;
    return KEDGE_OK;
}
