/* values.c - values of 20 MiB, and text that is no JSON: as input, as result, as error */
#include "badinput.h"

#define TWENTY (20 * MIB)

static size_t value_limit(void)
{
    return (size_t)kedge_store_ops(store)->limits->value_max;
}

/* ------------------------------------------------------------------ starts */

static void start_refused(struct kedge_run_start start, int want, const char *word,
                          const char *other, const char *what)
{
    struct kedge_run_info *info = NULL;
    int rc;

    start.reactor = "values";
    start.version = 1;
    if (start.id.len == 0)
        start.id = kedge_text("refused");
    rc = kedge_start(store, &start, LIVENESS, &err);
    refused(rc, want, word, other, what);
    if (kedge_run_get(store, start.id, 0, &info, LIVENESS, &err) != KEDGE_NOT_FOUND) {
        ok(0, "and there is no such run");
        kedge_run_info_free(info);
    }
}

static void big_starts(void)
{
    struct kedge_run_start start = KEDGE_START_INIT;
    struct kedge_run_start starts[3];
    int outcomes[3] = { 99, 99, 99 };
    char *big = long_string(TWENTY);
    int rc;

    start.input = (struct kedge_bytes){ big, TWENTY };
    start_refused(start, KEDGE_ERR_TOO_BIG, "the input has 20971520 bytes", "'",
                  "an input of 20 MiB is refused, with its size and the limit");
    start.input.len = value_limit();
    big[start.input.len - 1] = '"';
    start_refused(start, KEDGE_ERR_TOO_BIG, "the input has 16777216 bytes", "'",
                  "so is one that leaves no room for what is stored beside it");
    start.input = kedge_text("1");
    start.context = (struct kedge_bytes){ big, TWENTY };
    start_refused(start, KEDGE_ERR_TOO_BIG, "the context has 20971520 bytes", "'",
                  "a context of 20 MiB is refused, with its size and the limit");
    start.context = (struct kedge_bytes){ NULL, 0 };
    start.queue = (struct kedge_bytes){ big, TWENTY };
    start_refused(start, KEDGE_ERR_TOO_BIG, "the name of the queue has 20971520 bytes", "'",
                  "and a queue called by 20 MiB");
    start.queue = (struct kedge_bytes){ NULL, 0 };
    for (size_t i = 0; i < 3; i++) {
        static const char *const ids[] = { "big-before", "big-between", "big-after" };

        starts[i] = start;
        starts[i].reactor = "values";
        starts[i].version = 1;
        starts[i].id = kedge_text(ids[i]);
    }
    starts[1].input = (struct kedge_bytes){ big, TWENTY };
    rc = kedge_start_many(store, starts, 3, sizeof *starts, outcomes, LIVENESS, &err);
    refused(rc, KEDGE_ERR_TOO_BIG, "the input has 20971520 bytes", "'",
            "one of many that is too big is told");
    ok(outcomes[0] == KEDGE_OK && outcomes[1] == KEDGE_ERR_TOO_BIG && outcomes[2] == KEDGE_OK,
       "and the others are started");
    free(big);
}

/* ---------------------------------------------------------------- requests */

static struct kedge_request ask(uint32_t verb, const char *id, const char *who, const char *why)
{
    struct kedge_request request = KEDGE_REQUEST_INIT;

    request.verb = verb;
    request.run = kedge_text(id);
    request.who = who;
    request.why = why;
    return request;
}

static void big_requests(void)
{
    char *big = long_string(TWENTY);
    struct kedge_request request = ask(KEDGE_VERB_PAUSE, "big-before", big, big);
    struct kedge_run_info *info;

    must(kedge_run_request(store, &request, NULL, LIVENESS, &err), "pause");
    request = ask(KEDGE_VERB_ABANDON, "big-before", big, big);
    must(kedge_run_request(store, &request, NULL, LIVENESS, &err), "abandon");
    info = run_await("big-before");
    ok(info->status == KEDGE_ABORTED && info->error.len >= 256 && info->error.len <= 2048 &&
           memcmp(info->error.data, big, info->error.len) == 0,
       "of who asks and why, in 20 MiB each, the beginning is kept");
    kedge_run_info_free(info);
    request = ask(KEDGE_VERB_RETRY_NEW, "big-before", "me", NULL);
    request.new_id = (struct kedge_bytes){ big, TWENTY };
    refused(kedge_run_request(store, &request, NULL, LIVENESS, &err), KEDGE_ERR_INVALID,
            "id has 20971520 bytes", "1024", "a new run with an id of 20 MiB");
    request = ask(KEDGE_VERB_RETRY_UNDO, "big-before", "me", NULL);
    request.step = big;
    refused(kedge_run_request(store, &request, NULL, LIVENESS, &err), KEDGE_ERR_INVALID, "step",
            "xxx", "a step called by 20 MiB");
    free(big);
}

