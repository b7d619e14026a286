/* crash.c - see crash.h */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crash.h"

/* ---------------------------------------------------------------------- TAP */

static unsigned tests, failures;
static char dir[4096];
static pid_t dir_owner;

static void line(const char *fmt, va_list ap) CRASH_PRINTF(1, 0);
static void line(const char *fmt, va_list ap)
{
    char text[2048];

    (void)vsnprintf(text, sizeof text, fmt, ap);
    for (char *p = text; *p != '\0'; p++)
        if (*p == '\n' || *p == '#')
            *p = ' ';
    (void)fputs(text, stdout);
}

bool tap_ok(bool ok, const char *fmt, ...)
{
    va_list ap;

    (void)printf("%s %u - ", ok ? "ok" : "not ok", ++tests);
    va_start(ap, fmt);
    line(fmt, ap);
    va_end(ap);
    (void)printf("\n");
    (void)fflush(stdout);
    if (!ok)
        failures++;
    return ok;
}

void tap_skip(const char *why, const char *fmt, ...)
{
    va_list ap;

    (void)printf("ok %u - ", ++tests);
    va_start(ap, fmt);
    line(fmt, ap);
    va_end(ap);
    (void)printf(" # SKIP %s\n", why);
    (void)fflush(stdout);
}

void tap_diag(const char *fmt, ...)
{
    va_list ap;

    (void)fputs("# ", stdout);
    va_start(ap, fmt);
    line(fmt, ap);
    va_end(ap);
    (void)fputs("\n", stdout);
    (void)fflush(stdout);
}

static void clean_up(void)
{
    if (dir[0] == '\0' || getpid() != dir_owner)
        return;
    if (failures != 0 || getenv("KEDGE_TEST_KEEP") != NULL)
        tap_diag("kept: %s", dir);
    else
        crash_remove(dir);
    dir[0] = '\0';
}

int tap_end(void)
{
    clean_up();
    (void)printf("1..%u\n", tests);
    if (failures != 0)
        (void)printf("# %u of %u failed\n", failures, tests);
    (void)fflush(stdout);
    return failures != 0 || tests == 0;
}

void tap_bail(const char *fmt, ...)
{
    va_list ap;

    (void)fputs("Bail out! ", stdout);
    va_start(ap, fmt);
    line(fmt, ap);
    va_end(ap);
    (void)fputs("\n", stdout);
    (void)fflush(stdout);
    exit(99);
}

/* ------------------------------------------------------------------- general */

bool crash_long(void)
{
    return getenv("KEDGE_TEST_LONG") != NULL;
}

uint64_t crash_seed(void)
{
    const char *given = getenv("KEDGE_TEST_SEED");
    uint64_t seed = 0;

    if (given != NULL)
        seed = strtoull(given, NULL, 0);
    else if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        tap_bail("getrandom: errno %d", errno);
    tap_diag("KEDGE_TEST_SEED=0x%llx", (unsigned long long)seed);
    return seed;
}

/* splitmix64 */
uint64_t crash_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

int64_t crash_now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void crash_sleep_us(int64_t us)
{
    struct timespec ts = { us / 1000000, us % 1000000 * 1000 };

    while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
        ;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)chmod(path, 0700);
    (void)remove(path);
    return 0;
}

void crash_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *crash_dir(void)
{
    const char *base = getenv("KEDGE_TEST_DIR");

    if (dir[0] != '\0')
        return dir;
    if (base == NULL && access("/dev/shm", W_OK | X_OK) == 0)
        base = "/dev/shm";
    if (base == NULL)
        base = getenv("TMPDIR");
    if (base == NULL)
        base = "/tmp";
    (void)snprintf(dir, sizeof dir, "%s/kedge-crash-XXXXXX", base);
    if (mkdtemp(dir) == NULL)
        tap_bail("mkdtemp %s: errno %d", dir, errno);
    dir_owner = getpid();
    (void)atexit(clean_up);
    return dir;
}

