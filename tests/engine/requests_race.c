/* requests_race.c - requests that race each other and the run, and answers that never come */
#include <config.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conform/fault_backend.h"
#include "requests.h"

/* ------------------------------------------------------------------ many at once */

enum { RACERS = 4, ROUNDS = 25 };

struct racer {
    const char *id;
    uint32_t verb;
    int rc;
    struct kedge_requested out;
    pthread_barrier_t *line;
};

static int ask_in(struct kedge_store *in, const char *id, uint32_t verb,
                  struct kedge_requested *answer)
{
    struct kedge_request request = KEDGE_REQUEST_INIT;
    struct kedge_error why;

    memset(answer, 0, sizeof *answer);
    answer->struct_size = sizeof *answer;
    request.verb = verb;
    request.run = kedge_text(id);
    request.who = "a racer";
    request.why = "a race";
    return kedge_run_request(in, &request, answer, PATIENCE, &why);
}

static void *race(void *arg)
{
    struct racer *racer = arg;

    (void)pthread_barrier_wait(racer->line);
    racer->rc = ask_in(store, racer->id, racer->verb, &racer->out);
    return NULL;
}

/* N threads ask at once; *N_OK, and whether each other answer is EXISTS or STALE. */
static bool race_all(const char *id, uint32_t verb, int *n_ok)
{
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    pthread_barrier_t line;
    bool good = true;

    (void)pthread_barrier_init(&line, NULL, RACERS);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){ .id = id, .verb = verb, .line = &line };
        if (pthread_create(&threads[i], NULL, race, &racers[i]) != 0)
            bail("no thread");
    }
    *n_ok = 0;
    for (int i = 0; i < RACERS; i++) {
        (void)pthread_join(threads[i], NULL);
        *n_ok += racers[i].rc == KEDGE_OK;
        good = good && (racers[i].rc == KEDGE_OK || racers[i].rc == KEDGE_EXISTS ||
                        racers[i].rc == KEDGE_STALE);
    }
    (void)pthread_barrier_destroy(&line);
    return good;
}

static void racing_cancels(void)
{
    int bad = 0;
    int n_ok;
    struct crew crew;

    for (int i = 0; i < ROUNDS; i++) {
        const char *id = begin("pool", HOUR);

        bad += !race_all(id, KEDGE_VERB_CANCEL, &n_ok) || n_ok != 1 ||
               status_of(id) != KEDGE_CANCELLED;
    }
    ok(bad == 0, "racing cancels of a run nobody holds: one is OK");
    hire(&crew, NULL);
    bad = 0;
    for (int i = 0; i < ROUNDS; i++) {
        const char *id;

        acts_reset();
        atomic_store(&ACT('b')->hold, 1);
        atomic_store(&ACT('b')->heeds, 1);
        id = begin("pool", 0);
        AWAIT(atomic_load(&ACT('b')->began) == 1);
        bool fair = race_all(id, KEDGE_VERB_CANCEL, &n_ok);
        if (n_ok != 1)
            note("n_ok %d fair %d %s", n_ok, fair, (wait_for(id), story(id)));
        bad += !fair || n_ok != 1 || wait_for(id) != KEDGE_CANCELLED || !did(id, "+a +b ?b -a");
    }
    ok(bad == 0, "racing cancels of a run that is held: one is OK");
    bad = 0;
    for (int i = 0; i < ROUNDS; i++) {
        const char *id;

        acts_reset();
        id = begin("pool", 0);
        if (wait_for(id) != KEDGE_COMPLETED)
            bail("%s", story(id));
        bad += !race_all(id, KEDGE_VERB_UNDO, &n_ok) || n_ok != 1 ||
               wait_for(id) != KEDGE_CANCELLED || !did(id, "+a +b +c -c -b -a");
    }
    ok(bad == 0, "racing undos of a completed run: one is OK");
    dismiss(&crew);
}