/* ----------------------------------------------------------------- results */

struct saying {
    struct kedge_bytes value;
    uint32_t kind;
    atomic_int runs;
    atomic_int cleaned;
    atomic_int matched;
};

static int say(struct kedge_step *step, void *user)
{
    struct saying *s = user;

    switch (kedge_step_view(step)->action) {
    case KEDGE_ACTION_RUN:
        atomic_fetch_add(&s->runs, 1);
        break;
    default:
        atomic_fetch_add(&s->cleaned, 1);
        return kedge_ok(step, NULL, 0);
    }
    if (s->kind == KEDGE_OUTCOME_FAIL)
        return kedge_fail(step, KEDGE_FAIL_FINAL, s->value.data);
    if (s->kind == KEDGE_OUTCOME_HALT)
        return kedge_halt(step, s->value.data);
    return kedge_ok(step, s->value.data, s->value.len);
}

static int match(struct kedge_step *step, void *user)
{
    struct saying *s = user;
    struct kedge_bytes value = { NULL, 0 };

    if (kedge_step_result(step, "a", &value, NULL) == KEDGE_OK && value.len == s->value.len &&
        memcmp(value.data, s->value.data, value.len) == 0)
        atomic_fetch_add(&s->matched, 1);
    return kedge_ok(step, value.data, value.len);
}

static struct kedge_run_info *run_saying(const char *id, struct saying *s)
{
    static const char *const after[] = { "a", NULL };
    const struct kedge_step_def steps[] = {
        { .name = "a", .run = say, .compensate = say, .user = s, .retry = { .attempts = 3 } },
        { .name = "b", .run = match, .user = s, .after = after },
    };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT(id, 1, steps);

    return run_alone(&def);
}

static void big_results(void)
{
    struct saying s = { .kind = KEDGE_OUTCOME_OK };
    char *big = long_string(TWENTY);
    struct kedge_run_info *info;

    s.value = (struct kedge_bytes){ big, TWENTY };
    info = run_saying("twenty", &s);
    ok(ends_as(info, KEDGE_FAILED, "its value has 20971520 bytes") && is(info->error_step, "a"),
       "a step that says 20 MiB has failed, which tells the step, the size and the limit");
    ok(atomic_load(&s.runs) == 1 && atomic_load(&s.cleaned) == 1,
       "for good, whatever its retry policy; its effect has happened, so it is compensated");
    kedge_run_info_free(info);

    s = (struct saying){ .value = { big, value_limit() - 4095 }, .kind = KEDGE_OUTCOME_OK };
    big[s.value.len - 1] = '"';
    info = run_saying("one-more", &s);
    ok(ends_as(info, KEDGE_FAILED, "its value has 16773121 bytes, more than the 16773120"),
       "one byte too many is refused as well");
    kedge_run_info_free(info);
    big[s.value.len - 1] = 'x';
    s.value.len--;
    big[s.value.len - 1] = '"';
    info = run_saying("just", &s);
    ok(info->status == KEDGE_COMPLETED && atomic_load(&s.matched) == 1 &&
           info->result.len == s.value.len && memcmp(info->result.data, big, s.value.len) == 0,
       "the largest is taken, handed on and handed out byte for byte");
    kedge_run_info_free(info);
    free(big);
}

