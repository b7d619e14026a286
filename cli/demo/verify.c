/* verify.c - is every file of the source in the archive, and as it is now? */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "demo.h"

#define INDEX_SIZE (DEMO_TEXT_SIZE + 512)
#define NAME_SIZE  128

/* NULL: the file is there and as it should be. */
static const char *check(const struct demo *demo, const char *path, uint64_t *bytes)
{
    char want[DEMO_TEXT_SIZE];
    char text[DEMO_TEXT_SIZE];
    char json[INDEX_SIZE];
    char name[NAME_SIZE];
    char hex[DEMO_HEX_SIZE];
    struct demo_digest source = { .size = 0 };
    struct demo_digest object;
    const char *wrong;
    struct stat st;
    ssize_t len;
    int64_t size = 0;
    int64_t mode = 0;
    int fd;

    if (!demo_index_name(path, name, sizeof name))
        return "no SHA-256";
    fd = openat(demo->dest_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? "not in the index" : strerror(errno);
    len = read(fd, json, sizeof json);
    (void)close(fd);
    demo_encode(path, strlen(path), want);
    if (len <= 0 ||
        kedge_json_string(json, (size_t)len, "/path", text, sizeof text, NULL, NULL) != KEDGE_OK ||
        kedge_json_string(json, (size_t)len, "/sha256", hex, sizeof hex, NULL, NULL) != KEDGE_OK ||
        kedge_json_int64(json, (size_t)len, "/size", &size, NULL) != KEDGE_OK ||
        kedge_json_int64(json, (size_t)len, "/mode", &mode, NULL) != KEDGE_OK ||
        strlen(hex) != 64 || strcmp(text, want) != 0)
        return "its index entry makes no sense";

    fd = openat(demo->source_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return strerror(errno);
    wrong = fstat(fd, &st) != 0 ? strerror(errno) : demo_pack(fd, -1, NULL, NULL, &source);
    (void)close(fd);
    if (wrong != NULL)
        return wrong;
    *bytes += source.size;
    if (strcmp(source.hex, hex) != 0 || source.size != (uint64_t)size)
        return "the source file is not the one in the index";
    if ((int64_t)(st.st_mode & 07777) != mode)
        return "the source file's mode is not the one in the index";

    demo_object_name(hex, name, sizeof name);
    fd = openat(demo->dest_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? "its object is missing" : strerror(errno);
    wrong = demo_unpack(fd, &object);
    (void)close(fd);
    if (wrong != NULL || strcmp(object.hex, hex) != 0)
        return "its object is damaged";
    return NULL;
}

enum cli_exit demo_verify(const struct demo *demo)
{
    struct demo_files files = { NULL, 0, 0 };
    uint64_t bytes = 0;
    size_t bad = 0;

    if (demo_walk(demo, &files) != 0) {
        demo_files_free(&files);
        return CLI_EXIT_FAILURE;
    }
    for (size_t i = 0; i < files.n; i++) {
        const char *wrong = check(demo, files.paths[i], &bytes);
        char text[DEMO_TEXT_SIZE];

        if (wrong == NULL)
            continue;
        bad++;
        demo_encode(files.paths[i], strlen(files.paths[i]), text);
        (void)fprintf(stderr, "kedge: %s: %s\n", text, wrong);
    }
    (void)printf("verified=%zu\ndifferent=%zu\nbytes=%" PRIu64 "\n", files.n - bad, bad, bytes);
    demo_files_free(&files);
    return bad == 0 ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}