/* A process: asks when its standard input ends, and answers by its exit code. */
int ask_once(char **args)
{
    struct kedge_requested answer;
    char nothing[1];
    int rc;

    url = args[0];
    must(kedge_store_open(url, NULL, &store, &err), "open");
    if (write(STDOUT_FILENO, "r", 1) != 1 || read(STDIN_FILENO, nothing, 1) != 0)
        return 98;
    rc = ask_in(store, args[1], (uint32_t)strtoul(args[2], NULL, 10), &answer);
    kedge_store_close(store);
    return rc >= 0 && rc < 90 ? rc : 97;
}

/* Processes that ask at once; as race_all(). */
static bool race_processes(const char *id, uint32_t verb, int *n_ok)
{
    pid_t pids[RACERS];
    int line[2];
    int ready[2];
    int in = dup(STDIN_FILENO);
    int to = dup(STDOUT_FILENO);
    bool good = true;
    char word[16];
    char one;

    (void)snprintf(word, sizeof word, "%u", (unsigned)verb);
    (void)fflush(stdout);
    if (in < 0 || to < 0 || pipe2(line, O_CLOEXEC) != 0 || pipe2(ready, O_CLOEXEC) != 0 ||
        dup2(line[0], STDIN_FILENO) < 0 || dup2(ready[1], STDOUT_FILENO) < 0)
        bail("no pipe");
    for (int i = 0; i < RACERS; i++)
        pids[i] = spawn("--ask", id, word);
    (void)dup2(in, STDIN_FILENO);
    (void)dup2(to, STDOUT_FILENO);
    for (int i = 0; i < RACERS; i++) {
        if (read(ready[0], &one, 1) != 1)
            bail("a process does not come");
    }
    (void)close(line[1]); /* go */
    *n_ok = 0;
    for (int i = 0; i < RACERS; i++) {
        int status;
        int rc;

        (void)waitpid(pids[i], &status, 0);
        rc = WIFEXITED(status) ? WEXITSTATUS(status) : 99;
        *n_ok += rc == KEDGE_OK;
        good = good && (rc == KEDGE_OK || rc == KEDGE_EXISTS || rc == KEDGE_STALE);
    }
    (void)close(line[0]);
    (void)close(ready[0]);
    (void)close(ready[1]);
    (void)close(in);
    (void)close(to);
    return good;
}

static void racing_processes(void)
{
    int bad = 0;
    int n_ok;
    struct crew crew;

    if (!shared) {
        skip("racing processes", "a store in memory has one process");
        return;
    }
    hire(&crew, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        const char *id;

        acts_reset();
        atomic_store(&ACT('b')->hold, 1);
        atomic_store(&ACT('b')->heeds, 2);
        id = begin("pool", i % 2 == 0 ? 0 : HOUR);
        AWAIT(i % 2 != 0 || atomic_load(&ACT('b')->began) == 1);
        bad += !race_processes(id, KEDGE_VERB_CANCEL, &n_ok) || n_ok != 1 ||
               wait_for(id) != KEDGE_CANCELLED || !did(id, i % 2 == 0 ? "+a +b ?b -a" : "");
    }
    ok(bad == 0, "racing processes: one of them is OK");
    dismiss(&crew);
}

/* Against its own end: it is the one or the other, and the waiter learns which. */
static void cancel_against_end(const char *reactor)
{
    int ends[2] = { 0, 0 };
    int bad = 0;
    struct crew crew;

    acts_reset();
    hire(&crew, NULL);
    for (int i = 0; i < 4 * ROUNDS; i++) {
        const char *id = begin(reactor, 0);
        struct kedge_requested answer;
        struct kedge_run_info *info;
        uint32_t status;
        int rc;

        nap_us((i % 20) * 100);
        rc = ask_in(store, id, KEDGE_VERB_CANCEL, &answer);
        status = wait_for(id);
        info = info_of(id);
        bad += info->requests != 0;
        kedge_run_info_free(info);
        ends[status == KEDGE_CANCELLED]++;
        bad += status != KEDGE_CANCELLED && status != KEDGE_COMPLETED;
        bad += rc != KEDGE_OK && rc != KEDGE_STALE;
        bad += rc == KEDGE_STALE && status != KEDGE_COMPLETED;
        bad += status == KEDGE_COMPLETED && !did(id, "+a +b +c");
        for (char step = 'a'; step <= 'c' && status == KEDGE_CANCELLED; step++) {
            char ran[3] = { '+', step, '\0' };
            char undone[3] = { '-', step, '\0' };

            bad += (strstr(effects(id), ran) != NULL) != (strstr(effects(id), undone) != NULL);
        }
    }
    ok(bad == 0, "cancel against the end, %s: completed %d, cancelled %d", reactor, ends[0],
       ends[1]);
    dismiss(&crew);
}

