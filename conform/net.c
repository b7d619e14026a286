/*
 * net.c - cases: what an operation answers when its connection fails, at every point
 *
 * A proxy before the server (way.h) harms the N-th request, answer or byte, for N = 1, 2, ... until
 * a call comes through unharmed.  What must hold then is in harm.h.  Of bytes, which are many, the
 * seed chooses: near the beginning more than later, and more in the last tier.
 *
 * SIGPIPE is as the system has it: who is killed by it has failed.
 */
#include "cases.h"

#include <dirent.h>
#include <signal.h>

#include "harm.h"
#include "way.h"

#define BRIEF MS(100) /* for what nobody will answer */
/* What looks at everything asks more often each time; its last questions are like the first. */
#define EXCHANGES_MOST 16u
#define TRIES          5

static struct way way;
static struct harm harm;
static int points;
static uint64_t exchanges_most = EXCHANGES_MOST;

/* One way to fail. */
struct failure {
    const char *event;
    const char *harm;
    bool cold;   /* there is no connection at first */
    bool silent; /* nothing comes: the deadline decides */
    bool bytes;  /* counts bytes */
    bool rare;   /* in the last tier only */
};

static const struct failure cuts[] = {
    { "request", "reset", .cold = false },
    { "request", "close", .cold = false },
    { "reply", "reset", .cold = false },
    { "reply", "close", .cold = false },
    { "up", "reset", .bytes = true },
    { "down", "reset", .bytes = true },
    { "down", "close", .bytes = true, .rare = true },
    { "up", "close", .bytes = true, .rare = true },
    { "connect", "reset", .cold = true },
    { "request", "reset", .cold = true },
    { "reply", "close", .cold = true },
};
static const struct failure holes[] = {
    { "request", "hole", .silent = true },
    { "reply", "hole", .silent = true, .rare = true },
    { "connect", "hole", .cold = true, .silent = true },
    { "request", "hole", .cold = true, .silent = true },
};
static const struct failure late_answers[] = {
    { "reply", "hold", .silent = true },
    { "down", "hold", .silent = true, .bytes = true },
    { "reply", "hold", .cold = true, .silent = true },
};
static const struct failure late_requests[] = {
    { "request", "hold", .silent = true },
    { "up", "hold", .silent = true, .bytes = true, .rare = true },
};

/* ---------------------------------------------------------------- one point */

static bool has_arrived;

/* What was held arrives, and is over: nobody is at its other end any more, so it goes when the
   server has had it all.  Except where it has nothing to do with this call, and goes on. */
static void let_arrive(void)
{
    uint64_t open = proxy_count(&way.proxy).open;
    int64_t until = real_us() + MS(500);

    if (has_arrived)
        return;
    has_arrived = true;
    proxy_say(&way.proxy, "go");
    while (open > 1 && proxy_count(&way.proxy).open == open && real_us() < until)
        pause_us(MS(1));
}

static void arrives_late(void)
{
    struct picture last;

    context("%s, %s, arrives late", harm.op->name, harm.what);
    let_arrive();
    picture_settled(&harm.stage, &last);
    if (!picture_same(&harm.done, &last)) {
        picture_differ(&harm.done, &last);
        fail_case(__FILE__, __LINE__, "a request that arrives late changes something");
    }
    picture_free(&last);
}

/* Answers false when nothing was harmed: N is past the last point. */
static bool point(const struct stage_op *op, const struct failure *f, uint64_t n)
{
    bool answer_held = strcmp(f->harm, "hold") == 0 &&
                       (strcmp(f->event, "reply") == 0 || strcmp(f->event, "down") == 0);
    bool request_held = strcmp(f->harm, "hold") == 0 && !answer_held;
    uint64_t fired;
    char what[64];
    bool harmed;

    harm_prepare(&harm, op);
    harm.let_go = request_held && f->bytes ? let_arrive : NULL;
    has_arrived = false;
    if (f->cold)
        proxy_say(&way.proxy, "reset");
    fired = proxy_count(&way.proxy).fired;
    proxy_say(&way.proxy, "at %s %llu %s", f->event, (unsigned long long)n, f->harm);
    (void)snprintf(what, sizeof what, "%s%s at %s %llu", f->cold ? "cold, " : "", f->harm, f->event,
                   (unsigned long long)n);
    harm.what = what;
    (void)harm_call(&harm, f->silent ? BRIEF : PATIENT);
    harmed = proxy_count(&way.proxy).fired != fired;
    if (!harmed)
        proxy_say(&way.proxy, "pass");
    if (!harmed && harm.rc != KEDGE_OK && !f->cold && !f->silent)
        fail_case(__FILE__, __LINE__, "nothing was harmed, but it is answered %s: %s",
                  status_name(harm.rc), way.through.err.msg);
    if (harmed && answer_held)
        proxy_say(&way.proxy, "go"); /* and the next call is the next to read */
    harm_judge(&harm);
    if (harmed && request_held && op->check != NULL && (op->flags & OP_READS) == 0)
        arrives_late();
    proxy_say(&way.proxy, "pass");
    harm_over(&harm);
    points += harmed;
    return harmed;
}

