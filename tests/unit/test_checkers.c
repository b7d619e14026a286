/*
 * test_checkers.c - the checkers of histories: what is sound passes all of them, what is not is
 * seen, and what cannot be decided is not called sound
 */
#include <config.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/base.h>
#include <kedge/error.h>

#include "conform/check.h"

#define ARRAY_LEN(a) ((int)(sizeof(a) / sizeof *(a))) /* NOLINT(bugprone-sizeof-expression) */

/* ------------------------------------------------------------ made by hand */

/* clang-format off */
#define EV(what, k, own, c, r, res)                                                                \
    .call = (c), .ret = (r), .now_from = HISTORY_NO_TIME, .now_to = HISTORY_NO_TIME,               \
    .owner = (own), .op = HISTORY_##what, .result = KEDGE_##res, .key = k

#define GRANT(own, c, r, t)          { EV(GRANT, "", own, c, r, OK), .ttl = (t) }
#define EXTEND(own, c, r, res)       { EV(EXTEND, "", own, c, r, res), .ttl = 100 }
#define BURY(own, c, r, res)         { EV(BURY, "", own, c, r, res) }
#define REVOKE(own, c, r)            { EV(REVOKE, "", own, c, r, OK) }
#define GONE(own, c)                 { EV(GONE, "", own, c, c, OK) }
#define ACQUIRE(own, c, r, f)        { EV(ACQUIRE, "L", own, c, r, OK), .fence = (f) }
#define HELD(own, c, r)              { EV(ACQUIRE, "L", own, c, r, HELD) }
#define HELD_BY(own, c, r, h, f) \
    { EV(ACQUIRE, "L", own, c, r, HELD), .holder = (h), .fence = (f) }
#define REFUSED(own, c, r, res)      { EV(ACQUIRE, "L", own, c, r, res) }
#define CHECK(own, c, r, f, res)     { EV(CHECK, "L", own, c, r, res), .fence = (f), .ttl = 100 }
#define RELEASE(own, c, r, f, res)   { EV(UNLOCK, "L", own, c, r, res), .fence = (f) }
#define QUERY(own, c, r, h, f, res)  { EV(QUERY, "L", own, c, r, res), .holder = (h), .fence = (f) }
#define PUT(w, c, r, s, ver, val, res) \
    { EV(PUT, "c", 0, c, r, res), .worker = (w), .seen = (s), .version = (ver), .value = (val) }
#define GET(w, c, r, ver, val)       { EV(GET, "c", 0, c, r, OK), .version = (ver), .value = (val) }
#define GET_NONE(w, c, r)            { EV(GET, "c", 0, c, r, NOT_FOUND) }
#define CREATE(k, c, r, res)         { EV(CREATE, k, 0, c, r, res) }
#define CLAIM(k, own, c, r, f)       { EV(CLAIM, k, own, c, r, OK), .fence = (f) }
#define DOUBT_CLAIM(own, c)          { EV(CLAIM, "*", own, c, HISTORY_NEVER, ERR_UNKNOWN) }
#define TAKE(k, own, c, r, f, res)   { EV(TAKE, k, own, c, r, res), .fence = (f) }
#define APPEND(k, own, c, r, f, n, res) \
    { EV(APPEND, k, own, c, r, res), .fence = (f), .version = (n) }
