/*
 * replay.c - main() of a fuzz target without a fuzzer: each file given, and each file of each
 * directory given, goes through it once
 *
 * Prints how many there were.  An input that breaks the target ends the program where it stands.
 */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned long replayed;

static void give_up(const char *path)
{
    (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
    exit(2);
}

/* Exactly as many bytes as the file has, so that a read past them is one past the allocation. */
static void replay_file(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(size > 0 ? size : 1);

    if (f == NULL || data == NULL || fread(data, 1, size, f) != size)
        give_up(path);
    (void)fclose(f);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    replayed++;
}

static void replay(const char *path);

static void replay_directory(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    char name[4096];

    if (dir == NULL)
        give_up(path);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        replay(name);
    }
    (void)closedir(dir);
}

static void replay(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        give_up(path);
    if (S_ISDIR(st.st_mode))
        replay_directory(path);
    else
        replay_file(path, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%lu\n", replayed);
    return replayed > 0 ? 0 : 1;
}
