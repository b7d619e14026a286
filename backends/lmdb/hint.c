/* hint.c - one small locked file per lease; see hint.h for the invariants */
#include <config.h>

#include "hint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kit/mutant.h"

struct own {
    struct own *next;
    const void *owner;
    struct kedge_id128 lease;
    uint64_t id[2];
    int fd;
};

/* An absent hint and since when. */
struct absent {
    struct absent *next;
    struct kedge_id128 lease;
    uint64_t id[2];
    int64_t since;
};

struct lm_hints {
    pthread_mutex_t lock;
    struct lm_env *env;
    struct own *own;
    struct absent *absent;
    int64_t mass_since; /* 0: no such thing */
};

#define NAME_SIZE (7 + 32 + 1)

static void file_name(const struct kedge_id128 *lease, char out[NAME_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 7;

    memcpy(out, "leases/", 7);
    for (size_t i = 0; i < sizeof lease->b; i++) {
        out[n++] = hex[lease->b[i] >> 4];
        out[n++] = hex[lease->b[i] & 15];
    }
    out[n] = '\0';
}

struct lm_hints *lm_hints_new(struct lm_env *env)
{
    struct lm_hints *h = calloc(1, sizeof *h);

    if (h != NULL) {
        h->env = env;
        (void)pthread_mutex_init(&h->lock, NULL);
    }
    return h;
}

static struct own **find_own(struct lm_hints *h, const struct kedge_id128 *lease)
{
    struct own **at = &h->own;

    while (*at != NULL && !kit_id_equal(&(*at)->lease, lease))
        at = &(*at)->next;
    return at;
}

static void forget_own(struct own **at)
{
    struct own *o = *at;

    *at = o->next;
    (void)close(o->fd);
    free(o);
}

static struct absent **find_absent(struct lm_hints *h, const struct kedge_id128 *lease)
{
    struct absent **at = &h->absent;

    while (*at != NULL && !kit_id_equal(&(*at)->lease, lease))
        at = &(*at)->next;
    return at;
}

static void forget_absent(struct absent **at)
{
    struct absent *a = *at;

    if (a != NULL) {
        *at = a->next;
        free(a);
    }
}

void lm_hints_free(struct lm_hints *h)
{
    if (h == NULL)
        return;
    while (h->own != NULL)
        forget_own(&h->own);
    while (h->absent != NULL)
        forget_absent(&h->absent);
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
}

static int open_locked(int dir_fd, const char *name)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd;

    if (mkdirat(dir_fd, "leases", 0777) != 0 && errno != EEXIST)
        return -1;
    fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0 && fcntl(fd, F_SETLK, &lock) != 0) {
        int e = errno;

        (void)close(fd);
        errno = e;
        return -1;
    }
    return fd;
}

bool lm_hint_register(struct lm_hints *h, const void *owner, const struct kedge_id128 *lease,
                      uint64_t id[2])
{
    struct own *o = calloc(1, sizeof *o);
    struct own **there;
    char name[NAME_SIZE];
    struct stat st;
    bool taken = false;

    id[0] = id[1] = 0;
    if (o == NULL)
        return true;
    file_name(lease, name);
    (void)pthread_mutex_lock(&h->lock);
    there = find_own(h, lease);
    if (*there != NULL) /* I2: never two descriptors of one file */
        forget_own(there);
    o->fd = open_locked(h->env->dir_fd, name);
    taken = o->fd < 0 && (errno == EACCES || errno == EAGAIN);
    if (o->fd >= 0 && fstat(o->fd, &st) == 0) {
        o->owner = owner;
        o->lease = *lease;
        o->id[0] = id[0] = (uint64_t)st.st_dev;
        o->id[1] = id[1] = (uint64_t)st.st_ino;
        o->next = h->own;
        h->own = o;
        o = NULL;
    }
    (void)pthread_mutex_unlock(&h->lock);
    if (o != NULL && o->fd >= 0)
        (void)close(o->fd);
    free(o);
    return !taken;
}

bool lm_hint_mine(struct lm_hints *h, const struct kedge_id128 *lease, uint64_t id[2])
{
    const struct own *o;

    (void)pthread_mutex_lock(&h->lock);
    o = *find_own(h, lease);
    if (o != NULL)
        memcpy(id, o->id, sizeof o->id);
    (void)pthread_mutex_unlock(&h->lock);
    return o != NULL;
}

