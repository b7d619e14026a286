/*
 * check.c - what can be said about a request without looking into the store
 *
 * A change that writes a run must be fenced in the same commit, by GUARD_HELD, GUARD_UNHELD or
 * its creation: that is seen here, so that commit.c may rely on it.
 */
#include "rules.h"

/* ---------------------------------------------------------- single members */

static int name_fault(const struct kedge_limits *limits, struct kedge_bytes name, bool may_be_empty,
                      const char **fault)
{
    if (name.len == 0 && !may_be_empty) {
        *fault = "is empty";
        return KEDGE_ERR_INVALID;
    }
    if (name.len != 0 && name.data == NULL) {
        *fault = "has a length but no bytes";
        return KEDGE_ERR_INVALID;
    }
    if (name.len > limits->id_max) {
        *fault = "is longer than the store allows";
        return KEDGE_ERR_TOO_BIG;
    }
    return KEDGE_OK;
}

static int when_fault(struct kedge_when when, const char **fault)
{
    if (when.base > KEDGE_IN || when.reserved != 0)
        *fault = "is not a time the store knows";
    else if (when.base == KEDGE_IN && when.us < 0)
        *fault = "is a negative delay";
    else
        return KEDGE_OK;
    return KEDGE_ERR_INVALID;
}

static int serves_fault(const struct kedge_limits *limits, const struct kedge_serve *serves,
                        size_t n, const char **fault)
{
    *fault = "has a count but no entries";
    if (n != 0 && serves == NULL)
        return KEDGE_ERR_INVALID;
    for (size_t i = 0; i < n; i++) {
        int rc = name_fault(limits, serves[i].queue, false, fault);

        if (rc == KEDGE_OK)
            rc = name_fault(limits, serves[i].reactor, false, fault);
        if (rc == KEDGE_OK && serves[i].version_min > serves[i].version_max) {
            *fault = "has a range of versions that is empty";
            rc = KEDGE_ERR_INVALID;
        }
        if (rc != KEDGE_OK)
            return rc;
    }
    return KEDGE_OK;
}

/* -------------------------------------------------------------- one commit */

struct check {
    const struct kedge_limits *limits;
    const struct kedge_commit *commit;
    struct kedge_answer *answer;
    uint64_t bytes; /* of names and values, so far */
    uint32_t at;
};

static int refuse(struct check *c, int code, const char *what, const char *fault)
{
    c->answer->outcome = code;
    c->answer->at = c->at;
    (void)snprintf(c->answer->why, sizeof c->answer->why, "%s %s", what, fault);
    return code;
}

static int invalid(struct check *c, const char *what, const char *fault)
{
    return refuse(c, KEDGE_ERR_INVALID, what, fault);
}

static int name_or_none(struct check *c, struct kedge_bytes name, const char *what)
{
    const char *fault;
    int rc = name_fault(c->limits, name, true, &fault);

    c->bytes += name.len;
    return rc == KEDGE_OK ? rc : refuse(c, rc, what, fault);
}

static int name(struct check *c, struct kedge_bytes value, const char *what)
{
    return value.len == 0 ? invalid(c, what, "is empty") : name_or_none(c, value, what);
}

static int value(struct check *c, struct kedge_bytes value, uint64_t max, const char *what)
{
    if (value.len != 0 && value.data == NULL)
        return invalid(c, what, "has a length but no bytes");
    if (value.len > max)
        return refuse(c, KEDGE_ERR_TOO_BIG, what, "is longer than the store allows");
    c->bytes += value.len;
    return KEDGE_OK;
}

static int when(struct check *c, struct kedge_when value, const char *what)
{
    const char *fault;

    return when_fault(value, &fault) == KEDGE_OK ? KEDGE_OK : invalid(c, what, fault);
}

static int id(struct check *c, const struct kedge_id128 *value, const char *what)
{
    return kit_id_zero(value) ? invalid(c, what, "is missing") : KEDGE_OK;
}

