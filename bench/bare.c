/* bare.c - records in journals, by whatever kind of bare client it is; nothing else */
#include <config.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bare.h"
#include "made.h"

#define SEQUENCE_TAG (UINT64_MAX >> 2) /* PostgreSQL's numbers are signed */
#define N_OF(a)      (sizeof(a) / sizeof *(a))

/*
 * Two records differ all over: one that differs in few places would be measured by how a store
 * happens to hash it (Lua looks at 32 bytes of a long string).
 */
void record_fill(uint8_t *record, uint64_t tag, uint64_t number)
{
    static const char text[] = "{\"step\":\"charge\",\"ok\":";
    uint64_t mixed = (tag << 32) + number;

    memcpy(record, &tag, sizeof tag);
    memcpy(record + 8, &number, sizeof number);
    for (size_t at = 16; at < opt.record; at += 24) {
        size_t left = opt.record - at;

        mixed = (mixed ^ mixed >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
        memcpy(record + at, text, left < 16 ? left : 16);
        if (left > 16)
            memcpy(record + at + 16, &mixed, left < 24 ? left - 16 : sizeof mixed);
    }
}

bool record_is(const void *data, size_t len, uint64_t tag, uint64_t number)
{
    uint8_t *want;
    bool same;

    if (len != opt.record)
        return false;
    want = must_alloc(1, len);
    record_fill(want, tag, number);
    same = memcmp(data, want, len) == 0;
    free(want);
    return same;
}

/* --------------------------------------------------------------------- kinds */

static const struct {
    const char *scheme;
    const struct bare_kind *kind;
} kinds[] = {
#ifdef BENCH_LMDB
    { "lmdb", &bare_lmdb },
    { "mem", &bare_lmdb },
#endif
#ifdef BENCH_REDIS
    { "redis", &bare_redis },
    { "rediss", &bare_redis },
    { "redis+unix", &bare_redis },
#endif
#ifdef BENCH_POSTGRESQL
    { "postgresql", &bare_postgresql },
    { "postgres", &bare_postgresql },
#endif
    { NULL, NULL },
};

const struct bare_kind *bare_kind_of(const char *url)
{
    const char *scheme = url != NULL ? url : "lmdb:";
    size_t len = strcspn(scheme, ":");

    for (size_t i = 0; i < N_OF(kinds) && kinds[i].scheme != NULL; i++)
        if (strlen(kinds[i].scheme) == len && memcmp(kinds[i].scheme, scheme, len) == 0)
            return kinds[i].kind;
    return NULL;
}

const struct bare_kind *the_kind(void)
{
    const struct bare_kind *kind = bare_kind_of(opt.store);

    if (kind == NULL)
        die("this build has no bare client to hold such a store against");
    return kind;
}

double required(double lmdb, double redis, double postgresql)
{
#ifdef BENCH_REDIS
    if (the_kind() == &bare_redis)
        return redis;
#endif
#ifdef BENCH_POSTGRESQL
    if (the_kind() == &bare_postgresql)
        return postgresql;
#endif
    (void)redis;
    (void)postgresql;
    return lmdb;
}

/* ---------------------------------------------------------------------- runs */

void bare_place(char *place, size_t size, const char *name)
{
    if (the_kind()->is_server)
        made_name(place, size, name);
    else
        scratch_dir(place, size, name);
    if (opt.own && the_kind()->is_server)
        made_place(place);
}

void bare_open(struct bare *bare, const char *place)
{
    memset(bare, 0, sizeof *bare);
    bare->kind = the_kind();
    (void)snprintf(bare->place, sizeof bare->place, "%s", place);
    bare->kind->open(bare);
}

void bare_close(struct bare *bare)
{
    bare->kind->close(bare);
    bare->own = NULL;
    made_closed(bare->place);
}

void bare_runs_init(struct bare_runs *runs, struct bare *bare, uint64_t first, size_t n)
{
    memset(runs, 0, sizeof *runs);
    runs->bare = bare;
    runs->link = bare->kind->link(bare);
    runs->first = first;
    runs->n = n;
    runs->count = must_alloc(n, sizeof *runs->count);
    bare->kind->birth(runs->link, first, n);
}

void bare_runs_release(struct bare_runs *runs)
{
    runs->bare->kind->unlink(runs->link);
    runs->link = NULL;
    free(runs->count);
    runs->count = NULL;
}

void bare_append(struct bare_runs *runs, size_t n)
{
    struct bare_item items[BARE_MOST];

    for (size_t i = 0; i < n; i++) {
        size_t r = runs->next;

        runs->next = r + 1 < runs->n ? r + 1 : 0;
        items[i] = (struct bare_item){ runs->first + r, ++runs->count[r] };
    }
    runs->bare->kind->append(runs->link, items, n);
}

void bare_sequence(struct bare_runs *runs, size_t n)
{
    struct bare_item items[BARE_MOST];

    if (runs->sequence == 0)
        runs->bare->kind->birth(runs->link, SEQUENCE_TAG, 1);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct bare_item){ SEQUENCE_TAG, ++runs->sequence };
    runs->bare->kind->append(runs->link, items, n);
}

void bare_verify(const struct bare_runs *runs)
{
    for (size_t r = 0; r < runs->n; r++)
        runs->bare->kind->verify(runs->link, runs->first + r, runs->count[r]);
    if (runs->sequence > 0)
        runs->bare->kind->verify(runs->link, SEQUENCE_TAG, runs->sequence);
}

void bare_begin(struct bare *bare, struct bare_runs *runs, const char *name, size_t n_runs)
{
    char place[PATH_MAX];

    bare_place(place, sizeof place, name);
    bare_open(bare, place);
    bare_runs_init(runs, bare, 1, n_runs);
}

void bare_end(struct bare *bare, struct bare_runs *runs)
{
    bare_verify(runs);
    bare_runs_release(runs);
    bare_close(bare);
}

/* --------------------------------------------------------------------- sides */

static void appends(struct side *side, const struct limit *limit,
                    void (*append)(struct bare_runs *runs, size_t n))
{
    const struct bare_work *w = side->ctx;
    int64_t t = now_ns();

    for (uint64_t rounds = 0; !limit_reached(limit, rounds, t); rounds++) {
        int64_t began = t;

        append(w->runs, w->batch);
        t = now_ns();
        samples_add(&side->lat, t - began);
        side->ops += w->batch;
    }
}

void bare_appends(struct side *side, const struct limit *limit)
{
    appends(side, limit, bare_append);
}

void bare_sequences(struct side *side, const struct limit *limit)
{
    appends(side, limit, bare_sequence);
}