/* What only reads leaves nothing behind: fewer points will do. */
static uint64_t next_byte(const struct stage_op *op, const struct failure *f, uint64_t n)
{
    uint64_t step = n / (n < 2000 ? 4 : 1);

    if (f->silent)
        return n + 2 * n + 5 + random_below(harm.direct, 5);
    if (world_thorough && (op->flags & OP_READS) == 0)
        step = n < 64 ? 0 : n < 2000 ? n / 32 : n / 8;
    return n + 1 + (step > 0 ? random_below(harm.direct, (uint32_t)(2 * step) + 1) : 0);
}

static void all_points(const struct stage_op *op, const struct failure *failures, size_t n_failures)
{
    for (size_t i = 0; i < n_failures; i++) {
        const struct failure *f = &failures[i];
        uint64_t n = 1;

        if (f->rare && !world_thorough)
            continue;
        while ((f->bytes || n <= exchanges_most) && point(op, f, n))
            n = f->bytes ? next_byte(op, f, n) : n + 1;
    }
}

/* ----------------------------------------------------------------- a whole case */

static size_t open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;

    expect(dir != NULL);
    while (readdir(dir) != NULL)
        n++;
    (void)closedir(dir);
    return n;
}

static size_t files;

static void begin(struct world *w)
{
    struct kedge_time now;

    (void)signal(SIGPIPE, SIG_DFL);
    way_open(&way, w, 1);
    clock_follow();
    check_rc(__FILE__, __LINE__, "now", &way.through, do_now(&way.through, &now), KEDGE_OK);
    harm_begin(&harm, w, &way.through, TRIES);
}

static bool is_there_op(const struct stage_op *op)
{
    return op->there == NULL || op->there(&way.through);
}

/* A first failure may open what stays: what is open then stays so. */
static void count_files(const struct stage_op *op)
{
    (void)point(op, &cuts[0], 1);
    files = open_files();
    points = 0;
}

static void end(struct world *w)
{
    context("afterwards");
    harm_note(&harm, points);
    if (open_files() > files + 2)
        fail_case(__FILE__, __LINE__, "%zu files are open, %zu were", open_files(), files);
    if (points == 0)
        inconclusive_case("nothing was harmed: does the store go through the server at --server?");
    world_forget(w);
    way_close(&way);
}

/* What opens a store has no deadline of its caller's. */
static bool has_deadline(const struct stage_op *op)
{
    return strcmp(op->name, "open") != 0;
}

/* What a store is may be known by heart. */
static bool asks_the_server(const struct stage_op *op)
{
    return has_deadline(op) && strcmp(op->name, "info") != 0;
}

static void all_ops(struct world *w, const struct failure *failures, size_t n)
{
    begin(w);
    count_files(stage_op_named("append"));
    exchanges_most = 4; /* each is waited for, and those who look at everything make many */
    for (size_t i = 0; i < stage_n_ops; i++)
        if (is_there_op(&stage_ops[i]) && has_deadline(&stage_ops[i]))
            all_points(&stage_ops[i], failures, n);
    end(w);
}

static void cut_in(struct world *w, const char *name)
{
    const struct stage_op *op = stage_op_named(name);

    begin(w);
    if (!is_there_op(op))
        not_applicable("it has no %s", name);
    count_files(op);
    all_points(op, cuts, ARRAY_LEN(cuts));
    end(w);
}

static void black_hole(struct world *w)
{
    all_ops(w, holes, ARRAY_LEN(holes));
}

static void late_answer(struct world *w)
{
    all_ops(w, late_answers, ARRAY_LEN(late_answers));
}

static void late_request(struct world *w)
{
    all_ops(w, late_requests, ARRAY_LEN(late_requests));
}

/* Short enough for one of what most requests are made of not to be passed over. */
#define PART 20

/*
 * A server that has done a part of it has locked what it found, and who does not wait for that
 * finds nothing: an answer as good as any other, but not to this request.
 */