static int check_guard(struct check *c, const struct kedge_guard *g)
{
    int rc;

    switch (g->kind) {
    case KEDGE_GUARD_HELD:
    case KEDGE_GUARD_LOCK:
        rc = name(c, g->name, "the name in a guard");
        return rc != KEDGE_OK ? rc : id(c, &g->lease, "the lease in a guard");
    case KEDGE_GUARD_ABSENT:
    case KEDGE_GUARD_POSITION:
    case KEDGE_GUARD_CELL:
        return name(c, g->name, "the name in a guard");
    case KEDGE_GUARD_UNHELD:
        if (g->statuses == 0 || (g->statuses & ~KEDGE_STATUSES_ALL) != 0)
            return invalid(c, "the set of statuses in a guard", "is empty or has unknown bits");
        return name(c, g->name, "the name in a guard");
    case KEDGE_GUARD_LEASE_LIVE:
    case KEDGE_GUARD_LEASE_DEAD:
        return id(c, &g->lease, "the lease in a guard");
    case KEDGE_GUARD_TIME:
        return KEDGE_OK;
    default:
        return invalid(c, "the kind of a guard", "is unknown");
    }
}

static bool guarded(const struct kedge_commit *commit, struct kedge_bytes run, bool by_held)
{
    for (size_t i = 0; i < commit->n_guards; i++) {
        const struct kedge_guard *g = &commit->guards[i];

        if ((g->kind == KEDGE_GUARD_UNHELD || (by_held && g->kind == KEDGE_GUARD_HELD)) &&
            kit_bytes_equal(g->name, run))
            return true;
    }
    return false;
}

/* Every stored write is fenced: change number AT may write its run. */
static int fenced(struct check *c, size_t at)
{
    struct kedge_bytes run = c->commit->changes[at].name;

    if (guarded(c->commit, run, true))
        return KEDGE_OK;
    for (size_t i = 0; i < at; i++) {
        const struct kedge_change *earlier = &c->commit->changes[i];

        if (earlier->kind == KEDGE_CREATE && kit_bytes_equal(earlier->name, run))
            return KEDGE_OK;
    }
    return invalid(c, "the run of a change", "is neither guarded, taken nor created before it");
}

static int check_create(struct check *c, const struct kedge_run_new *in)
{
    bool held;
    int rc;

    if (in == NULL)
        return invalid(c, "the run to be created", "is missing");
    held = !kit_id_zero(&in->lease);
    if (in->reserved != 0)
        return invalid(c, "a reserved member of the run", "is not zero");
    if (held == (in->due.base != KEDGE_NEVER))
        return invalid(c, "a new run", "needs either a due time or a lease");
    if (!held && in->hold_until.base != KEDGE_NEVER)
        return invalid(c, "hold_until", "is only for a held run");
    if (in->parent.len == 0 && in->parent_slot != KEDGE_NO_SLOT)
        return invalid(c, "the parent of a run that fills a slot", "is missing");
    rc = name(c, in->reactor, "the name of the reactor");
    if (rc == KEDGE_OK)
        rc = name(c, in->queue, "the name of the queue");
    if (rc == KEDGE_OK)
        rc = value(c, in->context, c->limits->cell_max, "the context");
    if (rc == KEDGE_OK)
        rc = name_or_none(c, in->parent, "the id of the parent");
    if (rc == KEDGE_OK)
        rc = name_or_none(c, in->root, "the id of the root");
    if (rc == KEDGE_OK)
        rc = when(c, in->due, "due");
    return rc != KEDGE_OK ? rc : when(c, in->hold_until, "hold_until");
}

static int check_take(struct check *c, const struct kedge_change *ch)
{
    int rc = id(c, &ch->take.lease, "the lease that takes");

    if (rc == KEDGE_OK && !guarded(c->commit, ch->name, false))
        rc = invalid(c, "the run to be taken", "needs a guard that it is unheld");
    return rc != KEDGE_OK ? rc : when(c, ch->take.hold_until, "hold_until");
}

static int check_append(struct check *c, const struct kedge_change *ch)
{
    if (ch->append.n == 0 || ch->append.records == NULL)
        return invalid(c, "the list of records", "is empty");
    if (ch->append.first == 0 || ch->append.first > UINT64_MAX - ch->append.n)
        return invalid(c, "the number of the first record", "is out of range");
    for (size_t i = 0; i < ch->append.n; i++) {
        int rc = value(c, ch->append.records[i], c->limits->value_max, "a record");

        if (rc != KEDGE_OK)
            return rc;
    }
    return KEDGE_OK;
}

