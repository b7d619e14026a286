/*
 * stand_in.c - a wrapper that passes nothing on: another build of the same backend answers
 *
 *	KEDGE_MUTANT=l02 kedge conform lmdb_mutant+lmdb:/x
 *
 * MUTANT_OF names the backend, whose sources are compiled with KEDGE_MUTANTS (kit/mutant.h) into
 * the same module, called MUTANT_OF and "_mutant".
 */
#include <stddef.h>

/* The backend's entry is for us alone; ours is for the library. */
#undef KEDGE_BACKEND_STATIC
#include <kedge/backend.h>

#include "../kit/url.h"

#define ENTRY_OF(id) kedge_backend_entry_##id
#define ENTRY(id)    ENTRY_OF(id)

const struct kedge_backend_ops *ENTRY(MUTANT_OF)(void);

/* OUTER's URL without our part. */
static struct kedge_open behind(const struct kedge_open *outer)
{
    struct kedge_open open = { .struct_size = 0 };
    struct kedge_bytes name;
    struct kedge_bytes settings;
    const char *url = kedge_url_behind(outer->url, &name, &settings);

    memcpy(&open, outer, outer->struct_size < sizeof open ? outer->struct_size : sizeof open);
    open.struct_size = offsetof(struct kedge_open, inner);
    open.inner = NULL;
    if (url != NULL)
        open.url = url;
    return open;
}

static int stand_in_open(const struct kedge_host *host, const struct kedge_open *outer,
                         void **store, struct kedge_error *err)
{
    const struct kedge_open open = behind(outer);

    return ENTRY(MUTANT_OF)()->store_open(host, &open, store, err);
}

static int stand_in_drop(const struct kedge_host *host, const struct kedge_open *outer,
                         struct kedge_error *err)
{
    const struct kedge_open open = behind(outer);

    return ENTRY(MUTANT_OF)()->store_drop(host, &open, err);
}

static int stand_in_script(const struct kedge_host *host, const struct kedge_open *outer,
                           struct kedge_script *out, struct kedge_error *err)
{
    const struct kedge_open open = behind(outer);

    return ENTRY(MUTANT_OF)()->schema_script(host, &open, out, err);
}

static const struct kedge_backend_ops *stand_in(const struct kedge_backend_ops *inner)
{
    static struct kedge_backend_ops ops;

    (void)inner;
    ops = *ENTRY(MUTANT_OF)();
    ops.store_open = stand_in_open;
    ops.store_drop = stand_in_drop;
    if (ops.schema_script != NULL)
        ops.schema_script = stand_in_script;
    return &ops;
}

KEDGE_WRAPPER_DEFINE(stand_in);
