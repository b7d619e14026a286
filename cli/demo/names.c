/* names.c - paths as text, and where things are below the destination */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "demo.h"

enum cli_exit demo_errno(const char *what)
{
    const int e = errno;

    return cli_tell(e == EACCES || e == EPERM || e == EROFS ? CLI_EXIT_PERMISSION
                                                            : CLI_EXIT_FAILURE,
                    "%s: %s", what, strerror(e));
}

int64_t demo_now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void demo_encode(const void *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char *p = bytes;

    for (size_t i = 0; i < len; i++) {
        if (p[i] > 0x20 && p[i] < 0x7f && p[i] != '%') {
            *out++ = (char)p[i];
        } else {
            *out++ = '%';
            *out++ = digits[p[i] >> 4];
            *out++ = digits[p[i] & 15];
        }
    }
    *out = '\0';
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool demo_decode(const char *text, char out[PATH_MAX])
{
    size_t n = 0;

    while (*text != '\0') {
        int c = (unsigned char)*text++;

        if (c == '%') {
            int high = digit(text[0]);
            int low = high >= 0 ? digit(text[1]) : -1;

            if (low < 0)
                return false;
            c = high * 16 + low;
            text += 2;
        }
        if (c == 0 || n + 1 >= PATH_MAX)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return n > 0;
}

bool demo_hash(const void *bytes, size_t len, char hex[DEMO_HEX_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;

    if (EVP_Digest(bytes, len, digest, &n, EVP_sha256(), NULL) != 1 || n != 32)
        return false;
    for (unsigned int i = 0; i < n; i++)
        (void)snprintf(hex + (size_t)i * 2, 3, "%02x", (unsigned int)digest[i]);
    return true;
}

bool demo_index_name(const char *path, char *out, size_t size)
{
    char hex[DEMO_HEX_SIZE];

    if (!demo_hash(path, strlen(path), hex))
        return false;
    (void)snprintf(out, size, "index/%s.json", hex);
    return true;
}

void demo_object_name(const char *hex, char *out, size_t size)
{
    (void)snprintf(out, size, "objects/%.2s/%s", hex, hex + 2);
}

/* -------------------------------------------------------------------- walk */

static int add(struct demo_files *files, const char *path)
{
    char *copy;

    if (files->n == files->room) {
        size_t room = files->room != 0 ? files->room * 2 : 1024;
        char **paths = realloc(files->paths, room * sizeof *paths);

        if (paths == NULL)
            return -1;
        files->paths = paths;
        files->room = room;
    }
    copy = strdup(path);
    if (copy == NULL)
        return -1;
    files->paths[files->n++] = copy;
    return 0;
}

/* Walk the directory FD, which is taken over; PATH is its name, with a '/' unless it is the root.
 */
static int walk(int fd, char path[PATH_MAX], struct demo_files *files)
{
    size_t len = strlen(path);
    DIR *dir = fdopendir(fd);
    int rc = 0;

    if (dir == NULL) {
        (void)demo_errno(path);
        (void)close(fd);
        return -1;
    }
    while (rc == 0) {
        struct dirent *entry;
        struct stat st;

        errno = 0;
        entry = readdir(dir);
        if (entry == NULL) {
            if (errno != 0) {
                (void)demo_errno(path);
                rc = -1;
            }
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (len + strlen(entry->d_name) + 2 > PATH_MAX) {
            errno = ENAMETOOLONG;
            (void)demo_errno(entry->d_name);
            rc = -1;
            break;
        }
        (void)strcpy(path + len, entry->d_name);
        if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            (void)demo_errno(path);
            rc = -1;
        } else if (S_ISREG(st.st_mode)) {
            rc = add(files, path);
            if (rc != 0)
                (void)demo_errno(path);
        } else if (S_ISDIR(st.st_mode)) {
            int sub = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

            if (sub < 0) {
                (void)demo_errno(path);
                rc = -1;
            } else {
                (void)strcat(path, "/");
                rc = walk(sub, path, files);
            }
        }
        path[len] = '\0';
    }
    (void)closedir(dir);
    return rc;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int demo_walk(const struct demo *demo, struct demo_files *files)
{
    char path[PATH_MAX] = "";
    int fd = openat(demo->source_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        (void)demo_errno(demo->source);
        return -1;
    }
    if (walk(fd, path, files) != 0)
        return -1;
    if (files->n > 0)
        qsort(files->paths, files->n, sizeof *files->paths, compare);
    return 0;
}

void demo_files_free(struct demo_files *files)
{
    for (size_t i = 0; i < files->n; i++)
        free(files->paths[i]);
    free(files->paths);
}