void *crash_shared(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        tap_bail("mmap: errno %d", errno);
    return p;
}

struct kedge_bytes crash_text(const char *text)
{
    return (struct kedge_bytes){ text, strlen(text) };
}

uint64_t crash_hash(uint64_t seed, const void *data, size_t len)
{
    const unsigned char *p = data;
    uint64_t h = UINT64_C(14695981039346656037) ^ seed;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * UINT64_C(1099511628211);
    return h ^ h >> 29;
}

struct kedge_id128 crash_id(const char *kind, uint64_t n)
{
    struct kedge_id128 id;
    uint64_t state = crash_hash(n, kind, strlen(kind));
    uint64_t a = crash_random(&state);
    uint64_t b = crash_random(&state) | 1;

    memcpy(id.b, &a, sizeof a);
    memcpy(id.b + 8, &b, sizeof b);
    return id;
}

const struct kedge_backend_ops *crash_ops(const char *name)
{
    const struct kedge_backend_ops *ops = NULL;
    struct kedge_error err;

    if (name == NULL)
        name = "lmdb";
    if (kedge_backend_find(name, &ops, &err) != KEDGE_OK)
        tap_bail("no backend %s: %s", name, err.msg);
    return ops;
}

/* -------------------------------------------------------------------- children */

#define WHY_MAX 4096
static char *why; /* shared */

enum { EXIT_FAILED = 10, EXIT_SKIPPED = 11 };

const char *crash_why(void)
{
    return why != NULL ? why : "";
}

const char *crash_end_name(enum crash_end end)
{
    static const char *const names[] = {
        "passed", "failed", "killed", "hung", "aborted", "skipped"
    };

    return names[end];
}

/* A child that hangs is sent SIGABRT: where is it?  (`addr2line' understands the answer.) */
static void show_stack(int sig)
{
    void *frames[50];
    /* Not async-signal-safe, but what hangs can only go on hanging. */
    /* NOLINTNEXTLINE(bugprone-signal-handler,cert-sig30-c) */
    int n = backtrace(frames, 50);

    /* NOLINTNEXTLINE(bugprone-signal-handler,cert-sig30-c) */
    backtrace_symbols_fd(frames, n, STDERR_FILENO);
    (void)signal(sig, SIG_DFL);
    (void)raise(sig);
}

/* What each thread of a process is doing, on standard error. */
static void show_threads(pid_t pid)
{
    static const char *const files[] = { "stat", "wchan", "syscall" };
    char name[300];
    DIR *d;
    struct dirent *e;

    (void)snprintf(name, sizeof name, "/proc/%d/task", (int)pid);
    d = opendir(name);
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        (void)fprintf(stderr, "# thread %s:", e->d_name);
        for (size_t i = 0; i < ARRAY_LEN(files); i++) {
            char text[200] = "";
            FILE *f;

            (void)snprintf(name, sizeof name, "/proc/%d/task/%.40s/%s", (int)pid, e->d_name,
                           files[i]);
            f = fopen(name, "re");
            if (f == NULL)
                continue;
            if (fgets(text, sizeof text, f) != NULL)
                text[strcspn(text, "\n")] = '\0';
            (void)fclose(f);
            (void)fprintf(stderr, " %s: %s;", files[i], text);
        }
        (void)fprintf(stderr, "\n");
    }
    if (d != NULL)
        (void)closedir(d);
}

pid_t crash_start(void (*fn)(void *ctx), void *ctx)
{
    pid_t pid;

    if (why == NULL)
        why = crash_shared(WHY_MAX);
    why[0] = '\0';
    (void)fflush(NULL);
    pid = fork();
    if (pid < 0)
        tap_bail("fork: errno %d", errno);
    if (pid == 0) {
        (void)signal(SIGABRT, show_stack);
        fn(ctx);
        /* No exit handlers: they are the parent's, and a sanitizer's leak check would see the
           parent's memory. */
        (void)fflush(NULL);
        _exit(0);
    }
    return pid;
}