bool lm_hint_intact(struct lm_hints *h, const struct kedge_id128 *lease)
{
    char name[NAME_SIZE];
    struct stat st;
    struct own *o;
    bool ok;

    file_name(lease, name);
    (void)pthread_mutex_lock(&h->lock);
    o = *find_own(h, lease);
    ok = o != NULL && fstatat(h->env->dir_fd, name, &st, 0) == 0 &&
         (uint64_t)st.st_dev == o->id[0] && (uint64_t)st.st_ino == o->id[1];
    (void)pthread_mutex_unlock(&h->lock);
    return ok;
}

void lm_hint_remove(struct lm_hints *h, const struct kedge_id128 *lease)
{
    struct own **o;
    char name[NAME_SIZE];

    file_name(lease, name);
    (void)pthread_mutex_lock(&h->lock);
    (void)unlinkat(h->env->dir_fd, name, 0);
    o = find_own(h, lease);
    if (*o != NULL)
        forget_own(o);
    forget_absent(find_absent(h, lease));
    (void)pthread_mutex_unlock(&h->lock);
}

void lm_hints_release(struct lm_hints *h, const void *owner)
{
    (void)pthread_mutex_lock(&h->lock);
    for (struct own **at = &h->own; *at != NULL;)
        if ((*at)->owner == owner)
            forget_own(at);
        else
            at = &(*at)->next;
    (void)pthread_mutex_unlock(&h->lock);
}

/* Somebody else's file: does its lock stand? */
static bool lock_stands(int dir_fd, const char *name, const uint64_t id[2])
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    struct stat st;
    int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    bool stands;

    if (fd < 0)
        return false;
    stands = fstat(fd, &st) == 0 && (uint64_t)st.st_dev == id[0] && (uint64_t)st.st_ino == id[1] &&
             fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    (void)close(fd);
    return stands;
}

static int64_t absent_for(struct lm_hints *h, const struct kit_lease *lease)
{
    struct absent **at = find_absent(h, &lease->l.id);
    struct absent *a = *at;
    int64_t now = lm_mono_us();

    if (a == NULL) {
        a = calloc(1, sizeof *a);
        if (a == NULL)
            return 0;
        a->lease = lease->l.id;
        a->next = h->absent;
        h->absent = a;
    } else if (a->id[0] == lease->hint_id[0] && a->id[1] == lease->hint_id[1]) {
        return now - a->since;
    }
    memcpy(a->id, lease->hint_id, sizeof a->id);
    a->since = now;
    return 0;
}

uint32_t lm_hint_look(struct lm_hints *h, const struct kit_lease *lease, int64_t *absent_us)
{
    char name[NAME_SIZE];
    uint32_t seen;

    *absent_us = 0;
    if (lease->hint_id[0] == 0 && lease->hint_id[1] == 0)
        return KEDGE_HINT_NONE;
    file_name(&lease->l.id, name);
    (void)pthread_mutex_lock(&h->lock);
    if (KIT_MUTANT("l06", false, *find_own(h, &lease->l.id) != NULL) ||
        lock_stands(h->env->dir_fd, name, lease->hint_id)) {
        forget_absent(find_absent(h, &lease->l.id));
        seen = KEDGE_HINT_PRESENT;
    } else {
        *absent_us = absent_for(h, lease);
        seen = KEDGE_HINT_ABSENT;
    }
    (void)pthread_mutex_unlock(&h->lock);
    return seen;
}

int64_t lm_hints_mass(struct lm_hints *h, size_t live, size_t absent, int64_t longest_ttl_us)
{
    int64_t now = lm_mono_us();
    int64_t mass;

    (void)pthread_mutex_lock(&h->lock);
    mass = kit_hints_mass(&h->mass_since, now, live, absent, longest_ttl_us);
    (void)pthread_mutex_unlock(&h->lock);
    return mass;
}

void lm_hints_remove_all(int dir_fd)
{
    int fd = openat(dir_fd, "leases", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;

    if (d == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    while ((e = readdir(d)) != NULL)
        if (e->d_name[0] != '.')
            (void)unlinkat(fd, e->d_name, 0);
    (void)closedir(d);
    (void)unlinkat(dir_fd, "leases", AT_REMOVEDIR);
}
