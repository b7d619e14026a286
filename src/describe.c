/* describe.c - numbers and bits of a backend as facts for people */
#include <config.h>

#include <stdio.h>

#include "describe.h"
#include "registry.h"

struct bit {
    uint64_t mask;
    const char *name;
};

static const struct bit cap_bits[] = {
    { KEDGE_CAP_SHARED, "shared" },
    { KEDGE_CAP_HINT, "hint" },
    { KEDGE_CAP_SERVER_CLOCK, "server_clock" },
    { KEDGE_CAP_FENCE_VOLATILE, "fence_volatile" },
};
_Static_assert(KEDGE_CAPS_KNOWN == (KEDGE_CAP_SHARED | KEDGE_CAP_HINT | KEDGE_CAP_SERVER_CLOCK |
                                    KEDGE_CAP_FENCE_VOLATILE),
               "a capability has no name here");

static const struct bit survival_bits[] = {
    { KEDGE_SURVIVES_PROCESS, "process" },
    { KEDGE_SURVIVES_SERVER, "server" },
    { KEDGE_SURVIVES_POWER, "power" },
};

#define ARRAY_LEN(a) (sizeof(a) / sizeof *(a))

static void show_bits(const char *name, uint64_t bits, const struct bit *table, size_t n,
                      kedge_fact_fn *each, void *ctx)
{
    char text[128];
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        int len;

        if ((bits & table[i].mask) == 0)
            continue;
        len = snprintf(text + used, sizeof text - used, "%s%s", used > 0 ? " " : "", table[i].name);
        used += len > 0 ? (size_t)len : 0;
    }
    each(ctx, name, used > 0 ? text : "none");
}

static void show_number(const char *name, uint64_t n, kedge_fact_fn *each, void *ctx)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    each(ctx, name, text);
}

static void show_limits(const struct kedge_limits *l, kedge_fact_fn *each, void *ctx)
{
    show_number("limit.id_max", l->id_max, each, ctx);
    show_number("limit.value_max", l->value_max, each, ctx);
    show_number("limit.cell_max", l->cell_max, each, ctx);
    show_number("limit.batch_items", l->batch_items, each, ctx);
    show_number("limit.batch_bytes", l->batch_bytes, each, ctx);
    show_number("limit.commit_changes", l->commit_changes, each, ctx);
    show_number("limit.commit_bytes", l->commit_bytes, each, ctx);
    show_number("limit.page_max", l->page_max, each, ctx);
    show_number("limit.ttl_min_us", (uint64_t)l->ttl_min_us, each, ctx);
    show_number("limit.ttl_max_us", (uint64_t)l->ttl_max_us, each, ctx);
}

void kedge_describe_info(const struct kedge_info *info, kedge_fact_fn *each, void *ctx)
{
    each(ctx, "server", info->server != NULL ? info->server : "");
    each(ctx, "place", info->place != NULL ? info->place : "");
    show_bits("durability", info->durability, survival_bits, ARRAY_LEN(survival_bits), each, ctx);
    show_bits("capabilities", info->caps, cap_bits, ARRAY_LEN(cap_bits), each, ctx);
    show_number("schema", info->schema, each, ctx);
    show_number("incarnation", info->incarnation, each, ctx);
    show_limits(&info->limits, each, ctx);
    for (size_t i = 0; i < info->n_facts; i++) {
        char name[96];
        int len = snprintf(name, sizeof name, "backend.%s", info->facts[i].name);

        /* "map size" is for people; here a name is one word. */
        for (int k = 0; k < len && (size_t)k < sizeof name - 1; k++) {
            if (name[k] >= 'A' && name[k] <= 'Z')
                name[k] = (char)(name[k] - 'A' + 'a');
            else if (!((name[k] >= 'a' && name[k] <= 'z') || (name[k] >= '0' && name[k] <= '9') ||
                       name[k] == '.'))
                name[k] = '_';
        }
        each(ctx, name, info->facts[i].value);
    }
}

int kedge_backend_info(const char *name, kedge_fact_fn *each, void *ctx, struct kedge_error *err)
{
    const struct kedge_registered *found = NULL;
    const struct kedge_backend_ops *ops;
    int rc;

    if (name == NULL || each == NULL)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "argument '%s' is NULL",
                               name == NULL ? "name" : "each");
    rc = kedge_registry_find(name, &found, err);
    if (rc != KEDGE_OK)
        return rc;
    ops = &found->backend.ops;
    each(ctx, "name", ops->name);
    each(ctx, "version", ops->version);
    each(ctx, "origin", found->path != NULL ? found->path : "built in");
    show_number("abi", ops->abi, each, ctx);
    each(ctx, "threads", ops->threads == KEDGE_THREADS_ONE ? "one" : "session");
    show_bits("capabilities", ops->caps, cap_bits, ARRAY_LEN(cap_bits), each, ctx);
    each(ctx, "verify", kedge_backend_has_verify(&found->backend) ? "yes" : "no");
    each(ctx, "wait", kedge_backend_has_wait(&found->backend) ? "yes" : "no");
    each(ctx, "script", kedge_backend_has_script(&found->backend) ? "yes" : "no");
    show_limits(ops->limits, each, ctx);
    return KEDGE_OK;
}