/* ------------------------------------------------------------------ back and forth */

struct flipper {
    const char *id;
    atomic_int *over;
    int resumed;
};

static void *flip(void *arg)
{
    struct flipper *f = arg;
    struct kedge_requested answer;

    for (int i = 0; i < 200 && atomic_load(f->over) == 0; i++) {
        (void)ask_in(store, f->id, KEDGE_VERB_PAUSE, &answer);
        f->resumed += ask_in(store, f->id, KEDGE_VERB_RESUME, &answer) == KEDGE_OK;
    }
    return NULL;
}

/* While it runs, two flip it; after the last resume nothing may keep it. */
static void flipping(const char *reactor)
{
    int bad = 0;
    int resumed = 0;
    struct crew crew;

    acts_reset();
    hire(&crew, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        const char *id = begin(reactor, 0);
        atomic_int over = 0;
        struct flipper flippers[2] = { { id, &over, 0 }, { id, &over, 0 } };
        struct kedge_requested answer;
        pthread_t threads[2];
        int rc;

        for (int k = 0; k < 2; k++) {
            if (pthread_create(&threads[k], NULL, flip, &flippers[k]) != 0)
                bail("no thread");
        }
        nap_us(2000 * (i % 5));
        atomic_store(&over, 1);
        for (int k = 0; k < 2; k++) {
            (void)pthread_join(threads[k], NULL);
            resumed += flippers[k].resumed;
        }
        /* What one of them left paused, the other's resume came before. */
        rc = ask_in(store, id, KEDGE_VERB_RESUME, &answer);
        bad += rc != KEDGE_OK && rc != KEDGE_STALE && rc != KEDGE_EXISTS;
        bad += wait_for(id) != KEDGE_COMPLETED || !did(id, "+a +b +c");
    }
    ok(bad == 0, "pause and resume by two at once, %s: it completes, no step twice", reactor);
    note("%d resumes were OK", resumed);
    dismiss(&crew);
}

void cases_races(void)
{
    racing_cancels();
    racing_processes();
    cancel_against_end("pool");
    cancel_against_end("loop");
    flipping("pool");
    flipping("loop");
}

/* ------------------------------------------------------- answers that never come */

static struct kedge_store *faulty;

static int ask_faulty(const char *id, uint32_t verb, enum fault_kind kind)
{
    struct kedge_requested answer;
    uint64_t hits = fault_hits();
    int rc;

    fault_plan(FAULT_commit, 1, kind);
    rc = ask_in(faulty, id, verb, &answer);
    if (fault_hits() != hits + 1)
        bail("no commit of %s was hit: %s", kedge_verb_text(verb), answer.why);
    return rc;
}

