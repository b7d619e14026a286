/*
 * store.h - stores: open one by its URL, ask what it is; backends: which there are
 *
 * A store is where everything durable is.  Its URL's scheme names the backend that keeps it:
 *
 *   mem:                 in this process, gone with it
 *   lmdb:///var/lib/app  files of this host (see the backend's own documentation for parameters)
 *   NAME:...             the backend NAME, inside the library, or the module NAME.so, from a
 *                        directory in $KEDGE_BACKEND_PATH (absolute paths separated by ':', not
 *                        looked at by set-user-id programs) or the directory
 *                        `pkg-config --variable=backenddir kedge-backend' prints
 *   NAME+HOW:...         the same backend, reached in another way
 *   rediss:, postgres:   other schemes of the backends redis and postgresql
 *   WRAPPER,K=V,...+URL  the store at URL, with a wrapper before it, which is a module like a
 *                        backend's: count+mem:, fault,op=commit,n=3,when=after+lmdb:/x.  Values
 *                        encode ',' '+' and '%' as %2C %2B %25.  Wrappers may stand before each
 *                        other, the outermost first
 *   /path, ./path        the default backend, with that path
 *
 * The backend gets its URL whole and unchanged, and without wrappers.
 *
 * Every function here may be called by any thread.  A function that answers a status answers
 * KEDGE_OK, or a negative status with `err' filled (err may be NULL).  Outputs are written on
 * KEDGE_OK only.  No message contains a password: userinfo in a URL is replaced by ***.
 */
#ifndef KEDGE_STORE_H
#define KEDGE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include <kedge/base.h>
#include <kedge/error.h>
#include <kedge/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For those who drive a backend themselves, like its tests; <kedge/backend.h> explains them. */
struct kedge_backend_ops;
struct kedge_host;

/* ------------------------------------------------------------------- words */

/* The version of the library that runs; KEDGE_VERSION is that of the headers. */
KEDGE_API const char *kedge_version(void);

/* What a status means, in English, and its name without "KEDGE_".  Never NULL; static. */
KEDGE_API const char *kedge_status_text(int status);
KEDGE_API const char *kedge_status_name(int status);

/* ------------------------------------------------------------------ stores */

struct kedge_store;

/* Set the namespace up if it does not exist.  Without this flag it is ERR_SCHEMA_MISSING. */
#define KEDGE_STORE_CREATE UINT32_C(1)
/* Bring up to date what an older kedge set up.  Without this flag it is ERR_SCHEMA_OLD; programs of
   that older kedge may be refused from then on. */
#define KEDGE_STORE_MIGRATE UINT32_C(2)

/*
 * How to open a store.  Start from KEDGE_STORE_OPTIONS_INIT and set what you need: members are
 * added at the end in later releases, and a zero there is what this release does.
 */
struct kedge_store_options {
    size_t struct_size;
    uint32_t flags; /* KEDGE_STORE_... */
    uint32_t reserved;
    /*
     * Use this backend: a name, or the path of a module with a '/' in it.  NULL: the scheme says.
     * The scheme must be the backend's name in either case, with or without the wrappers.
     */
    const char *backend;
    /*
     * The part of the store to work in; nothing outside it is read or written.  NULL: "default".
     */
    const char *ns;
    /*
     * Clocks, memory and log for the backend and for all that works on this store; outlives the
     * store and what was handed out.  NULL: kedge_host_default().  Definitions of reactors belong
     * to no store: they are in the process's own memory.
     */
    const struct kedge_host *host;
    /*
     * Options of the backend that its URL has no room for, "name=value&name=value", each part
     * percent-encoded as in the query of a URL.  A PostgreSQL URL goes to libpq as it is, so all
     * that is kedge's travels here.  The backend refuses what it does not know.  NULL: none.
     */
    const char *backend_options;
};
#define KEDGE_STORE_OPTIONS_INIT                                                                   \
    {                                                                                              \
        sizeof(struct kedge_store_options), 0, 0, NULL, NULL, NULL, NULL                           \
    }

/*
 * Open the store at URL; OPTIONS may be NULL.  On KEDGE_OK *STORE is the caller's, to be given to
 * kedge_store_close().  It may be used by many threads, and not after fork().
 *
 * ERR_INVALID: the URL or an option makes no sense.  ERR_BACKEND: there is no such backend
 * (err->sys_errno is ENOENT), or it is unusable.  ERR_SCHEMA_MISSING, _OLD, _NEW: what is at that
 * place was not set up, or by an older or newer kedge; nothing was changed, and the message says
 * what helps: 'kedge store init', 'kedge store migrate', an update of kedge.  ERR_UNAVAILABLE,
 * ERR_PERMISSION, ERR_FULL, ERR_CORRUPT, ERR_NOMEM as their texts say.
 *
 * Durability: with KEDGE_STORE_CREATE the namespace is durable on KEDGE_OK, as far as the store is;
 * with KEDGE_STORE_MIGRATE the new schema, which is there wholly or not at all.
 */
KEDGE_API int kedge_store_open(const char *url, const struct kedge_store_options *options,
                               struct kedge_store **store, struct kedge_error *err);

/*
 * Called once, with the statements of kedge_store_script(): TEXT is whole lines, "" when there is
 * nothing to do, and valid during the call only.  They lead from schema FROM (0: there is none) to
 * schema TO.
 */