static void late_parts(struct world *w)
{
    static const struct failure hold = { "up", "hold", .silent = true, .bytes = true };
    const struct stage_op *op = stage_op_named("claim");

    begin(w);
    count_files(op);
    for (uint64_t n = 1; point(op, &hold, n); n += PART)
        ;
    end(w);
}

/* -------------------------------------------------------------- without a point */

static void after_idle(const struct stage_op *op, const char *how)
{
    char what[32];

    harm_prepare(&harm, op);
    (void)snprintf(what, sizeof what, "%s while idle", how);
    harm.what = what;
    proxy_say(&way.proxy, "%s", how);
    points++;
    (void)harm_call(&harm, PATIENT);
    harm_judge(&harm);
    harm_over(&harm);
}

static void idle(struct world *w)
{
    begin(w);
    count_files(stage_op_named("append"));
    for (size_t i = 0; i < stage_n_ops; i++) {
        if (!is_there_op(&stage_ops[i]))
            continue;
        after_idle(&stage_ops[i], "reset");
        after_idle(&stage_ops[i], "close");
    }
    end(w);
}

/* Except where a million of them would go. */
static bool is_large(const struct stage_op *op)
{
    return strcmp(op->name, "append-large") == 0 || strcmp(op->name, "verify") == 0;
}

static void by_the_byte(const struct stage_op *op)
{
    struct proxy_counts n;

    harm_prepare(&harm, op);
    n = proxy_count(&way.proxy);
    harm.what = "byte by byte";
    proxy_say(&way.proxy, "slice %d", is_large(op) ? 997 : 1);
    (void)harm_call(&harm, PATIENT);
    check_rc(__FILE__, __LINE__, "byte by byte", &way.through, harm.rc, KEDGE_OK);
    harm_judge(&harm);
    points += proxy_count(&way.proxy).requests != n.requests;
    proxy_say(&way.proxy, "pass");
    harm_over(&harm);
}

static void slices(struct world *w)
{
    begin(w);
    count_files(stage_op_named("append"));
    for (size_t i = 0; i < stage_n_ops; i++)
        if (is_there_op(&stage_ops[i]))
            by_the_byte(&stage_ops[i]);
    end(w);
}

static void refused(const struct stage_op *op)
{
    harm_prepare(&harm, op);
    harm.what = "nobody listens";
    proxy_say(&way.proxy, "refuse");
    proxy_say(&way.proxy, "reset");
    points++;
    /* The connection ends while it is asked; from then on there is none. */
    (void)harm_call(&harm, BRIEF);
    expect(harm.rc != KEDGE_OK);
    (void)harm_call(&harm, BRIEF);
    check_rc(__FILE__, __LINE__, "nobody listens, again", &way.through, harm.rc,
             KEDGE_ERR_UNAVAILABLE);
    proxy_say(&way.proxy, "pass");
    harm_judge(&harm);
    if (!picture_same(&harm.before, &harm.after))
        fail_case(__FILE__, __LINE__, "nobody listened, but something has changed");
    harm_over(&harm);
}

static void refusal(struct world *w)
{
    begin(w);
    count_files(stage_op_named("append"));
    for (size_t i = 0; i < stage_n_ops; i++)
        if (is_there_op(&stage_ops[i]) && asks_the_server(&stage_ops[i]))
            refused(&stage_ops[i]);
    end(w);
}

/* ------------------------------------------------------------------------ table */

#define CUT(name, op_name)                                                                         \
    static void cut_in_##name(struct world *w)                                                     \
    {                                                                                              \
        cut_in(w, op_name);                                                                        \
    }
CUT(grant, "grant")
CUT(extend, "extend")
CUT(revoke, "revoke")
CUT(bury, "bury")
CUT(lock_acquire, "lock-acquire")
CUT(lock_extend, "lock-extend")
CUT(lock_release, "lock-release")
CUT(create_due, "create-due")
CUT(create_held, "create-held")
CUT(append, "append")
CUT(append_large, "append-large")
CUT(checkpoint, "checkpoint")
CUT(finish, "finish")
CUT(hand_on, "hand-on")
CUT(park, "park")
CUT(take, "take")
CUT(child, "child")
CUT(request, "request")
CUT(batch, "batch")
CUT(appends, "appends")
CUT(claim, "claim")
CUT(purge, "purge")
CUT(retrieve, "retrieve")
CUT(records, "records")
CUT(slots, "slots")
CUT(list, "list")
CUT(list_held, "list-held")
CUT(list_expired, "list-expired")
CUT(lease_list, "lease-list")
CUT(lock_query, "lock-query")
CUT(cell_get, "cell-get")
CUT(now, "now")
CUT(info, "info")
CUT(verify, "verify")
CUT(open, "open")