#define SET_KNOWN                                                                                  \
    (KEDGE_SET_STATUS | KEDGE_SET_QUEUE | KEDGE_SET_EXPIRES | KEDGE_SET_HOLD_UNTIL |               \
     KEDGE_SET_RECOVERIES | KEDGE_SET_CLEAR_REQUESTS | KEDGE_SET_REOPEN)

/* STATUS is one of STATUSES (bits). */
static bool status_in(uint32_t status, uint32_t statuses)
{
    return status <= KEDGE_ABORTED && (KEDGE_STATUS_BIT(status) & statuses) != 0;
}

static int check_set(struct check *c, const struct kedge_change *ch)
{
    uint32_t mask = ch->set.mask;
    int rc = KEDGE_OK;

    if (mask == 0 || (mask & ~SET_KNOWN) != 0)
        return invalid(c, "the mask of a set", "is empty or has unknown bits");
    if ((mask & KEDGE_SET_STATUS) != 0 && !status_in(ch->set.status, KEDGE_STATUSES_UNFINISHED))
        return invalid(c, "a status that is set", "is not an unfinished one");
    if ((mask & KEDGE_SET_CLEAR_REQUESTS) != 0 &&
        (ch->set.clear_requests & ~KEDGE_REQUESTS_ALL) != 0)
        return invalid(c, "the set of requests", "has unknown bits");
    if ((mask & KEDGE_SET_QUEUE) != 0)
        rc = name(c, ch->set.queue, "the name of the queue");
    if (rc == KEDGE_OK && (mask & KEDGE_SET_EXPIRES) != 0)
        rc = when(c, ch->set.expires, "expires");
    if (rc == KEDGE_OK && (mask & KEDGE_SET_HOLD_UNTIL) != 0)
        rc = when(c, ch->set.hold_until, "hold_until");
    return rc;
}

static int check_parked(struct check *c, const struct kedge_change *ch)
{
    static const uint32_t known =
        KEDGE_WAKES_ON_INTERRUPT | KEDGE_WAKES_ON_SLOTS | KEDGE_WAKES_ON_TIME;
    uint32_t on = ch->release.wakes_on;

    if (on == 0 || (on & ~known) != 0)
        return invalid(c, "what wakes a parked run", "is missing or unknown");
    if (((on & KEDGE_WAKES_ON_TIME) != 0) != (ch->release.when.base != KEDGE_NEVER))
        return invalid(c, "a backstop time", "and waiting for time belong together");
    if (ch->release.status != 0 && ch->release.status != KEDGE_PAUSED)
        return invalid(c, "the status of a parked run", "is not paused");
    return KEDGE_OK;
}

static int check_rest(struct check *c, const struct kedge_change *ch)
{
    uint32_t status = ch->release.status;

    if (!status_in(status, KEDGE_STATUSES_RESTING))
        return invalid(c, "the status of a run put to rest", "is not a resting one");
    if ((status == KEDGE_STUCK || status == KEDGE_ABORTED) && ch->release.when.base != KEDGE_NEVER)
        return invalid(c, "a stuck or aborted run", "does not expire by itself");
    return KEDGE_OK;
}

static int check_release(struct check *c, const struct kedge_change *ch)
{
    int rc = when(c, ch->release.when, "the time of a release");

    if (rc != KEDGE_OK)
        return rc;
    if (ch->release.reserved != 0)
        return invalid(c, "a reserved member of a release", "is not zero");
    if (ch->release.place != KEDGE_PLACE_PARKED && ch->release.wakes_on != 0)
        return invalid(c, "what wakes a run", "is only for a parked one");
    switch (ch->release.place) {
    case KEDGE_PLACE_DUE:
        if (ch->release.when.base == KEDGE_NEVER)
            return invalid(c, "the due time of a release", "is missing");
        if (ch->release.status != 0 && !status_in(ch->release.status, KEDGE_STATUSES_UNFINISHED))
            return invalid(c, "the status of a due run", "is not an unfinished one");
        return KEDGE_OK;
    case KEDGE_PLACE_PARKED:
        return check_parked(c, ch);
    case KEDGE_PLACE_REST:
        return check_rest(c, ch);
    default:
        return invalid(c, "the place of a release", "is not due, parked or at rest");
    }
}