static void unknown_unheld(void)
{
    const char *id = begin("pool", HOUR);
    struct kedge_requested answer;
    char made[KEDGE_RUN_ID_SIZE];
    struct crew crew;

    ok(ask_faulty(id, KEDGE_VERB_PAUSE, FAULT_BEFORE) == KEDGE_ERR_UNAVAILABLE && told(id, "begin"),
       "a store that is away: nothing was changed");
    ok(ask_faulty(id, KEDGE_VERB_PAUSE, FAULT_AFTER) == KEDGE_OK &&
           told(id, "begin pause[a racer|a race]"),
       "an answer that never came: pause takes place once");
    ok(ask_faulty(id, KEDGE_VERB_RESUME, FAULT_AFTER) == KEDGE_OK &&
           told(id, "begin pause[a racer|a race] resume[a racer|a race]"),
       "resume as well");
    ok(ask_faulty(id, KEDGE_VERB_CANCEL, FAULT_AFTER) == KEDGE_OK &&
           status_of(id) == KEDGE_CANCELLED,
       "cancel as well");
    ok(ask_faulty(id, KEDGE_VERB_RETRY, FAULT_AFTER) == KEDGE_OK &&
           strstr(story(id), "end:cancelled retry[a racer|a race]") != NULL,
       "retry as well");
    hire(&crew, NULL);
    ok(wait_for(id) == KEDGE_COMPLETED && did(id, "+a +b +c"), "... and runs once");
    ok(ask_faulty(id, KEDGE_VERB_UNDO, FAULT_AFTER) == KEDGE_OK && wait_for(id) == KEDGE_CANCELLED,
       "undo as well");
    ok(did(id, "+a +b +c -c -b -a"), "... and undoes once");
    fault_plan(FAULT_commit, 1, FAULT_AFTER);
    ok(ask_in(faulty, id, KEDGE_VERB_RETRY_NEW, &answer) == KEDGE_OK, "retry-new as well");
    (void)snprintf(made, sizeof made, "%s", answer.new_id);
    ok(wait_for(made) == KEDGE_COMPLETED && did(made, "+a +b +c"), "... and runs once");
    dismiss(&crew);
}

static void unknown_held(void)
{
    const char *id;
    struct crew crew;

    acts_reset();
    hire(&crew, NULL);
    atomic_store(&ACT('b')->hold, 1);
    id = begin("pool", 0);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    ok(ask_faulty(id, KEDGE_VERB_PAUSE, FAULT_AFTER) == KEDGE_OK, "pause of a held run as well");
    AWAIT(strcmp(story(id), "begin done:a pause[a racer|a race]") == 0);
    atomic_store(&ACT('b')->hold, 0);
    AWAIT(place_of(id) == KEDGE_PLACE_PARKED);
    ok(ask_faulty(id, KEDGE_VERB_RESUME, FAULT_AFTER) == KEDGE_OK &&
           wait_for(id) == KEDGE_COMPLETED,
       "... and it goes on");
    ok(told(id, "begin done:a pause[a racer|a race] done:b resume[a racer|a race] done:c "
                "end:completed"),
       "... each of them once");
    acts_reset();
    atomic_store(&ACT('b')->hold, 1);
    atomic_store(&ACT('b')->heeds, 1);
    id = begin("pool", 0);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    ok(ask_faulty(id, KEDGE_VERB_CANCEL, FAULT_AFTER) == KEDGE_OK &&
           wait_for(id) == KEDGE_CANCELLED,
       "cancel of a held run as well");
    ok(did(id, "+a +b ?b -a") && told(id, "begin done:a cancel[a racer|a race] failed:b "
                                          "compensated:b undone:a end:cancelled"),
       "... once");
    dismiss(&crew);
}

/* Taken back between the holder's look at what was asked and its commit. */
static void resume_between(void)
{
    const char *id;
    uint64_t looks;
    struct crew crew;

    acts_reset();
    atomic_store(&ACT('b')->hold, 1);
    id = begin("pool", 0);
    hire_in(&crew, faulty, NULL);
    AWAIT(atomic_load(&ACT('b')->began) == 1);
    looks = fault_calls(FAULT_cell_get);
    fault_delay(FAULT_commit, SECONDS / 10); /* so that there is a between */
    ok(ask(id, KEDGE_VERB_PAUSE) == KEDGE_OK, "pause of a held run");
    AWAIT(fault_calls(FAULT_cell_get) > looks);
    ok(ask(id, KEDGE_VERB_RESUME) == KEDGE_OK, "resume, while that is being taken up");
    fault_delay(FAULT_commit, 0);
    atomic_store(&ACT('b')->hold, 0);
    ok(wait_for(id) == KEDGE_COMPLETED && did(id, "+a +b +c"), "... is not lost: it completes");
    note("%s", story(id));
    dismiss(&crew);
}

void cases_unknown(void)
{
    struct kedge_store *below;

    struct crew crew;

    faulty = faulty_open(&below);
    acts_reset();
    hire(&crew, NULL); /* the store knows its reactors from now on */
    dismiss(&crew);
    unknown_unheld();
    unknown_held();
    resume_between();
    faulty_close(faulty, below);
}