#define YIELD(k, own, c, r, f)       { EV(YIELD, k, own, c, r, OK), .fence = (f) }
#define REST(k, own, c, r, f, n)     { EV(REST, k, own, c, r, OK), .fence = (f), .version = (n) }
#define READ(k, c, r, n, p)          { EV(READ, k, 0, c, r, OK), .version = (n), .value = (p) }
#define BURY_AT(own, c, r, res, from, to)                                                          \
    { .call = (c), .ret = (r), .now_from = (from), .now_to = (to), .owner = (own),                 \
      .op = HISTORY_BURY, .result = KEDGE_##res }
#define EXTEND_AT(own, c, r, res, now)                                                             \
    { .call = (c), .ret = (r), .now_from = (now), .now_to = (now), .owner = (own), .ttl = 100,     \
      .op = HISTORY_EXTEND, .result = KEDGE_##res }
#define GRANT_AT(own, c, r, now)                                                                   \
    { .call = (c), .ret = (r), .now_from = (now), .now_to = (now), .owner = (own), .ttl = 100,     \
      .op = HISTORY_GRANT, .result = KEDGE_OK }

enum { LINEAR = 1, INTERVAL = 2, FENCE = 4, CONSERVE = 8, EVERY = 15 };

/* Ends with an event whose answer came at 0. */
struct sample {
    const char *name;
    unsigned seen_by; /* of an illegal one: these see it */
    struct history_event e[14];
};

static const struct sample legal[] = {
    { "lock: taken, refused, released, taken", 0,
      { ACQUIRE(1, 1, 2, 5), HELD(2, 3, 4), RELEASE(1, 5, 6, 5, OK), ACQUIRE(2, 7, 8, 6) } },
    { "lock: a refusal beside a release may come first", 0,
      { ACQUIRE(1, 1, 2, 5), RELEASE(1, 3, 9, 5, OK), ACQUIRE(2, 4, 5, 6), HELD(3, 4, 8) } },
    { "lock: answers in another order than the grants", 0,
      { ACQUIRE(2, 1, 20, 7), ACQUIRE(1, 1, 3, 5), RELEASE(1, 4, 12, 5, OK) } },
    { "lock: taken over after a burial", 0,
      { ACQUIRE(1, 1, 2, 5), BURY(1, 3, 4, OK), ACQUIRE(2, 5, 6, 9), CHECK(1, 7, 8, 5, STALE),
        RELEASE(1, 9, 10, 5, STALE), REFUSED(1, 11, 12, LOST), CHECK(2, 13, 14, 9, OK) } },
    { "lock: buried, not yet taken", 0,
      { ACQUIRE(1, 1, 2, 5), BURY(1, 3, 4, OK), CHECK(1, 5, 6, 5, LOST),
        QUERY(2, 7, 8, 0, 0, NOT_FOUND), RELEASE(1, 9, 10, 5, OK) } },
    { "lock: an acquire in doubt took place", 0,
      { REFUSED(1, 1, 2, ERR_UNKNOWN), HELD(2, 3, 4), HELD_BY(2, 5, 6, 1, 7),
        CHECK(1, 8, 9, 7, OK) } },
    { "lock: an acquire in doubt did not take place", 0,
      { REFUSED(1, 1, 2, ERR_UNKNOWN), ACQUIRE(2, 3, 4, 5), RELEASE(2, 5, 6, 5, OK),
        ACQUIRE(3, 7, 8, 6) } },
    { "lock: a release in doubt took place late", 0,
      { ACQUIRE(1, 1, 2, 5), RELEASE(1, 3, 4, 5, ERR_UNKNOWN), HELD(2, 5, 6),
        ACQUIRE(2, 7, 8, 6) } },
    { "lock: a revoked lease leaves it free", 0,
      { ACQUIRE(1, 1, 2, 5), REVOKE(1, 3, 4), ACQUIRE(2, 5, 6, 6), QUERY(3, 7, 8, 2, 6, OK) } },
    { "lease: granted, extended, lapsed, extended, buried, lost", 0,
      { GRANT_AT(1, 1, 2, 1000), EXTEND_AT(1, 3, 4, OK, 1050), BURY_AT(1, 5, 6, HELD, 1149, 1149),
        EXTEND_AT(1, 7, 8, OK, 1160), BURY_AT(1, 9, 120, OK, 1260, 1260),
        EXTEND_AT(1, 121, 122, LOST, 1261), BURY_AT(1, 123, 124, OK, 1261, 1261) } },
    { "lease: an extend and a burial meet", 0,
      { GRANT_AT(1, 1, 2, 1000), EXTEND_AT(1, 109, 130, LOST, 1100),
        BURY_AT(1, 110, 120, OK, 1100, 1100) } },
    { "lease: a time that is not known exactly", 0,
      { GRANT_AT(1, 1, 2, 1000), BURY_AT(1, 103, 104, OK, 1090, 1110) } },
    { "lease: buried by hint, as its process was killed", 0,
      { GRANT(1, 1, 2, 1000), GONE(1, 5), BURY(1, 6, 7, OK), EXTEND(1, 8, 9, LOST) } },
    { "lease: what was never granted is not there", 0,
      { BURY(1, 1, 2, NOT_FOUND), GRANT(1, 3, 4, 100), EXTEND(1, 5, 6, OK) } },
    { "lock: held by a lapsed lease that nobody buried is no leak", 0,
      { GRANT(1, 1, 2, 10), ACQUIRE(1, 3, 4, 5), HELD(2, 500, 501), BURY(1, 502, 503, OK),
        ACQUIRE(2, 504, 505, 6) } },
    { "lock: prolonged by the check of its holder", 0,
      { GRANT(1, 1, 2, 50), ACQUIRE(1, 3, 4, 5), CHECK(1, 40, 41, 5, OK), BURY(1, 60, 139, HELD),
        BURY(1, 140, 145, OK), ACQUIRE(2, 146, 147, 6) } },
    { "cell: created, guarded writes, one refused", 0,
      { GET_NONE(1, 1, 2), PUT(1, 3, 4, 0, 10, 7, OK), PUT(2, 5, 6, 0, 0, 8, STALE),
        GET(2, 7, 8, 10, 7), PUT(2, 9, 10, 10, 12, 8, OK), GET(1, 11, 12, 12, 8) } },
    { "cell: two writers at once, one wins, readers see either", 0,
      { PUT(1, 1, 2, 0, 10, 1, OK), PUT(1, 3, 9, 10, 11, 2, OK), PUT(2, 3, 9, 10, 0, 3, STALE),
        GET(3, 4, 5, 10, 1), GET(4, 6, 7, 11, 2) } },
    { "cell: a write in doubt is seen later", 0,
      { PUT(1, 1, 2, 0, 10, 1, OK), PUT(2, 3, 4, 10, 0, 2, ERR_UNKNOWN), GET(3, 5, 6, 10, 1),
        GET(3, 7, 8, 14, 2), PUT(1, 9, 10, 14, 15, 3, OK) } },
    { "run: created, claimed, written, finished, read", 0,
      { CREATE("r", 1, 2, OK), CLAIM("r", 1, 3, 4, 5), APPEND("r", 1, 5, 6, 5, 1, OK),
        REST("r", 1, 7, 8, 5, 2), READ("r", 9, 10, 2, KEDGE_PLACE_REST) } },
    { "run: yielded and claimed again", 0,
      { CREATE("r", 1, 2, OK), CLAIM("r", 1, 3, 4, 5), YIELD("r", 1, 5, 9, 5),
        CLAIM("r", 2, 6, 8, 6), APPEND("r", 1, 10, 11, 5, 1, STALE),
        APPEND("r", 2, 12, 13, 6, 1, OK) } },
    { "run: its holder dies, is buried, another takes it", 0,
      { CREATE("r", 1, 2, OK), CLAIM("r", 1, 3, 4, 5), APPEND("r", 1, 5, 6, 5, 1, ERR_UNKNOWN),
        TAKE("r", 2, 7, 8, 0, STALE), BURY(1, 9, 10, OK), TAKE("r", 2, 11, 12, 6, OK),
        APPEND("r", 1, 13, 14, 5, 2, LOST), REST("r", 2, 15, 16, 6, 2),
        READ("r", 17, 18, 2, KEDGE_PLACE_REST) } },
    { "run: a claim in doubt took it", 0,
      { CREATE("r", 1, 2, OK), CREATE("q", 1, 2, OK), DOUBT_CLAIM(1, 3),
        READ("r", 5, 6, 0, KEDGE_PLACE_HELD), CLAIM("q", 2, 7, 8, 9), BURY(1, 9, 10, OK),
        TAKE("r", 2, 11, 12, 10, OK) } },
    { "run: a revoked lease makes its runs due", 0,
      { CREATE("r", 1, 2, OK), CLAIM("r", 1, 3, 4, 5), REVOKE(1, 5, 6), CLAIM("r", 2, 7, 8, 6),
        REST("r", 2, 9, 10, 6, 0) } },
};

static const struct sample illegal[] = {
    { "lock: two hold it", LINEAR, { ACQUIRE(1, 1, 2, 5), ACQUIRE(2, 3, 4, 6) } },
    { "lock: refused while free", LINEAR | INTERVAL,
      { ACQUIRE(1, 1, 2, 5), RELEASE(1, 3, 4, 5, OK), HELD(2, 5, 6) } },
    { "lock: refused before anybody had it", LINEAR | INTERVAL,
      { HELD(2, 1, 2), ACQUIRE(1, 3, 4, 5) } },
    { "lock: a fence is given twice", LINEAR | FENCE,
      { ACQUIRE(1, 1, 2, 5), RELEASE(1, 3, 4, 5, OK), ACQUIRE(2, 5, 6, 5) } },
    { "lock: a fence falls", LINEAR | FENCE,
      { ACQUIRE(1, 1, 2, 5), RELEASE(1, 3, 4, 5, OK), ACQUIRE(2, 5, 6, 4) } },
    { "lock: a fence falls between calls that overlap", LINEAR,
      { ACQUIRE(1, 1, 10, 7), RELEASE(1, 11, 12, 7, OK), ACQUIRE(2, 1, 20, 5) } },
    { "lock: released by an old fence", LINEAR | FENCE,
      { ACQUIRE(1, 1, 2, 5), RELEASE(1, 3, 4, 5, OK), ACQUIRE(1, 5, 6, 6),
        RELEASE(1, 7, 8, 5, OK) } },
    { "lock: released twice", LINEAR | INTERVAL,
      { ACQUIRE(1, 1, 2, 5), RELEASE(1, 3, 4, 5, OK), RELEASE(1, 5, 6, 5, OK) } },
    { "lock: taken over without a burial", LINEAR,
      { ACQUIRE(1, 1, 2, 5), BURY(1, 3, 4, HELD), ACQUIRE(2, 5, 6, 6) } },
    { "lock: still mine after the burial", LINEAR | INTERVAL,
      { ACQUIRE(1, 1, 2, 5), BURY(1, 3, 4, OK), CHECK(1, 5, 6, 5, OK) } },
    { "lock: taken under a dead lease", LINEAR | INTERVAL,
      { BURY(1, 1, 2, OK), ACQUIRE(1, 3, 4, 5) } },
    { "lock: a stranger is named as holder", LINEAR,
      { ACQUIRE(1, 1, 2, 5), HELD_BY(2, 3, 4, 3, 5) } },
    { "lock: held and free in turns without an operation", LINEAR,
      { ACQUIRE(1, 1, 2, 5), QUERY(2, 3, 4, 0, 0, NOT_FOUND), HELD(3, 5, 6) } },
    { "lock: two safe spans overlap", INTERVAL | LINEAR,
      { GRANT(1, 1, 2, 500), GRANT(2, 1, 2, 500), ACQUIRE(1, 3, 4, 5), ACQUIRE(2, 50, 51, 6),
        RELEASE(1, 60, 61, 5, OK) } },
    { "lease: buried while it is safe", INTERVAL, { GRANT(1, 1, 2, 500), BURY(1, 50, 60, OK) } },
    { "lease: extended, and buried by its old deadline", INTERVAL,
      { GRANT(1, 1, 2, 100), EXTEND(1, 90, 91, OK), BURY(1, 110, 120, OK) } },
    { "lease: extended after its death", LINEAR | INTERVAL,
      { GRANT(1, 1, 2, 10), BURY(1, 50, 60, OK), EXTEND(1, 70, 71, OK) } },
    { "lease: dead, and a commit under it is accepted", LINEAR | INTERVAL,
      { CREATE("r", 1, 2, OK), GRANT(1, 1, 2, 10), CLAIM("r", 1, 3, 4, 5), BURY(1, 50, 60, OK),
        APPEND("r", 1, 70, 71, 5, 1, OK) } },
    { "lease: lost, though nobody buried it", LINEAR,
      { GRANT(1, 1, 2, 100), EXTEND(1, 3, 4, LOST) } },
    { "lease: lost, then alive", LINEAR,
      { GRANT(1, 1, 2, 100), BURY(1, 3, 90, OK), EXTEND(1, 4, 5, LOST), EXTEND(1, 6, 7, OK) } },
    { "lease: buried before its deadline on the store's clock", LINEAR,
      { GRANT_AT(1, 1, 2, 1000), BURY_AT(1, 103, 104, OK, 1099, 1099) } },
    { "lease: not buried at its deadline", LINEAR,
      { GRANT_AT(1, 1, 2, 1000), BURY_AT(1, 103, 104, HELD, 1100, 1100) } },
    { "lease: an extend counts from its own time", LINEAR,
      { GRANT_AT(1, 1, 2, 1000), EXTEND_AT(1, 3, 4, OK, 1050),
        BURY_AT(1, 103, 104, HELD, 1150, 1150) } },
    { "lease: granted twice", LINEAR, { GRANT(1, 1, 2, 100), GRANT(1, 3, 4, 100) } },
    { "cell: a lost update", LINEAR,
      { PUT(1, 1, 2, 0, 10, 1, OK), PUT(1, 3, 4, 10, 11, 2, OK), PUT(2, 3, 5, 10, 12, 3, OK) } },
    { "cell: an old value is read", LINEAR,
      { PUT(1, 1, 2, 0, 10, 1, OK), PUT(1, 3, 4, 10, 11, 2, OK), GET(2, 5, 6, 10, 1) } },
    { "cell: a value that nobody wrote", LINEAR,
      { PUT(1, 1, 2, 0, 10, 1, OK), GET(2, 3, 4, 10, 9) } },
    { "cell: readers disagree about the order", LINEAR,
      { PUT(1, 1, 2, 0, 10, 1, OK), PUT(1, 3, 30, 10, 11, 2, OK), GET(2, 4, 5, 11, 2),
        GET(3, 6, 7, 10, 1) } },
    { "cell: refused though the version was right", LINEAR,
      { PUT(1, 1, 2, 0, 10, 1, OK), PUT(2, 3, 4, 10, 0, 2, STALE) } },
    { "cell: refused, and written all the same", LINEAR,
      { PUT(1, 1, 2, 0, 10, 1, OK), PUT(2, 3, 4, 9, 0, 2, STALE), GET(2, 5, 6, 11, 2) } },
    { "cell: a version that falls", LINEAR | FENCE,
      { PUT(1, 1, 2, 0, 10, 1, OK), PUT(2, 3, 4, 10, 9, 2, OK) } },
    { "run: handed to two", LINEAR | CONSERVE,
      { CREATE("r", 1, 2, OK), CLAIM("r", 1, 3, 4, 5), CLAIM("r", 2, 3, 6, 6) } },
    { "run: handed out, and nobody created it", LINEAR | CONSERVE, { CLAIM("r", 1, 3, 4, 5) } },
    { "run: handed out after its end", LINEAR | CONSERVE,
      { CREATE("r", 1, 2, OK), CLAIM("r", 1, 3, 4, 5), REST("r", 1, 5, 6, 5, 0),
        CLAIM("r", 2, 7, 8, 6) } },
    { "run: finished twice", LINEAR | CONSERVE | FENCE,
      { CREATE("r", 1, 2, OK), CLAIM("r", 1, 3, 4, 5), BURY(1, 5, 6, OK), TAKE("r", 2, 7, 8, 6, OK),
        REST("r", 2, 9, 10, 6, 0), REST("r", 1, 11, 12, 5, 0) } },
    { "run: a stale holder is heard", LINEAR | FENCE,
      { CREATE("r", 1, 2, OK), CLAIM("r", 1, 3, 4, 5), YIELD("r", 1, 5, 6, 5),
        CLAIM("r", 2, 7, 8, 6), APPEND("r", 1, 9, 10, 5, 1, OK) } },
    { "run: two records of one number", LINEAR | CONSERVE,
      { CREATE("r", 1, 2, OK), CLAIM("r", 1, 3, 4, 5), APPEND("r", 1, 5, 6, 5, 1, OK),
        APPEND("r", 1, 7, 8, 5, 1, OK) } },
    { "run: a record is lost", LINEAR | CONSERVE,
      { CREATE("r", 1, 2, OK), CLAIM("r", 1, 3, 4, 5), APPEND("r", 1, 5, 6, 5, 1, OK),
        READ("r", 7, 8, 0, KEDGE_PLACE_HELD) } },
    { "run: a record from nowhere", LINEAR | CONSERVE,
      { CREATE("r", 1, 2, OK), CLAIM("r", 1, 3, 4, 5), APPEND("r", 1, 5, 6, 5, 1, OK),
        READ("r", 7, 8, 2, KEDGE_PLACE_HELD) } },
    { "run: taken from a holder who lives", LINEAR | CONSERVE,
      { CREATE("r", 1, 2, OK), CLAIM("r", 1, 3, 4, 5), TAKE("r", 2, 5, 6, 6, OK),
        BURY(1, 7, 8, OK) } },
    { "run: a claim in doubt cannot have taken it and left it", LINEAR,
      { CREATE("r", 1, 2, OK), DOUBT_CLAIM(1, 3), READ("r", 5, 6, 0, KEDGE_PLACE_HELD),
        READ("r", 7, 8, 0, KEDGE_PLACE_DUE) } },
    { "run: its holder is refused without reason", LINEAR,
      { CREATE("r", 1, 2, OK), CLAIM("r", 1, 3, 4, 5), APPEND("r", 1, 5, 6, 5, 1, STALE) } },
};
/* clang-format on */

static struct history gather(const struct history_event *e, size_t max)
{
    struct history h = { NULL, 0, 0 };

    for (size_t i = 0; i < max && e[i].ret != 0; i++)
        ck_assert(history_add(&h, &e[i]));
    return h;
}

static void judge(const struct history *h, unsigned checker, struct verdict *v)
{
    switch (checker) {
    case LINEAR:
        check_linear(h, CHECK_ALL, CHECK_BUDGET, v);
        break;
    case INTERVAL:
        check_intervals(h, 0, v);
        break;
    case FENCE:
        check_fences(h, v);
        break;
    default:
        check_conserved(h, false, v);
    }
}

START_TEST(what_is_sound_passes)
{
    const struct sample *s = &legal[_i];
    struct history h = gather(s->e, ARRAY_LEN(s->e));
    struct verdict v;

    for (unsigned c = LINEAR; c <= CONSERVE; c <<= 1) {
        judge(&h, c, &v);
        ck_assert_msg(v.result == CHECK_PASS, "%s: checker %u: %s", s->name, c, v.why);
    }
    history_free(&h);
}
END_TEST

START_TEST(what_is_not_is_seen)
{
    const struct sample *s = &illegal[_i];
    struct history h = gather(s->e, ARRAY_LEN(s->e));
    struct verdict v;

    for (unsigned c = LINEAR; c <= CONSERVE; c <<= 1) {
        if ((s->seen_by & c) == 0)
            continue;
        judge(&h, c, &v);
        ck_assert_msg(v.result == CHECK_VIOLATION, "%s: checker %u", s->name, c);
        ck_assert_msg(strchr(v.why, '\n') != NULL, "%s: %s", s->name, v.why);
    }
    history_free(&h);
}
END_TEST

START_TEST(what_was_to_be_finished_is_missed)
{
    static const struct history_event e[] = { CREATE("r", 1, 2, OK), CLAIM("r", 1, 3, 4, 5) };
    struct history h = gather(e, ARRAY_LEN(e));
    struct verdict v;

    check_conserved(&h, false, &v);
    ck_assert_int_eq(v.result, CHECK_PASS);
    check_conserved(&h, true, &v);
    ck_assert_int_eq(v.result, CHECK_VIOLATION);
    ck_assert_str_eq(v.key, "r");
    history_free(&h);
}
END_TEST

START_TEST(an_explanation_names_key_and_operations)
{
    static const struct history_event e[] = { ACQUIRE(1, 1, 2, 5), HELD(3, 3, 5),
                                              ACQUIRE(2, 3, 4, 6) };
    struct history h = gather(e, ARRAY_LEN(e));
    struct verdict v;

    check_linear(&h, CHECK_ALL, CHECK_BUDGET, &v);
    ck_assert_str_eq(v.key, "L");
    ck_assert_str_eq(v.why, "lock \"L\": no order of its operations gives their answers"
                            "\n  cannot be placed: w0 acquire L by 2 -> OK, fence 6 [3, 4]"
                            "\n  before it, in the best order: held by 1 under fence 5"
                            "\n  answered before: w0 acquire L by 1 -> OK, fence 5 [1, 2]"
                            "\n  open beside it: w0 acquire L by 3 -> HELD [3, 5]");
    history_free(&h);
}
END_TEST

START_TEST(a_failed_call_says_nothing)
{
    static const struct history_event e[] = { ACQUIRE(1, 1, 2, 5),
                                              REFUSED(2, 3, 4, ERR_UNAVAILABLE),
                                              RELEASE(1, 5, 6, 5, ERR_UNAVAILABLE), HELD(2, 7, 8) };
    struct history h = gather(e, ARRAY_LEN(e));
    struct verdict v;

    for (unsigned c = LINEAR; c <= CONSERVE; c <<= 1) {
        judge(&h, c, &v);
        ck_assert_int_eq(v.result, CHECK_PASS);
    }
    history_free(&h);
}
END_TEST

/* ---------------------------------------------------------------- what it costs */

/* N writes at once in doubt, and a reader to whom none of them helps. */
static struct history riddle(unsigned n)
{
    struct history h = { NULL, 0, 0 };
    struct history_event last = GET(90, 200, 210, 100, 99);

    for (unsigned i = 0; i < n; i++) {
        struct history_event put = PUT(i, 1 + i, 2, 0, 0, i + 1, ERR_UNKNOWN);
        struct history_event get = GET_NONE(i, 1 + i, 100 + i);

        ck_assert(history_add(&h, &put));
        ck_assert(history_add(&h, &get));
    }
    ck_assert(history_add(&h, &last));
    return h;
}

START_TEST(a_spent_budget_is_no_pass)
{
    struct history h = riddle(10);
    struct verdict v;

    check_linear(&h, CHECK_CELLS, 20, &v);
    ck_assert_int_eq(v.result, CHECK_INCONCLUSIVE);
    ck_assert_uint_le(v.nodes, 20);
    ck_assert_ptr_nonnull(strstr(v.why, "budget"));
    check_linear(&h, CHECK_CELLS, CHECK_BUDGET, &v);
    ck_assert_int_eq(v.result, CHECK_VIOLATION);
    ck_assert_uint_gt(v.nodes, 20);
    history_free(&h);
}
END_TEST

START_TEST(too_many_open_operations_are_no_pass)
{
    struct history h = riddle(33);
    struct verdict v;

    check_linear(&h, CHECK_CELLS, CHECK_BUDGET, &v);
    ck_assert_int_eq(v.result, CHECK_INCONCLUSIVE);
    ck_assert_ptr_nonnull(strstr(v.why, "64"));
    history_free(&h);
}
END_TEST

/* --------------------------------------------------- made by a store with one client */

enum { WORKERS = 6, LOCKS = 2, CELLS = 2, RUNS = 3, STEPS = 300 };

struct toy {
    uint64_t rng, clock, fence, owners;
    int64_t now;
    struct history h;
    struct toy_worker {
        int64_t free; /* when its last call had returned */
        uint64_t owner;
        bool dead;
    } worker[WORKERS];
    bool dead[4096]; /* by owner */
    struct toy_lock {
        uint64_t holder, fence;
    } lock[LOCKS];
    struct toy_cell {
        uint64_t version, value;
    } cell[CELLS];
    struct toy_run {
        uint64_t holder, fence, records, place;
    } run[RUNS];
};

static uint32_t below(struct toy *t, uint32_t n)
{
    t->rng = t->rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((t->rng >> 33) % n);
}

/* One in doubt is recorded as that, whether it took place or not. */
static void record(struct toy *t, unsigned w, struct history_event *e, int32_t result, bool doubt)
{
    e->call = t->now - 1 - (int64_t)below(t, 40);
    if (e->call <= t->worker[w].free)
        e->call = t->worker[w].free + 1;
    e->ret = t->now + 1 + (int64_t)below(t, 40);
    e->result = doubt ? KEDGE_ERR_UNKNOWN : result;
    t->worker[w].free = e->ret;
    ck_assert(history_add(&t->h, e));
}

static struct history_event event(struct toy *t, unsigned w, uint32_t op, char letter, unsigned k)
{
    char key[8] = { letter, (char)('0' + k) };

    return history_event(op, w, letter != 0 ? key : "", t->worker[w].owner);
}

static void toy_grant(struct toy *t, unsigned w)
{
    struct history_event e;

    t->worker[w].owner = ++t->owners;
    e = event(t, w, HISTORY_GRANT, 0, 0);
    record(t, w, &e, KEDGE_OK, false);
}

static void toy_lock(struct toy *t, unsigned w, unsigned k, bool doubt, bool lands)
{
    struct toy_lock *l = &t->lock[k];
    uint64_t me = t->worker[w].owner;
    struct history_event e = event(t, w, HISTORY_ACQUIRE, 'L', k);
    int32_t rc;

    if (l->holder == me && below(t, 3) > 0) {
        e.op = below(t, 2) ? HISTORY_UNLOCK : HISTORY_CHECK;
        e.fence = l->fence;
        rc = t->dead[me] ? KEDGE_LOST : KEDGE_OK;
        if (e.op == HISTORY_UNLOCK && rc == KEDGE_OK && lands)
            l->holder = 0;
        record(t, w, &e, rc, doubt);
        return;
    }
    if (t->dead[me])
        rc = KEDGE_LOST;
    else if (l->holder != 0 && !t->dead[l->holder])
        rc = KEDGE_HELD;
    else
        rc = KEDGE_OK;
    if (rc == KEDGE_OK && lands)
        *l = (struct toy_lock){ me, ++t->fence };
    if (rc == KEDGE_OK && !doubt)
        e.fence = t->fence;
    if (rc == KEDGE_HELD && !doubt) {
        e.holder = l->holder;
        e.fence = l->fence;
    }
    record(t, w, &e, rc, doubt);
}

static void toy_cell(struct toy *t, unsigned w, unsigned k, bool doubt, bool lands)
{
    struct toy_cell *c = &t->cell[k];
    struct history_event e = event(t, w, below(t, 2) ? HISTORY_PUT : HISTORY_GET, 'c', k);
    int32_t rc;

    e.owner = 0;
    if (e.op == HISTORY_GET) {
        e.version = c->version;
        e.value = c->value;
        record(t, w, &e, c->version != 0 ? KEDGE_OK : KEDGE_NOT_FOUND, false);
        return;
    }
    e.seen = below(t, 4) ? c->version : c->version + 1;
    e.value = t->clock++;
    rc = e.seen == c->version ? KEDGE_OK : KEDGE_STALE;
    if (rc == KEDGE_OK && lands)
        *c = (struct toy_cell){ ++t->fence, e.value };
    if (rc == KEDGE_OK && !doubt)
        e.version = c->version;
    record(t, w, &e, rc, doubt);
}

static void toy_held(struct toy *t, unsigned w, unsigned k, bool doubt, bool lands)
{
    struct toy_run *r = &t->run[k];
    uint32_t dice = below(t, 8);
    struct history_event e = event(t, w, dice == 0 ? HISTORY_YIELD : HISTORY_APPEND, 'r', k);
    int32_t rc = t->dead[r->holder] ? KEDGE_LOST : KEDGE_OK;

    e.fence = r->fence;
    if (e.op == HISTORY_APPEND)
        e.version = r->records + 1;
    if (rc == KEDGE_OK && lands) {
        if (e.op == HISTORY_APPEND)
            r->records++;
        else
            *r = (struct toy_run){ 0, 0, r->records, KEDGE_PLACE_DUE };
    }
    record(t, w, &e, rc, doubt);
}

static void toy_run(struct toy *t, unsigned w, unsigned k, bool doubt, bool lands)
{
    struct toy_run *r = &t->run[k];
    uint64_t me = t->worker[w].owner;
    struct history_event e = event(t, w, HISTORY_READ, 'r', k);

    if (r->place == 0) {
        e.op = HISTORY_CREATE;
        e.owner = 0;
        r->place = KEDGE_PLACE_DUE;
        record(t, w, &e, KEDGE_OK, false);
    } else if (r->holder == me) {
        toy_held(t, w, k, doubt, lands);
    } else if (!t->dead[me] && (r->place == KEDGE_PLACE_DUE || t->dead[r->holder])) {
        e.op = r->place == KEDGE_PLACE_DUE ? HISTORY_CLAIM : HISTORY_TAKE;
        if (lands)
            *r = (struct toy_run){ me, ++t->fence, r->records, KEDGE_PLACE_HELD };
        if (!doubt)
            e.fence = t->fence;
        record(t, w, &e, KEDGE_OK, doubt);
    } else {
        e.owner = 0;
        e.version = r->records;
        e.value = r->place;
        e.fence = r->fence;
        record(t, w, &e, KEDGE_OK, false);
    }
}

static void toy_bury(struct toy *t, unsigned w)
{
    uint64_t victim = t->worker[below(t, WORKERS)].owner;
    struct history_event e = event(t, w, HISTORY_BURY, 0, 0);

    e.owner = victim;
    t->dead[victim] = true;
    record(t, w, &e, KEDGE_OK, false);
}

static void toy_step(struct toy *t)
{
    unsigned w = below(t, WORKERS);
    bool doubt = below(t, 40) == 0, lands = !doubt || below(t, 2);

    t->now += 1 + (int64_t)below(t, 12);
    if (t->now <= t->worker[w].free + 1)
        t->now = t->worker[w].free + 2;
    if (t->worker[w].owner == 0 || (t->dead[t->worker[w].owner] && below(t, 4) == 0)) {
        toy_grant(t, w);
        return;
    }
    switch (below(t, 16)) {
    case 0:
        toy_bury(t, w);
        break;
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
        toy_cell(t, w, below(t, CELLS), doubt, lands);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
    case 10:
        toy_lock(t, w, below(t, LOCKS), doubt, lands);
        break;
    default:
        toy_run(t, w, below(t, RUNS), doubt, lands);
    }
}

static struct history toy_history(uint64_t seed)
{
    struct toy *t = calloc(1, sizeof *t);
    struct history h;

    ck_assert_ptr_nonnull(t);
    t->rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    t->now = 1000;
    t->clock = 1;
    for (int i = 0; i < STEPS; i++)
        toy_step(t);
    h = t->h;
    free(t);
    history_sort(&h);
    return h;
}

static unsigned seen_by(const struct history *h, struct verdict *v)
{
    for (unsigned c = LINEAR; c <= CONSERVE; c <<= 1) {
        judge(h, c, v);
        if (v->result != CHECK_PASS)
            return c;
    }
    return 0;
}

/* Another answer than the one that came. */
static bool alter(struct history_event *e, uint32_t dice)
{
    if (e->result == KEDGE_ERR_UNKNOWN)
        return false;
    switch (e->op) {
    case HISTORY_ACQUIRE:
        if (e->result != KEDGE_OK) {
            e->result = KEDGE_OK;
            e->fence = 1000000;
        } else if (dice % 2) {
            e->fence--;
        } else {
            e->result = KEDGE_HELD;
            e->fence = 0;
        }
        return true;
    case HISTORY_CLAIM:
    case HISTORY_TAKE:
        e->fence -= 1;
        return true;
    case HISTORY_GET:
        if (e->result != KEDGE_OK)
            return false;
        e->value++;
        return true;
    case HISTORY_READ:
        e->version += dice % 2 ? 1 : (uint64_t)-1;
        return true;
    case HISTORY_BURY:
        e->result = KEDGE_HELD;
        return true;
    case HISTORY_GRANT:
    case HISTORY_CREATE:
        return false;
    default:
        e->result = e->result == KEDGE_OK ? KEDGE_STALE : KEDGE_OK;
        return true;
    }
}

enum { HISTORIES = 60, MUTANTS = 10 };

START_TEST(random_histories_pass_and_their_mutants_mostly_do_not)
{
    unsigned tried = 0, caught = 0;
    uint32_t dice = 12345;

    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        struct history h = toy_history(seed);
        struct verdict v;

        ck_assert_msg(seen_by(&h, &v) == 0, "seed %d: %s", (int)seed, v.why);
        for (unsigned m = 0; m < MUTANTS; m++) {
            struct history_event *e, was;

            dice = dice * 1103515245u + 12345u;
            e = &h.events[(dice >> 8) % h.n];
            was = *e;
            if (alter(e, dice >> 16)) {
                tried++;
                caught += seen_by(&h, &v) != 0 && v.result == CHECK_VIOLATION;
            }
            *e = was;
        }
        history_free(&h);
    }
    ck_assert_uint_gt(tried, HISTORIES * MUTANTS / 2);
    ck_assert_msg(caught * 100 >= tried * 93, "%u of %u mutants were caught", caught, tried);
}
END_TEST

/* --------------------------------------------------------------------- as text */

static struct history through_text(const struct history *h)
{
    struct history back = { NULL, 0, 0 };
    char why[200] = "";
    FILE *f = tmpfile();

    ck_assert_ptr_nonnull(f);
    ck_assert(history_write(h, f));
    rewind(f);
    ck_assert_msg(history_read(&back, f, why, sizeof why) == 0, "%s", why);
    ck_assert_int_eq(fclose(f), 0);
    return back;
}

START_TEST(a_history_comes_back_from_its_text)
{
    struct history h = toy_history(7), back;
    struct history_event large = ACQUIRE(1, 1, 2, UINT64_MAX);

    large.call = -(INT64_C(1) << 62);
    ck_assert(history_add(&h, &large));
    large.fence = UINT64_C(1800000004032797); /* of the size that stores give */
    ck_assert(history_add(&h, &large));
    back = through_text(&h);
    ck_assert_uint_eq(back.n, h.n);
    for (size_t i = 0; i < h.n; i++)
        ck_assert_mem_eq(&back.events[i], &h.events[i], sizeof h.events[i]);
    history_free(&h);
    history_free(&back);
}
END_TEST

static const struct {
    const char *text;
    const char *why;
} wrong_lines[] = {
    { "{", "line 1: not a JSON object" },
    { "[]", "line 1: not a JSON object" },
    { "{\"op\":\"fly\",\"res\":\"OK\",\"call\":1,\"ret\":2}", "line 1: no known \"op\"" },
    { "{\"op\":\"get\",\"res\":\"FINE\",\"call\":1,\"ret\":2}", "line 1: no known \"res\"" },
    { "\n{\"op\":\"get\",\"res\":\"OK\",\"ret\":2}",
      "line 2: no \"call\", or a \"ret\" before it" },
    { "{\"op\":\"get\",\"res\":\"OK\",\"call\":1}", "line 1: a result without \"ret\"" },
    { "{\"op\":\"get\",\"res\":\"OK\",\"call\":1,\"ret\":2,\"fence\":\"x\"}",
      "line 1: a number is none" },
    { "{\"op\":\"get\",\"res\":\"OK\",\"call\":1,\"ret\":2,\"fence\":-1}",
      "line 1: a number is too large to be exact: it has to be a string" },
    { "{\"op\":\"get\",\"res\":\"OK\",\"k\":\"0123456789012345678901234\",\"call\":1,\"ret\":2}",
      "line 1: \"k\" is no text, or longer than a key can be" },
};

START_TEST(a_line_that_is_no_event_is_refused)
{
    struct history h = { NULL, 0, 0 };
    char why[200] = "";
    FILE *f = tmpfile();

    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(wrong_lines[_i].text, f), 0);
    rewind(f);
    ck_assert_uint_ne(history_read(&h, f, why, sizeof why), 0);
    ck_assert_str_eq(why, wrong_lines[_i].why);
    ck_assert_int_eq(fclose(f), 0);
    history_free(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkers");
    TCase *tc = tcase_create("checkers");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(tc, what_is_sound_passes, 0, ARRAY_LEN(legal));
    tcase_add_loop_test(tc, what_is_not_is_seen, 0, ARRAY_LEN(illegal));
    tcase_add_test(tc, what_was_to_be_finished_is_missed);
    tcase_add_test(tc, an_explanation_names_key_and_operations);
    tcase_add_test(tc, a_failed_call_says_nothing);
    tcase_add_test(tc, a_spent_budget_is_no_pass);
    tcase_add_test(tc, too_many_open_operations_are_no_pass);
    tcase_add_test(tc, random_histories_pass_and_their_mutants_mostly_do_not);
    tcase_add_test(tc, a_history_comes_back_from_its_text);
    tcase_add_loop_test(tc, a_line_that_is_no_event_is_refused, 0, ARRAY_LEN(wrong_lines));
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
