/*
 * trace.c - the wrapper `trace': a line for people about each call
 *
 *	trace,to=/tmp/trace+lmdb:/x
 *
 *   to=PATH   where lines are appended; standard error if it is not said
 *
 * A line has the process, the operation, what it was about, its answer, and how long it took.  A
 * call of commit has a line more for each commit in it.  For programs there is `record'.
 */
#include <config.h>

#include <inttypes.h>
#include <unistd.h>

#include "kit.h"

#include "../kit/url.h"

const char *const wrap_name = "trace";

struct trace {
    const struct kedge_host *host;
    struct wrap_file file;
};

int wrap_self_open(const struct kedge_host *host, struct kedge_bytes settings, void **self,
                   struct kedge_error *err)
{
    struct trace *t = host->alloc(host->ctx, sizeof *t);
    struct kedge_bytes key;
    struct kedge_bytes value;
    int rc = KEDGE_OK;

    if (t == NULL)
        return kedge_error_set(err, KEDGE_ERR_NOMEM, 0, "out of memory");
    t->host = host;
    t->file = (struct wrap_file)WRAP_FILE_NONE;
    while (rc == KEDGE_OK && wrap_setting(&settings, &key, &value))
        rc = kedge_url_is(key, "to") ? wrap_file_open(&t->file, host, value, err)
                                     : wrap_unknown(key, "to", err);
    if (rc != KEDGE_OK) {
        wrap_file_close(&t->file);
        host->release(host->ctx, t);
        return rc;
    }
    wrap_file_default(&t->file, host);
    *self = t;
    return KEDGE_OK;
}

void wrap_self_close(void *self)
{
    struct trace *t = self;

    wrap_file_close(&t->file);
    t->host->release(t->host->ctx, t);
}

/* ------------------------------------------------------------------- commits */

static const char *const changes[] = {
    [KEDGE_CREATE] = "create",
    [KEDGE_TAKE] = "take",
    [KEDGE_APPEND] = "append to",
    [KEDGE_SNAPSHOT] = "snapshot of",
    [KEDGE_SET] = "set",
    [KEDGE_RELEASE] = "release",
    [KEDGE_WAKE] = "wake",
    [KEDGE_REQUEST] = "request of",
    [KEDGE_SLOTS] = "open slots of",
    [KEDGE_SLOT_PUT] = "fill slot of",
    [KEDGE_CELL_PUT] = "write cell",
    [KEDGE_CELL_DELETE] = "delete cell",
    [KEDGE_LOCK_TAKE] = "take lock",
    [KEDGE_LOCK_RELEASE] = "release lock",
};

/* ANSWER is NULL if the whole call failed. */
static void add_commit(struct wrap_line *line, const struct kedge_commit *c,
                       const struct kedge_answer *answer)
{
    const char *between = "\n    ";

    for (size_t i = 0; i < c->n_changes; i++, between = ", ") {
        uint32_t kind = c->changes[i].kind;
        bool known = kind < sizeof changes / sizeof changes[0] && changes[kind] != NULL;

        wrap_add(line, "%s%s '", between, known ? changes[kind] : "what is no change:");
        wrap_add_bytes(line, c->changes[i].name, false);
        wrap_add(line, "'");
    }
    wrap_add(line, "%s%zu guard%s", between, c->n_guards, c->n_guards == 1 ? "" : "s");
    if (answer == NULL)
        return;
    wrap_add(line, ": %s", wrap_status_name(answer->outcome));
    if (answer->outcome > 0)
        wrap_add(line, " at part %" PRIu32, answer->at);
    if (answer->why[0] != '\0') {
        wrap_add(line, ": ");
        wrap_add_bytes(line, kedge_text(answer->why), false);
    }
}

enum wrap_verdict wrap_before(struct wrap_call *call)
{
    call->begun = wrap_clock_us();
    return WRAP_GO;
}

void wrap_after(struct wrap_call *call)
{
    int64_t took = wrap_clock_us() - call->begun;
    struct trace *t = call->below.self;
    struct wrap_line line;

    wrap_line_init(&line, t->host);
    wrap_add(&line, "%ld %s", (long)getpid(), wrap_op_name(call->op));
    if (call->name.len > 0) {
        wrap_add(&line, " '");
        wrap_add_bytes(&line, call->name, false);
        wrap_add(&line, "'");
    }
    if (call->lease != NULL) {
        wrap_add(&line, " lease ");
        wrap_add_id(&line, call->lease);
    }
    if (call->fence != 0)
        wrap_add(&line, " fence %" PRIu64, call->fence);
    wrap_add(&line, ": %s", wrap_status_name(call->rc));
    if (call->rc < 0 && call->err != NULL) {
        wrap_add(&line, ": ");
        wrap_add_bytes(&line, kedge_text(call->err->msg), false);
    }
    wrap_add(&line, " after %" PRId64 " us", took);
    for (size_t i = 0; i < call->n; i++)
        add_commit(&line, &call->commits[i], call->rc == KEDGE_OK ? &call->answers[i] : NULL);
    wrap_add(&line, "\n");
    wrap_file_put(&t->file, &line);
    wrap_line_free(&line);
}
