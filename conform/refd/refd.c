/*
 * kedge-refd - one store for many processes: serves it at a Unix socket
 *
 *	kedge-refd [--backend NAME] [--options LIST] [--clock FILE] SOCKET [URL]
 *
 * URL is the store, and LIST the options of its backend.  If it is left out, it is one in memory,
 * with crash hints: the reference of the storage contract, which lives in one process.  The backend
 * `shared' opens it as shared:SOCKET, in any namespace and from any number of processes; what is in
 * memory lives as long as this program.
 *
 * --clock FILE: the store's time is in that file (clockfile.h), and whoever may write to it moves
 * it; wall and lease clock are one then.  That goes for a store whose clocks are its host's.
 *
 * It says so on standard output when it can be connected to, and ends on SIGTERM or SIGINT.  Only
 * its user may connect.  Exit status: 0 ended as asked, 1 could not go on, 2 usage.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <kedge/store.h>

#include "conform/clockfile.h"
#include "serve.h"

#define DEFAULT_URL     "mem:kedge-refd"
#define DEFAULT_OPTIONS "hints=1"

void refd_say(const char *fmt, ...)
{
    va_list ap;

    flockfile(stderr);
    (void)fputs("kedge-refd: ", stderr);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
    funlockfile(stderr);
}

/* --------------------------------------------------------------------- its clock */