typedef void kedge_script_fn(void *ctx, const char *text, uint32_t from, uint32_t to);

/*
 * The statements by which kedge_store_open() would set the namespace up (OPTIONS with the flag
 * KEDGE_STORE_CREATE alone) or bring it up to date (KEDGE_STORE_MIGRATE alone), for somebody who
 * carries them out by hand; changes nothing.  To set one up the store is not asked and need not be
 * reachable; to update it, it is read.
 *
 * ERR_UNSUPPORTED: stores of this backend are set up by kedge only.  Else as kedge_store_open().
 */
KEDGE_API int kedge_store_script(const char *url, const struct kedge_store_options *options,
                                 kedge_script_fn *print, void *ctx, struct kedge_error *err);

/* Close it.  Nothing may use it any more, in any thread.  NULL is fine. */
KEDGE_API void kedge_store_close(struct kedge_store *store);

/* Its URL as it may be shown, and its backend's name.  Valid until the store is closed. */
KEDGE_API const char *kedge_store_url(const struct kedge_store *store);
KEDGE_API const char *kedge_store_backend(const struct kedge_store *store);

/*
 * Called with one fact after the other: NAME is a word of [a-z0-9_.], stable across releases; VALUE
 * is text.  Both are valid during the call only.
 */
typedef void kedge_fact_fn(void *ctx, const char *name, const char *value);

/*
 * What the store is at this moment, read from it and never assumed.  Always among the facts:
 *
 *   url, backend, namespace  how it was opened
 *   server, place            what is behind it, and where; no password
 *   durability               what an acknowledged write survives, of the words process, server,
 *                            power; or none
 *   capabilities             of the words shared, hint, server_clock, fence_volatile; or none
 *   schema, incarnation      numbers
 *   limit.id_max, ...        the members of struct kedge_limits; bytes, counts, microseconds
 *
 * and whatever else the backend has to tell, as backend.NAME.  EACH is called only if all could be
 * read.  Waits for others at most TIMEOUT_US, which is > 0; ERR_UNAVAILABLE then.
 */
KEDGE_API int kedge_store_info(struct kedge_store *store, int64_t timeout_us, kedge_fact_fn *each,
                               void *ctx, struct kedge_error *err);

/* The store's wall clock: UTC, us since 1970.  It is what stamps runs and decides when they are
   due. Waits as kedge_store_info() does. */
KEDGE_API int kedge_store_now(struct kedge_store *store, int64_t *us, int64_t timeout_us,
                              struct kedge_error *err);

/* ---------------------------------------------------------------- backends */

/* The name of the backend of a store that is named by a path alone.  Chosen by configure. */
KEDGE_API const char *kedge_backend_default(void);

/*
 * Called with one backend after the other: the NAME to open it by; PATH of its module, NULL if it
 * is inside the library; PROBLEM, NULL if it is usable.  All valid during the call only.  Answers
 * 0 to go on; anything else ends the walk and becomes its result.
 */
typedef int kedge_backend_fn(void *ctx, const char *name, const char *path,
                             const struct kedge_error *problem);

/*
 * Walk the backends inside the library and the modules in the directories named above.  Modules
 * are loaded for that, and stay loaded.  EACH may call anything here.
 */
KEDGE_API int kedge_backend_each(kedge_backend_fn *each, void *ctx, struct kedge_error *err);

/*
 * The same for wrappers: the modules there that stand before a backend.  What they have to say is
 * in their pairs with one: kedge_backend_info() of "WRAPPER+NAME".
 */
KEDGE_API int kedge_wrapper_each(kedge_backend_fn *each, void *ctx, struct kedge_error *err);

/*
 * What a backend says about itself.  NAME is a name or the path of a module, as in struct
 * kedge_store_options.  The facts: name, version, origin ("built in" or a path), abi, threads
 * (one or session), capabilities and limit.* as above, verify, wait and script (yes or no).
 */
KEDGE_API int kedge_backend_info(const char *name, kedge_fact_fn *each, void *ctx,
                                 struct kedge_error *err);

/* ------------------------------------------- driving a backend: its authors */

/*
 * The operations of a backend, checked and complete: no member is NULL, optional ones that are
 * missing answer ERR_UNSUPPORTED.  Valid for the life of the process, and always the same table.
 * ERR_BACKEND as for kedge_store_open().
 */
KEDGE_API int kedge_backend_find(const char *name, const struct kedge_backend_ops **ops,
                                 struct kedge_error *err);

/*
 * What kedge_store_open() makes of URL and of BACKEND, a member of its options: the operations, and
 * the URL that they get, which is to be freed with free().  Opens nothing.  Errors as there.
 */
KEDGE_API int kedge_backend_resolve(const char *url, const char *backend,
                                    const struct kedge_backend_ops **ops, char **place,
                                    struct kedge_error *err);

/* This process's own clocks, malloc, and warnings on standard error. */
KEDGE_API const struct kedge_host *kedge_host_default(void);

/* What is behind an open store: operations, their handle, and the host it was opened with. */
KEDGE_API const struct kedge_backend_ops *kedge_store_ops(const struct kedge_store *store);
KEDGE_API void *kedge_store_handle(struct kedge_store *store);
KEDGE_API const struct kedge_host *kedge_store_host(const struct kedge_store *store);

#ifdef __cplusplus
}
#endif

#endif