static void big_texts(void)
{
    struct saying s = { .kind = KEDGE_OUTCOME_FAIL };
    char *big = long_string(TWENTY);
    struct kedge_run_info *info;

    s.value = (struct kedge_bytes){ big, TWENTY };
    info = run_saying("long-error", &s);
    ok(info->status == KEDGE_FAILED && is(info->error_step, "a") && info->error.len >= 256 &&
           info->error.len <= 2048 && memcmp(info->error.data, big, info->error.len) == 0,
       "of an error of 20 MiB the beginning is kept");
    kedge_run_info_free(info);
    s.kind = KEDGE_OUTCOME_HALT;
    info = run_saying("long-reason", &s);
    ok(info->status == KEDGE_HALTED && info->error.len >= 256 && info->error.len <= 2048 &&
           memcmp(info->error.data, big, info->error.len) == 0,
       "and of a reason");
    kedge_run_info_free(info);
    free(big);
}

/* -------------------------------------------------------------------- JSON */

#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static const struct no_json {
    const char *name;
    const char *says;
    struct kedge_bytes text;
} no_json[] = {
    { "half an object", "not JSON: the text ends at byte 1", BYTES("{") },
    { "a comma too many", "not JSON: at byte 3", BYTES("[1,]") },
    { "two values", "not JSON: at byte 2", BYTES("{}{}") },
    { "no number", "not JSON: at byte 0", BYTES("NaN") },
    { "a byte order mark", "not JSON: at byte 0", BYTES("\xef\xbb\xbf{}") },
    { "a string that is not UTF-8", "not JSON: at byte 1", BYTES("\"\xff\"") },
    { "an overlong form", "not JSON: at byte 1", BYTES("\"\xc0\xaf\"") },
    { "half a pair of surrogates", "not JSON: at byte 1", BYTES("\"\\ud800\"") },
    { "a NUL inside", "not JSON: at byte 2", BYTES("\"a\0b\"") },
    { "a NUL behind", "not JSON: at byte 1", BYTES("1\0") },
    { "nothing but space", "not JSON: the text ends at byte 3", BYTES("   ") },
};

/* The first LEVELS of the brackets in the middle, and as many behind them. */
#define DEEPEST ((size_t)1000000)
static char brackets[2 * DEEPEST];

static struct kedge_bytes deep(size_t levels)
{
    memset(brackets, '[', DEEPEST);
    memset(brackets + DEEPEST, ']', DEEPEST);
    return (struct kedge_bytes){ brackets + DEEPEST - levels, 2 * levels };
}

static void try_no_json(const struct no_json *no)
{
    struct kedge_run_start start = KEDGE_START_INIT;
    struct saying s = { .value = no->text, .kind = KEDGE_OUTCOME_OK };
    struct kedge_run_info *info;
    static int n;
    char what[128];
    char id[32];

    (void)snprintf(what, sizeof what, "%s as an input", no->name);
    start.input = no->text;
    start_refused(start, KEDGE_ERR_INVALID, no->says, "the input", what);
    (void)snprintf(what, sizeof what, "%s as a result", no->name);
    (void)snprintf(id, sizeof id, "no-json-%d", n++);
    info = run_saying(id, &s);
    ok(ends_as(info, KEDGE_FAILED, no->says) && is(info->error_step, "a") &&
           atomic_load(&s.runs) == 1 && atomic_load(&s.cleaned) == 1,
       what);
    kedge_run_info_free(info);
}

static void bad_json(void)
{
    struct no_json one = { "a value 129 levels deep", "not JSON: at byte 128", deep(129) };
    struct no_json many = { "a value a million levels deep", "not JSON: at byte 128",
                            deep(DEEPEST) };
    struct saying s = { .value = deep(128), .kind = KEDGE_OUTCOME_OK };
    struct kedge_run_info *info;

    for (size_t i = 0; i < COUNT(no_json); i++)
        try_no_json(&no_json[i]);
    try_no_json(&one);
    try_no_json(&many);
    info = run_saying("deep", &s);
    ok(info->status == KEDGE_COMPLETED && atomic_load(&s.matched) == 1, "one of 128 is taken");
    kedge_run_info_free(info);
    s = (struct saying){ .value = { NULL, 5 }, .kind = KEDGE_OUTCOME_OK };
    info = run_saying("no-bytes", &s);
    ok(ends_as(info, KEDGE_FAILED, "has a length, and no bytes"),
       "a length without bytes as a result");
    kedge_run_info_free(info);
}

void bad_values(void)
{
    big_starts();
    big_requests();
    big_results();
    big_texts();
    bad_json();
    still_works("after all that the store works");
}