static int64_t real_us(clockid_t id)
{
    struct timespec ts = { 0, 0 };

    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t clock_of_file(void *ctx, uint32_t which)
{
    struct clock_file *file = ctx;
    int64_t at = atomic_load(&file->at), since = atomic_load(&file->since);

    (void)which;
    return at == 0      ? real_us(CLOCK_REALTIME)
           : since == 0 ? at
                        : at + real_us(CLOCK_MONOTONIC) - since;
}

static int use_clock(struct kedge_host *host, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *p;

    if (fd < 0 || fstat(fd, &st) != 0) {
        refd_say("clock file '%s': %s", path, strerror(errno));
        return 1;
    }
    if (st.st_size < (off_t)sizeof(struct clock_file)) {
        refd_say("clock file '%s' has %lld bytes, a clock has %zu", path, (long long)st.st_size,
                 sizeof(struct clock_file));
        return 1;
    }
    p = mmap(NULL, sizeof(struct clock_file), PROT_READ, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (p == MAP_FAILED) {
        refd_say("clock file '%s': %s", path, strerror(errno));
        return 1;
    }
    host->ctx = p;
    host->clock_us = clock_of_file;
    return 0;
}

/* The other services, whatever the context is. */
static void *host_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void host_release(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

static void host_log(void *ctx, int level, const char *text)
{
    (void)ctx;
    (void)level;
    refd_say("%s", text);
}

static int64_t host_clock(void *ctx, uint32_t which)
{
    const struct kedge_host *host = kedge_host_default();

    (void)ctx;
    return host->clock_us(host->ctx, which);
}

/* ----------------------------------------------------------------- its connections */

struct connection {
    struct connection *next, **at;
    struct refd *refd;
    int fd;
    unsigned long number;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fewer = PTHREAD_COND_INITIALIZER;
static struct connection *connections;

static void forget(struct connection *c)
{
    (void)pthread_mutex_lock(&lock);
    *c->at = c->next;
    if (c->next != NULL)
        c->next->at = c->at;
    (void)close(c->fd);
    (void)pthread_cond_broadcast(&fewer);
    (void)pthread_mutex_unlock(&lock);
    free(c);
}

static void *serve(void *arg)
{
    struct connection *c = arg;

    refd_serve(c->refd, c->fd, c->number);
    forget(c);
    return NULL;
}

static void take(struct refd *r, int fd)
{
    static unsigned long count;
    struct connection *c = malloc(sizeof *c);
    pthread_attr_t detached;
    pthread_t thread;
    int rc = ENOMEM;

    count++;
    if (c == NULL) {
        (void)close(fd);
        refd_say("connection %lu is closed: %s", count, strerror(rc));
        return;
    }
    (void)pthread_mutex_lock(&lock);
    *c = (struct connection){ connections, &connections, r, fd, count };
    if (c->next != NULL)
        c->next->at = &c->next;
    connections = c;
    (void)pthread_mutex_unlock(&lock);
    rc = pthread_attr_init(&detached);
    if (rc == 0) {
        (void)pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        rc = pthread_create(&thread, &detached, serve, c);
        (void)pthread_attr_destroy(&detached);
    }
    if (rc == 0)
        return;
    refd_say("connection %lu is closed: %s", count, strerror(rc));
    forget(c);
}

/* They end by themselves, each after what it is at. */
static void end_all(struct refd *r)
{
    atomic_store(&r->stopping, true);
    (void)pthread_mutex_lock(&lock);
    for (struct connection *c = connections; c != NULL; c = c->next)
        (void)shutdown(c->fd, SHUT_RDWR);
    while (connections != NULL)
        (void)pthread_cond_wait(&fewer, &lock);
    (void)pthread_mutex_unlock(&lock);
}

/* No more descriptors: until a connection ends. */
static void await_fewer(void)
{
    struct timespec until;

    refd_say("no more connections can be taken for now: %s", strerror(errno));
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++; /* and look whether to end */
    (void)pthread_mutex_lock(&lock);
    (void)pthread_cond_timedwait(&fewer, &lock, &until);
    (void)pthread_mutex_unlock(&lock);
}

static int serve_all(struct refd *r, int door, int signals)
{
    struct pollfd p[2] = { { .fd = door, .events = POLLIN }, { .fd = signals, .events = POLLIN } };

    for (;;) {
        int fd;

        if (poll(p, 2, -1) < 0 && errno != EINTR) {
            refd_say("poll: %s", strerror(errno));
            return 1;
        }
        if (p[1].revents != 0)
            return 0;
        fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            take(r, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            await_fewer();
    }
}

/* ------------------------------------------------------------------------- the door */

/* Does somebody answer there? */
static bool served(const struct sockaddr_un *at)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool there;

    if (fd < 0)
        return false;
    there = connect(fd, (const struct sockaddr *)at, sizeof *at) == 0 || errno == EAGAIN;
    (void)close(fd);
    return there;
}

/*
 * A socket that listens, at PATH.  It gets that name when it does, so that whoever sees it can
 * connect; what a server that was killed left there is replaced.  -1 after a message.
 */
static int open_door(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX }, under = at;
    struct stat st;
    mode_t mask;
    int fd, rc;

    if (strlen(path) >= sizeof at.sun_path - sizeof ".4294967295") {
        refd_say("the path of the socket is longer than %zu bytes: '%s'",
                 sizeof at.sun_path - sizeof ".4294967295" - 1, path);
        return -1;
    }
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    (void)snprintf(under.sun_path, sizeof under.sun_path, "%s.%lu", path, (unsigned long)getpid());
    if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        refd_say("'%s' is there and is no socket", path);
        return -1;
    }
    if (served(&at)) {
        refd_say("somebody serves a store at '%s' already", path);
        return -1;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        refd_say("socket: %s", strerror(errno));
        return -1;
    }
    mask = umask(0177);
    rc = bind(fd, (const struct sockaddr *)&under, sizeof under);
    (void)umask(mask);
    if (rc != 0 || listen(fd, SOMAXCONN) != 0 || rename(under.sun_path, path) != 0) {
        refd_say("socket '%s': %s", path, strerror(errno));
        (void)unlink(under.sun_path);
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* ------------------------------------------------------------------------- the store */

static int find_store(struct refd *r, const char *backend)
{
    struct kedge_error err = { 0 };
    char scheme[64];
    size_t len = strcspn(r->url, ":+");

    if (backend == NULL) {
        if (r->url[len] == '\0' || len >= sizeof scheme) {
            refd_say("the URL of the store does not begin with the name of a backend and ':'");
            return 2;
        }
        memcpy(scheme, r->url, len);
        scheme[len] = '\0';
        backend = scheme;
    }
    if (strcmp(r->url, "mem:") == 0) {
        refd_say("'mem:' is a store of its own for everybody who opens it; give it a name, as in "
                 "'" DEFAULT_URL "'");
        return 2;
    }
    if (kedge_backend_find(backend, &r->ops, &err) != KEDGE_OK) {
        refd_say("%s", err.msg);
        return 1;
    }
    if (r->ops->threads != KEDGE_THREADS_SESSION) {
        refd_say("the backend '%s' is for one thread at a time and cannot be served", r->ops->name);
        return 1;
    }
    return 0;
}

static int signals_as_file(void)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static void allow_many_files(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

static int run(struct refd *r, const char *path)
{
    int signals = signals_as_file();
    int door, rc;

    if (signals < 0) {
        refd_say("signalfd: %s", strerror(errno));
        return 1;
    }
    allow_many_files();
    door = open_door(path);
    if (door < 0)
        return 1;
    printf("serving at %s\n", path);
    (void)fflush(stdout);
    rc = serve_all(r, door, signals);
    (void)unlink(path);
    (void)close(door);
    end_all(r);
    (void)close(signals);
    return rc;
}

static int usage(void)
{
    (void)fputs("usage: kedge-refd [--backend NAME] [--options LIST] [--clock FILE] SOCKET "
                "[URL]\n",
                stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "backend", required_argument, NULL, 'b' },
                                             { "options", required_argument, NULL, 'o' },
                                             { "clock", required_argument, NULL, 'c' },
                                             { NULL, 0, NULL, 0 } };
    static struct refd r;
    const char *backend = NULL, *clock = NULL;
    int opt, rc;

    r.host = (struct kedge_host){ .struct_size = sizeof r.host,
                                  .abi = KEDGE_BACKEND_ABI,
                                  .clock_us = host_clock,
                                  .log = host_log,
                                  .alloc = host_alloc,
                                  .release = host_release };
    while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (opt == 'b')
            backend = optarg;
        else if (opt == 'o')
            r.options = optarg;
        else if (opt == 'c')
            clock = optarg;
        else
            return usage();
    }
    if (argc - optind < 1 || argc - optind > 2)
        return usage();
    r.url = argc - optind == 2 ? argv[optind + 1] : DEFAULT_URL;
    if (argc - optind == 1 && r.options == NULL)
        r.options = DEFAULT_OPTIONS;
    (void)pthread_mutex_init(&r.lock, NULL);
    r.last_token = (uint64_t)real_us(CLOCK_REALTIME);
    rc = find_store(&r, backend);
    if (rc == 0 && clock != NULL)
        rc = use_clock(&r.host, clock);
    return rc != 0 ? rc : run(&r, argv[optind]);
}