#define NEEDS NEEDS_PROXY

const struct contract_case cases_net[] = {
    { "net-01", "the connection is cut anywhere in lease_grant", NEEDS, cut_in_grant },
    { "net-02", "the connection is cut anywhere in lease_extend", NEEDS, cut_in_extend },
    { "net-03", "the connection is cut anywhere in lease_revoke", NEEDS, cut_in_revoke },
    { "net-04", "the connection is cut anywhere in lease_bury", NEEDS, cut_in_bury },
    { "net-05", "the connection is cut anywhere in lock_acquire", NEEDS, cut_in_lock_acquire },
    { "net-06", "the connection is cut anywhere in lock_extend", NEEDS, cut_in_lock_extend },
    { "net-07", "the connection is cut anywhere in lock_release", NEEDS, cut_in_lock_release },
    { "net-08", "the connection is cut anywhere in creating a run that is due", NEEDS,
      cut_in_create_due },
    { "net-09", "the connection is cut anywhere in creating a run that is held", NEEDS,
      cut_in_create_held },
    { "net-10", "the connection is cut anywhere in appending a record", NEEDS, cut_in_append },
    { "net-11", "the connection is cut anywhere in appending a large record", NEEDS,
      cut_in_append_large },
    { "net-12",
      "the connection is cut anywhere in a commit of a record, a snapshot, a cell and a lock",
      NEEDS, cut_in_checkpoint },
    { "net-13", "the connection is cut anywhere in finishing a run", NEEDS, cut_in_finish },
    { "net-14", "the connection is cut anywhere in handing a run on", NEEDS, cut_in_hand_on },
    { "net-15", "the connection is cut anywhere in parking a run", NEEDS, cut_in_park },
    { "net-16", "the connection is cut anywhere in taking a run", NEEDS, cut_in_take },
    { "net-17", "the connection is cut anywhere in the last child's end, which wakes its parent",
      NEEDS, cut_in_child },
    { "net-18", "the connection is cut anywhere in a request, a wake and the deleting of a cell",
      NEEDS, cut_in_request },
    { "net-19", "the connection is cut anywhere in a batch", NEEDS, cut_in_batch },
    { "net-20", "the connection is cut anywhere in a batch of appends", NEEDS, cut_in_appends },
    { "net-21", "the connection is cut anywhere in a claim", NEEDS, cut_in_claim },
    { "net-22", "the connection is cut anywhere in purging", NEEDS, cut_in_purge },
    { "net-23", "the connection is cut anywhere in retrieve", NEEDS, cut_in_retrieve },
    { "net-24", "the connection is cut anywhere in retrieve_records", NEEDS, cut_in_records },
    { "net-25", "the connection is cut anywhere in retrieve_slots", NEEDS, cut_in_slots },
    { "net-26", "the connection is cut anywhere in list", NEEDS, cut_in_list },
    { "net-27", "the connection is cut anywhere in list_held", NEEDS, cut_in_list_held },
    { "net-28", "the connection is cut anywhere in list_expired", NEEDS, cut_in_list_expired },
    { "net-29", "the connection is cut anywhere in lease_list", NEEDS, cut_in_lease_list },
    { "net-30", "the connection is cut anywhere in lock_query", NEEDS, cut_in_lock_query },
    { "net-31", "the connection is cut anywhere in cell_get", NEEDS, cut_in_cell_get },
    { "net-32", "the connection is cut anywhere in now", NEEDS, cut_in_now },
    { "net-33", "the connection is cut anywhere in info", NEEDS, cut_in_info },
    { "net-34", "the connection is cut anywhere in verify", NEEDS, cut_in_verify },
    { "net-35", "the connection is cut anywhere in opening a store", NEEDS, cut_in_open },
    { "net-36", "a connection that was ended while idle is replaced, whatever is called next",
      NEEDS, idle },
    { "net-37", "nobody listens: nothing happens, and soon; and then somebody does", NEEDS,
      refusal },
    { "net-38", "a black hole is left within the caller's timeout, by every operation", NEEDS,
      black_hole },
    { "net-39", "an answer that comes too late is not taken for the next one", NEEDS, late_answer },
    { "net-40", "a request that arrives when it was sent again changes nothing", NEEDS,
      late_request },
    { "net-41", "byte by byte every operation is as ever", NEEDS, slices },
    { "net-45", "a claim that arrives in parts, the last one late, is the one that was sent again",
      NEEDS, late_parts },
    { NULL, NULL, 0, NULL },
};
