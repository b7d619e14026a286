/* map_upkeep.c - removing what has expired from an ordered map, and looking whether all fits */
#include "map_rows.h"

/* ----------------------------------------------------------------------- purge */

struct purge {
    struct map_step s; /* first */
    size_t left;       /* rows that may still go */
    struct kedge_purged done;
};

static int remove_row(struct purge *p, const struct map_key *key)
{
    int rc = kit_map_row_del(&p->s, key);

    if (rc == KEDGE_OK) {
        p->left--;
        p->done.rows++;
    }
    return rc;
}

/* Heads whose time has come: gone at once, with their indexes. */
static int purge_heads(struct purge *p)
{
    struct map_key prefix = kit_map_key('x');
    struct map_scan scan = kit_map_scan(&prefix);
    const struct kit_run *run;
    int rc = KEDGE_OK;

    while (p->left > 0 && (rc = kit_map_scan_next(&p->s, &scan)) == KEDGE_OK) {
        if (kit_map_u64(scan.key.b + 1) > (uint64_t)p->s.kit.now_wall)
            return KEDGE_OK;
        rc = kit_map_run(&p->s, scan.value, &run);
        if (rc == KEDGE_ERR_CORRUPT)
            continue;
        if (rc == KEDGE_OK)
            rc = p->s.kit.store->run_drop(&p->s, run);
        if (rc != KEDGE_OK)
            return rc;
        p->left--;
        p->done.runs++;
    }
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

/* Rows of TABLE that hang on an incarnation. */
static int purge_table(struct purge *p, char table, uint64_t inc)
{
    struct map_key prefix = kit_map_key_inc(table, inc);
    struct map_scan scan = kit_map_scan(&prefix);
    int rc = KEDGE_OK;

    while (p->left > 0 && (rc = kit_map_scan_next(&p->s, &scan)) == KEDGE_OK) {
        rc = remove_row(p, &scan.key);
        if (rc != KEDGE_OK)
            return rc;
    }
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

static int purge_bodies(struct purge *p)
{
    static const char tables[] = "jstup";
    struct map_key prefix = kit_map_key('q');
    struct map_scan scan = kit_map_scan(&prefix);
    int rc = KEDGE_OK;

    while (p->left > 0 && (rc = kit_map_scan_next(&p->s, &scan)) == KEDGE_OK) {
        for (size_t i = 0; rc == KEDGE_OK && tables[i] != '\0'; i++)
            rc = purge_table(p, tables[i], kit_map_u64(scan.key.b + 1));
        if (rc == KEDGE_OK && p->left > 0)
            rc = kit_map_row_del(&p->s, &scan.key);
        if (rc != KEDGE_OK)
            return rc;
    }
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

static int purge_cells(struct purge *p)
{
    struct map_key prefix = kit_map_key('y');
    struct map_scan scan = kit_map_scan(&prefix);
    int rc = KEDGE_OK;

    while (p->left > 0 && (rc = kit_map_scan_next(&p->s, &scan)) == KEDGE_OK) {
        struct kedge_bytes name = { scan.key.b + 9, scan.key.len - 9 };
        struct map_key cell = kit_map_key_name('c', name);

        if (kit_map_u64(scan.key.b + 1) > (uint64_t)p->s.kit.now_wall)
            return KEDGE_OK;
        rc = kit_map_row_del(&p->s, &scan.key);
        if (rc == KEDGE_OK)
            rc = remove_row(p, &cell);
        if (rc != KEDGE_OK)
            return rc;
    }
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

/* The dead that nothing names any more. */
static int purge_leases(struct purge *p)
{
    struct map_key prefix = kit_map_key('l');
    struct map_scan scan = kit_map_scan(&prefix);
    int rc = KEDGE_OK;

    while (p->left > 0 && (rc = kit_map_scan_next(&p->s, &scan)) == KEDGE_OK) {
        const struct kit_lease *lease;
        struct kedge_id128 id;

        memcpy(id.b, scan.key.b + 1, sizeof id.b);
        rc = kit_map_lease(&p->s, &id, &lease);
        if (rc == KEDGE_ERR_CORRUPT)
            continue;
        if (rc == KEDGE_OK && lease->l.state == KEDGE_LEASE_DEAD &&
            !kit_map_names(&p->s, 'h', &id) && !kit_map_names(&p->s, 'k', &id))
            rc = remove_row(p, &scan.key);
        if (rc != KEDGE_OK)
            return rc;
    }
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

int kit_map_purge(void *session, size_t limit, struct kedge_purged *out, int64_t timeout_us,
                  struct kedge_error *err)
{
    struct purge p = { .left = limit };
    int rc;

    if (limit == 0)
        return kedge_error_set(err, KEDGE_ERR_INVALID, 0, "the limit of a purge is zero");
    rc = kit_map_begin(session, &p.s, true, timeout_us, err);
    if (rc != KEDGE_OK)
        return rc;
    rc = purge_heads(&p);
    if (rc == KEDGE_OK)
        rc = purge_bodies(&p);
    if (rc == KEDGE_OK)
        rc = purge_cells(&p);
    if (rc == KEDGE_OK)
        rc = purge_leases(&p);
    p.done.more = p.left == 0;
    rc = kit_map_end(&p.s, rc, err);
    if (rc == KEDGE_OK)
        *out = p.done;
    return rc;
}

/* ---------------------------------------------------------------------- verify */

struct verify {
    struct map_step s; /* first */
    struct kedge_verified out;
    char first[160];
};

static void fault(struct verify *v, const char *text)
{
    if (v->out.faults++ == 0)
        (void)snprintf(v->first, sizeof v->first, "%s", text);
}

static bool index_row(struct verify *v, char table, int64_t at, const struct kit_run *run)
{
    struct map_key key =
        table == 'h' ? kit_map_key_id('h', &run->r.holder) : kit_map_key_inc(table, (uint64_t)at);
    struct map_scan scan;

    kit_map_key_u64(&key, run->r.incarnation);
    scan = kit_map_scan(&key);
    return kit_map_scan_next(&v->s, &scan) == KEDGE_OK && kit_bytes_equal(scan.value, run->r.id);
}

static void verify_run(struct verify *v, const struct kit_run *run)
{
    const struct kedge_run *r = &run->r;
    const char *text = kit_run_sound(run);

    v->out.runs++;
    if (text != NULL)
        fault(v, text);
    if (r->fence > v->s.fence)
        fault(v, "a run has a fence that was never issued");
    if ((r->due != 0 && !index_row(v, 'd', r->due, run)) ||
        (r->place == KEDGE_PLACE_HELD && !index_row(v, 'h', 0, run)) ||
        (r->hold_until != 0 && !index_row(v, 'o', r->hold_until, run)) ||
        (r->expires != 0 && !index_row(v, 'x', r->expires, run)))
        fault(v, "a run cannot be found under what it says of itself");
    for (uint64_t n = 1; n <= r->position; n++) {
        struct map_key stem = kit_map_key_record(r->incarnation, n);
        struct kedge_mem *mem = NULL;
        struct kedge_bytes data;
        struct kit_blob blob;

        v->out.records++;
        if (kit_map_blob(&v->s, &mem, &stem, &blob, &data) != KEDGE_OK)
            fault(v, "a journal has a gap, or a record that cannot be understood");
        kedge_mem_free(v->s.store->host, mem);
    }
}

static int verify_runs(struct verify *v)
{
    struct map_key prefix = kit_map_key('a');
    struct map_scan scan = kit_map_scan(&prefix);
    const struct kit_run *run;
    int rc;

    while ((rc = kit_map_scan_next(&v->s, &scan)) == KEDGE_OK) {
        rc = kit_map_run(&v->s, scan.value, &run);
        if (rc == KEDGE_OK)
            verify_run(v, run);
        else if (rc == KEDGE_ERR_CORRUPT || rc == KEDGE_NOT_FOUND)
            fault(v, "a head cannot be understood, or is not there");
        else
            return rc;
    }
    return rc == KEDGE_NOT_FOUND ? KEDGE_OK : rc;
}

int kit_map_verify(void *session, struct kedge_verified *out, int64_t timeout_us,
                   struct kedge_error *err)
{
    const struct kedge_host *host = ((struct map_session *)session)->store->host;
    struct verify v = { .first = "" };
    struct kedge_bytes text;
    int rc = kit_map_begin(session, &v.s, false, timeout_us, err);

    if (rc != KEDGE_OK)
        return rc;
    rc = verify_runs(&v);
    text = (struct kedge_bytes){ v.first, strlen(v.first) + 1 };
    if (rc == KEDGE_OK && !kit_copy(host, &v.out.mem, text, &text))
        rc = KEDGE_ERR_NOMEM;
    v.out.first = text.data;
    rc = kit_map_end(&v.s, rc, err);
    if (rc == KEDGE_OK)
        *out = v.out;
    else
        kedge_mem_free(host, v.out.mem);
    return rc;
}
