/* disk.c - a small disk of a child's own, and files that fill it; see disk.h */
#include <config.h>

#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "crash.h"

static bool put_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    bool ok = f != NULL && fputs(text, f) >= 0;

    if (f != NULL && fclose(f) != 0)
        ok = false;
    return ok;
}

void disk_mount(const char *disk, unsigned kib)
{
    char options[64];
    char map[64];
    unsigned uid = geteuid();
    unsigned gid = getegid();

    if (uid == 0) {
        if (unshare(CLONE_NEWNS) != 0)
            crash_skip("no mount namespace: errno %d", errno);
    } else {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
            crash_skip("no user namespace: errno %d", errno);
        (void)put_text("/proc/self/setgroups", "deny");
        (void)snprintf(map, sizeof map, "0 %u 1", uid);
        if (!put_text("/proc/self/uid_map", map))
            crash_skip("no uid map: errno %d", errno);
        (void)snprintf(map, sizeof map, "0 %u 1", gid);
        (void)put_text("/proc/self/gid_map", map);
    }
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        crash_skip("cannot make mounts private: errno %d", errno);
    (void)mkdir(disk, 0700);
    (void)snprintf(options, sizeof options, "size=%uk,mode=0700", kib);
    if (mount("tmpfs", disk, "tmpfs", 0, options) != 0)
        crash_skip("cannot mount a tmpfs: errno %d", errno);
}

static size_t pages_free(const char *disk)
{
    struct statvfs v;

    CRASH_CHECK(statvfs(disk, &v) == 0, "statvfs");
    return (size_t)v.f_bavail;
}

void disk_leave_free(const char *disk, const char *name, size_t pages)
{
    char path[4300];
    struct stat st;
    off_t size;
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", disk, name);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CRASH_CHECK(fd >= 0 && fstat(fd, &st) == 0, "cannot open the ballast");
    size = st.st_size + ((off_t)pages_free(disk) - (off_t)pages) * 4096;
    if (size < st.st_size)
        CRASH_CHECK(ftruncate(fd, size > 0 ? size : 0) == 0, "cannot cut the ballast");
    else if (size > st.st_size)
        CRASH_CHECK(posix_fallocate(fd, st.st_size, size - st.st_size) == 0,
                    "cannot extend the ballast");
    (void)close(fd);
}
