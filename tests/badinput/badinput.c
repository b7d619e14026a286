/*
 * badinput.c - bad input over one store after the other
 *
 *	./badinput mem: lmdb:/tmp/x
 */
#include "badinput.h"

#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------------- refusals */

/* Lower case, quotes and all, without a final stop; no byte that a terminal would not print. */
static bool is_sentence(const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < ' ' || (unsigned char)text[i] >= 127)
            return false;
    }
    return len > 15 && len + 1 < KEDGE_ERRMSG_MAX && text[len - 1] != '.';
}

void refused(int rc, int want, const char *word, const char *other, const char *what)
{
    bool good = rc == want && err.code == want && is_sentence(err.msg) &&
                strstr(err.msg, word) != NULL && strstr(err.msg, other) != NULL;

    ok(good, what);
    if (good)
        note("says: %s", err.msg);
    else
        note("answers %s, says: %s (wanted: %s ... %s)", kedge_status_name(rc), err.msg, word,
             other);
    memset(&err, 0, sizeof err);
}

bool ends_as(const struct kedge_run_info *info, uint32_t status, const char *error)
{
    char text[1024];
    bool good;

    (void)snprintf(text, sizeof text, "%.*s",
                   (int)(info->error.len < 1000 ? info->error.len : 1000),
                   info->error.len > 0 ? (const char *)info->error.data : "");
    good = info->status == status && strstr(text, error) != NULL;
    note("%s%s: %s", good ? "" : "NOT AS IT SHOULD BE: ", kedge_run_status_text(info->status),
         text);
    return good;
}

/* --------------------------------------------------------------------- log */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char last_log[1024];

static void log_text(void *ctx, int level, const char *text)
{
    (void)ctx;
    (void)level;
    (void)pthread_mutex_lock(&log_lock);
    (void)snprintf(last_log, sizeof last_log, "%s", text);
    (void)pthread_mutex_unlock(&log_lock);
}

bool logged(const char *word, const char *other)
{
    bool found;

    (void)pthread_mutex_lock(&log_lock);
    found = strstr(last_log, word) != NULL && strstr(last_log, other) != NULL;
    note("%s%s", found ? "logs: " : "DID NOT LOG WHAT IT SHOULD: ", last_log);
    (void)pthread_mutex_unlock(&log_lock);
    return found;
}

void forget_log(void)
{
    (void)pthread_mutex_lock(&log_lock);
    last_log[0] = '\0';
    (void)pthread_mutex_unlock(&log_lock);
}

/* ---------------------------------------------------------------- children */

bool in_child(bool (*fn)(void *arg), void *arg)
{
    int status = 0;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    if (pid == 0) {
        (void)alarm(CHILD_ENDS); /* one that hangs dies by it */
        _exit(fn(arg) ? 0 : 1);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    if (status != 0)
        note("the child's end: %s %d", WIFSIGNALED(status) ? "signal" : "exit",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return status == 0;
}

/* -------------------------------------------------------------------- runs */

char *long_string(size_t len)
{
    char *text = malloc(len + 1);

    if (text == NULL) {
        printf("Bail out! no memory\n");
        exit(99);
    }
    memset(text, 'x', len);
    text[0] = text[len - 1] = '"';
    text[len] = '\0';
    return text;
}

struct kedge_run_info *run_step(const char *id, kedge_step_fn *run, void *user, uint32_t flags)
{
    struct kedge_step_def steps[] = { { .name = "a", .run = run, .flags = flags } };
    struct kedge_reactor_def def = KEDGE_REACTOR_DEF_INIT(id, 1, steps);

    def.user = user;
    return run_alone(&def);
}

static int say_seven(struct kedge_step *step, void *user)
{
    (void)user;
    return kedge_ok(step, "7", 1);
}

void still_works(const char *what)
{
    static int n;
    char id[32];
    struct kedge_run_info *info;

    (void)snprintf(id, sizeof id, "works-%d", n++);
    info = run_step(id, say_seven, NULL, 0);
    ok(info->status == KEDGE_COMPLETED && is(info->result, "7"), what);
    kedge_run_info_free(info);
}

static void all(void)
{
    bad_values();
    bad_names();
    bad_calls();
    bad_steps();
    after_fork();
}

int main(int argc, char **argv)
{
    static struct kedge_host host;

    host = *kedge_host_default();
    host.log = log_text;
    return saga_main(argc, argv, &host, all);
}