static int check_slots(struct check *c, const struct kedge_change *ch)
{
    if (ch->slots.total == 0 || ch->slots.total == UINT32_MAX)
        return invalid(c, "the size of a slot set", "is out of range");
    return KEDGE_OK;
}

/* What stands in the union, by kind. */
static int check_body(struct check *c, const struct kedge_change *ch)
{
    switch (ch->kind) {
    case KEDGE_CREATE:
        return check_create(c, ch->create);
    case KEDGE_TAKE:
        return check_take(c, ch);
    case KEDGE_APPEND:
        return check_append(c, ch);
    case KEDGE_SNAPSHOT:
        return value(c, ch->snapshot.data, c->limits->value_max, "a snapshot");
    case KEDGE_SET:
        return check_set(c, ch);
    case KEDGE_RELEASE:
        return check_release(c, ch);
    case KEDGE_REQUEST:
        if (ch->request.bits == 0 || (ch->request.bits & ~KEDGE_REQUESTS_ALL) != 0)
            return invalid(c, "the set of requests", "is empty or has unknown bits");
        return KEDGE_OK;
    case KEDGE_SLOTS:
        return check_slots(c, ch);
    case KEDGE_SLOT_PUT:
        if (ch->slot.reserved != 0)
            return invalid(c, "a reserved member of a slot", "is not zero");
        return value(c, ch->slot.value, c->limits->value_max, "a slot value");
    case KEDGE_CELL_PUT:
        if (when(c, ch->cell.expires, "expires") != KEDGE_OK)
            return c->answer->outcome;
        return value(c, ch->cell.value, c->limits->cell_max, "the value of a cell");
    case KEDGE_LOCK_TAKE:
    case KEDGE_LOCK_RELEASE:
        return id(c, &ch->lock.lease, "the lease of a lock");
    default: /* WAKE and CELL_DELETE have a name only */
        return KEDGE_OK;
    }
}

static int check_change(struct check *c, size_t at)
{
    const struct kedge_change *ch = &c->commit->changes[at];
    int rc;

    if (ch->kind < KEDGE_CREATE || ch->kind > KEDGE_LOCK_RELEASE)
        return invalid(c, "the kind of a change", "is unknown");
    if (ch->reserved != 0)
        return invalid(c, "a reserved member of a change", "is not zero");
    rc = name(c, ch->name, "the name in a change");
    if (rc != KEDGE_OK)
        return rc;
    switch (ch->kind) {
    case KEDGE_APPEND:
    case KEDGE_SNAPSHOT:
    case KEDGE_SET:
    case KEDGE_RELEASE:
    case KEDGE_SLOTS:
        rc = fenced(c, at);
        break;
    default:
        break;
    }
    return rc != KEDGE_OK ? rc : check_body(c, ch);
}

static int check_lists(struct check *c)
{
    const struct kedge_commit *commit = c->commit;

    if (kit_id_zero(&commit->request))
        return invalid(c, "the request id", "is missing");
    if ((commit->n_guards != 0 && commit->guards == NULL) ||
        (commit->n_changes != 0 && commit->changes == NULL))
        return invalid(c, "the list of guards or changes", "is missing");
    if (commit->n_guards == 0 && commit->n_changes == 0)
        return invalid(c, "the commit", "is empty");
    if (commit->n_guards > c->limits->commit_changes ||
        commit->n_changes > c->limits->commit_changes - commit->n_guards)
        return refuse(c, KEDGE_ERR_TOO_BIG, "the commit", "has more changes than the store allows");
    return KEDGE_OK;
}

static int check_commit(const struct kedge_limits *limits, const struct kedge_commit *commit,
                        struct kedge_answer *answer, uint64_t *bytes)
{
    struct check c = { .limits = limits, .commit = commit, .answer = answer };
    int rc;

