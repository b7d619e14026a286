/*
 * place.c - what a script cannot do to the place of a store
 *
 *	./place hold URL         open it, say so, and keep it open until standard input ends
 *	./place on MAGIC URL     open it as if its file system were of that kind (see statfs(2))
 *	./place age FILE VERSION a data file of LMDB: its schema becomes that of another release
 *
 * What is refused is told on standard error, and by the exit status: that of the error, less its
 * sign.
 */
#include <config.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <kedge/kedge.h>

static unsigned long magic;

/* In front of the system's: the library finds these first. */
KEDGE_API int fstatfs(int fd, struct statfs *out)
{
    int (*next)(int fd, struct statfs *out);
    int rc;

    *(void **)&next = dlsym(RTLD_NEXT, "fstatfs");
    rc = next(fd, out);
    if (rc == 0 && magic != 0)
        out->f_type = (__fsword_t)magic;
    return rc;
}

static struct kedge_store *open_store(const char *url)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_store *store = NULL;
    struct kedge_error err;
    int rc;

    options.flags = KEDGE_STORE_CREATE;
    rc = kedge_store_open(url, &options, &store, &err);
    if (rc == KEDGE_OK)
        return store;
    (void)fprintf(stderr, "place: %s\n", err.msg);
    exit(-rc);
}

static int hold(const char *url)
{
    struct kedge_store *store = open_store(url);
    ssize_t n;
    char c;

    printf("open\n");
    (void)fflush(stdout);
    do
        n = read(0, &c, 1);
    while (n > 0);
    kedge_store_close(store);
    return 0;
}

/*
 * A row of LMDB is its key and, right behind it, its value, which are kept without a checksum.  Old
 * pages may have the row as well.
 */
static int age(const char *path, unsigned char version)
{
    static const char row[] = { 's', 'c', 'h', 'e', 'm', 'a', 0, 0, 0 };
    FILE *file = fopen(path, "r+be");
    char window[sizeof row];
    int found = 0;

    if (file == NULL || fread(window, sizeof window, 1, file) != 1)
        return 1;
    for (int c; (c = fgetc(file)) != EOF;) {
        if (memcmp(window, row, sizeof row) == 0) {
            found++;
            if (fseek(file, -1, SEEK_CUR) != 0 || fputc(version, file) == EOF ||
                fseek(file, 0, SEEK_CUR) != 0)
                return 1;
            c = version;
        }
        memmove(window, window + 1, sizeof window - 1);
        window[sizeof window - 1] = (char)c;
    }
    return fclose(file) != 0 || found == 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "hold") == 0)
        return hold(argv[2]);
    if (argc == 4 && strcmp(argv[1], "age") == 0)
        return age(argv[2], (unsigned char)strtoul(argv[3], NULL, 0));
    if (argc == 4 && strcmp(argv[1], "on") == 0) {
        magic = strtoul(argv[2], NULL, 0);
        kedge_store_close(open_store(argv[3]));
        return 0;
    }
    (void)fprintf(stderr, "usage: place hold URL | on MAGIC URL | age FILE VERSION\n");
    return 2;
}