enum crash_end crash_wait(pid_t pid, int seconds)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int64_t end = crash_now_us() + seconds * CRASH_SEC;
    bool late = false;
    bool hung = false;
    int status;
    pid_t got;

    while ((got = waitpid(pid, &status, pidfd >= 0 && !hung ? WNOHANG : 0)) == 0) {
        fd_set set;
        int64_t left = end - crash_now_us();
        struct timeval tv = { left / CRASH_SEC, left % CRASH_SEC };

        if (left <= 0 && !late) { /* slow, or hung?  Look, and look again. */
            late = true;
            show_threads(pid);
            end += 2 * seconds * CRASH_SEC;
            continue;
        }
        if (left <= 0) {
            hung = true;
            show_threads(pid);
            (void)kill(pid, SIGCONT);
            (void)kill(pid, SIGABRT);
            crash_sleep_us(100000);
            (void)kill(pid, SIGKILL);
            continue;
        }
        FD_ZERO(&set);
        FD_SET(pidfd, &set);
        (void)select(pidfd + 1, &set, NULL, NULL, &tv);
    }
    if (pidfd >= 0)
        (void)close(pidfd);
    if (got != pid)
        tap_bail("waitpid: errno %d", errno);
    if (hung) {
        (void)snprintf(why, WHY_MAX, "did not come to an end within %d s", 3 * seconds);
        return CRASH_HUNG;
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return CRASH_KILLED;
    if (WIFSIGNALED(status)) {
        (void)snprintf(why, WHY_MAX, "died of signal %d", WTERMSIG(status));
        return CRASH_ABORTED;
    }
    if (WEXITSTATUS(status) == 0)
        return CRASH_PASSED;
    if (WEXITSTATUS(status) == EXIT_FAILED)
        return CRASH_FAILED;
    if (WEXITSTATUS(status) == EXIT_SKIPPED)
        return CRASH_SKIPPED;
    (void)snprintf(why, WHY_MAX, "exit status %d", WEXITSTATUS(status));
    return CRASH_ABORTED;
}

enum crash_end crash_run(void (*fn)(void *ctx), void *ctx)
{
    return crash_wait(crash_start(fn, ctx), CRASH_WATCHDOG);
}

void crash_fail(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(why, WHY_MAX, fmt, ap);
    va_end(ap);
    _exit(EXIT_FAILED);
}

void crash_skip(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(why, WHY_MAX, fmt, ap);
    va_end(ap);
    _exit(EXIT_SKIPPED);
}

#if KEDGE_TSAN
/*
 * A write lock whose holder was killed is taken over by pthread_mutex_timedlock() with EOWNERDEAD,
 * which the sanitizer of gcc 12 does not count as locking.
 */
const char *__tsan_default_suppressions(void); /* NOLINT(bugprone-reserved-identifier) */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void)
{
    return "mutex:lm_write_unlock\n";
}
#endif

/* ----------------------------------------------------------- a host for tests */

static int64_t manual_clock(void *ctx, uint32_t which)
{
    (void)which;
    return __atomic_load_n((const int64_t *)ctx, __ATOMIC_RELAXED);
}

static void quiet(void *ctx, int level, const char *text)
{
    (void)ctx;
    if (getenv("KEDGE_TEST_VERBOSE") != NULL)
        (void)fprintf(stderr, "# log %d: %s\n", level, text);
}

static void *take(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void give(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

void crash_host_manual(struct kedge_host *host, const int64_t *base)
{
    union {
        const int64_t *in;
        void *out;
    } cast = { .in = base };

    *host = (struct kedge_host){
        .struct_size = sizeof *host,
        .abi = KEDGE_BACKEND_ABI,
        .ctx = cast.out,
        .clock_us = manual_clock,
        .log = quiet,
        .alloc = take,
        .release = give,
    };
}