    memset(answer, 0, offsetof(struct kedge_answer, why) + 1);
    rc = check_lists(&c);
    for (size_t i = 0; rc == KEDGE_OK && i < commit->n_guards; i++, c.at++)
        rc = check_guard(&c, &commit->guards[i]);
    for (size_t i = 0; rc == KEDGE_OK && i < commit->n_changes; i++, c.at++)
        rc = check_change(&c, i);
    if (rc == KEDGE_OK && c.bytes > limits->commit_bytes) {
        c.at = 0;
        rc = refuse(&c, KEDGE_ERR_TOO_BIG, "the commit", "has more bytes than the store allows");
    }
    *bytes += c.bytes;
    return rc;
}

int kit_check_commit(const struct kedge_limits *limits, const struct kedge_commit *commit,
                     struct kedge_answer *answer)
{
    uint64_t bytes = 0;

    return check_commit(limits, commit, answer, &bytes);
}

/* ----------------------------------------------------------- a whole batch */

/*
 * Held runs seen so far.  A bit that is not set says "new" for certain; a set one makes us look
 * through the earlier commits, which is seldom.
 */
struct seen {
    uint64_t bits[64];
};

static uint32_t spread(struct kedge_bytes name)
{
    const unsigned char *p = name.data;
    size_t from = name.len > 16 ? name.len - 16 : 0; /* ids differ at their ends */
    uint32_t h = 2166136261u;

    for (size_t i = from; i < name.len; i++)
        h = (h ^ p[i]) * 16777619u;
    return (h ^ (h >> 15)) % 4096u;
}

static bool seen_before(struct seen *seen, struct kedge_bytes name)
{
    uint32_t bit = spread(name);
    uint64_t mask = UINT64_C(1) << (bit % 64);
    bool was = (seen->bits[bit / 64] & mask) != 0;

    seen->bits[bit / 64] |= mask;
    return was;
}

static bool held_by(const struct kedge_commit *commit, struct kedge_bytes run)
{
    for (size_t i = 0; i < commit->n_guards; i++) {
        if (commit->guards[i].kind == KEDGE_GUARD_HELD &&
            kit_bytes_equal(commit->guards[i].name, run))
            return true;
    }
    return false;
}

/* Refuse commit AT if an earlier, well-formed one has one of its held runs. */
static void check_held_once(const struct kedge_commit *commits, struct kedge_answer *answers,
                            size_t at, struct seen *seen)
{
    const struct kedge_commit *commit = &commits[at];

    for (size_t i = 0; i < commit->n_guards; i++) {
        struct kedge_bytes run = commit->guards[i].name;
        struct check c = { .answer = &answers[at], .at = (uint32_t)i };

        if (commit->guards[i].kind != KEDGE_GUARD_HELD || !seen_before(seen, run))
            continue;
        for (size_t k = 0; k < at; k++) {
            if (answers[k].outcome != KEDGE_OK || !held_by(&commits[k], run))
                continue;
            (void)invalid(&c, "a held run", "is named by an earlier commit of the batch");
            return;
        }
    }
}

static int whole(struct kedge_answer *answers, size_t n, int code, struct kedge_error *err,
                 const char *msg)
{
    for (size_t i = 0; i < n; i++) {
        memset(&answers[i], 0, sizeof answers[i]);
        answers[i].outcome = code;
        (void)snprintf(answers[i].why, sizeof answers[i].why, "%s", msg);
    }
    return kedge_error_set(err, code, 0, "%s", msg);
}

int kit_check_batch(const struct kedge_limits *limits, const struct kedge_commit *commits, size_t n,
                    struct kedge_answer *answers, struct kedge_error *err)
{
    struct seen seen = { { 0 } };
    uint64_t bytes = 0;

    if (n != 0 && (commits == NULL || answers == NULL))
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the list of commits is missing");
    if (n > limits->batch_items)
        return whole(answers, n, KEDGE_ERR_TOO_BIG, err,
                     "the batch has more commits than the store allows");
    for (size_t i = 0; i < n; i++) {
        if (check_commit(limits, &commits[i], &answers[i], &bytes) == KEDGE_OK && n > 1)
            check_held_once(commits, answers, i, &seen);
    }
    if (n > 1 && bytes > limits->batch_bytes)
        return whole(answers, n, KEDGE_ERR_TOO_BIG, err,
                     "the batch has more bytes than the store allows");
    return KEDGE_OK;
}

/* ---------------------------------------------------------- other requests */

static int failed(struct kedge_error *err, int code, const char *what, const char *fault)
{
    return kedge_error_set(err, code, 0, "%s %s", what, fault);
}

int kit_check_name(const struct kedge_limits *limits, struct kedge_bytes name, const char *what,
                   struct kedge_error *err)
{
    const char *fault;
    int rc = name_fault(limits, name, false, &fault);

    return rc == KEDGE_OK ? rc : failed(err, rc, what, fault);
}

int kit_check_timeout(int64_t timeout_us, struct kedge_error *err)
{
    return timeout_us > 0 ? KEDGE_OK
                          : failed(err, KEDGE_ERR_INVALID, "the timeout", "is not positive");
}

static int check_ids(const struct kedge_id128 *lease, const struct kedge_id128 *request,
                     struct kedge_error *err)
{
    if (kit_id_zero(lease))
        return failed(err, KEDGE_ERR_INVALID, "the lease id", "is missing");
    if (kit_id_zero(request))
        return failed(err, KEDGE_ERR_INVALID, "the request id", "is missing");
    return KEDGE_OK;
}

static int check_serves(const struct kedge_limits *limits, const struct kedge_serve *serves,
                        size_t n, struct kedge_error *err)
{
    const char *fault;
    int rc = serves_fault(limits, serves, n, &fault);

    return rc == KEDGE_OK ? rc : failed(err, rc, "what is served", fault);
}

int kit_check_lease(const struct kedge_limits *limits, const struct kedge_lease_new *in,
                    struct kedge_error *err)
{
    const char *fault;
    uint64_t bytes = in->owner.len;
    int rc = check_ids(&in->id, &in->request, err);

    if (rc != KEDGE_OK)
        return rc;
    if (in->ttl_us < limits->ttl_min_us || in->ttl_us > limits->ttl_max_us)
        return failed(err, KEDGE_ERR_INVALID, "the time to live", "is out of range");
    rc = name_fault(limits, in->owner, true, &fault);
    if (rc != KEDGE_OK)
        return failed(err, rc, "the owner", fault);
    rc = check_serves(limits, in->serves, in->n_serves, err);
    if (rc != KEDGE_OK)
        return rc;
    for (size_t i = 0; i < in->n_serves; i++)
        bytes += sizeof in->serves[i] + in->serves[i].queue.len + in->serves[i].reactor.len;
    if (bytes > limits->value_max)
        return failed(err, KEDGE_ERR_TOO_BIG, "what is served", "is more than the store allows");
    return KEDGE_OK;
}

int kit_check_claim(const struct kedge_limits *limits, const struct kedge_claim *in,
                    struct kedge_error *err)
{
    const char *fault;
    int rc = check_ids(&in->lease, &in->request, err);

    if (rc != KEDGE_OK)
        return rc;
    if (in->limit == 0 || in->limit > limits->batch_items)
        return failed(err, KEDGE_ERR_INVALID, "the limit of a claim", "is out of range");
    if (in->n_serves == 0)
        return failed(err, KEDGE_ERR_INVALID, "what is served", "is empty");
    if (when_fault(in->hold_until, &fault) != KEDGE_OK)
        return failed(err, KEDGE_ERR_INVALID, "hold_until", fault);
    return check_serves(limits, in->serves, in->n_serves, err);
}

int kit_check_list(const struct kedge_limits *limits, const struct kedge_list *in,
                   struct kedge_error *err)
{
    const char *fault;
    int rc;

    if (in->limit == 0 || in->limit > limits->page_max)
        return failed(err, KEDGE_ERR_INVALID, "the limit of a list", "is out of range");
    if ((in->statuses & ~KEDGE_STATUSES_ALL) != 0 || in->reserved != 0)
        return failed(err, KEDGE_ERR_INVALID, "the set of statuses", "has unknown bits");
    rc = name_fault(limits, in->reactor, true, &fault);
    if (rc != KEDGE_OK)
        return failed(err, rc, "the name of the reactor", fault);
    rc = name_fault(limits, in->parent, true, &fault);
    if (rc != KEDGE_OK)
        return failed(err, rc, "the id of the parent", fault);
    return check_serves(limits, in->serves, in->n_serves, err);
}
