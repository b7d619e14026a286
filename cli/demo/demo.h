/*
 * demo.h - kedge demo archive: a saga over real files, to be watched and to be killed
 *
 * What is below DEST:
 *
 *   objects/ab/cdef...   contents, compressed, named by the SHA-256 of what went in
 *   index/HASH.json      one per file: its path, sha256, size and mode; HASH is that of the path
 *   tmp/                 what is not in place yet
 *   log/PID.log          one line per execution of a step, written before its effect:
 *                        RUN STEP ATTEMPT FENCE IN_DOUBT PID TIME (UTC, us)
 *   log/PID.events       "recovered RUN N TIME" and "buried LABEL - TIME"
 *   store                the store, unless another one is named
 *
 * A file name is bytes, a JSON string is not.  In inputs, in the index and in the log a path is
 * written with every byte that is '%' or not in 0x21 .. 0x7e as %XX.
 */
#ifndef KEDGE_DEMO_H
#define KEDGE_DEMO_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kedge/kedge.h>

#include "../cli.h"

#define DEMO_REACTOR   "archive"
#define DEMO_VERSION   1
#define DEMO_STEPS     4
#define DEMO_ID_MAX    1000 /* longer paths are named by their hash */
#define DEMO_HEX_SIZE  65
#define DEMO_TEXT_SIZE (3 * PATH_MAX + 1)

struct demo {
    const char *source; /* absolute */
    const char *dest;   /* absolute */
    int source_fd;
    int dest_fd;
    unsigned workers;
    const char *url;
    struct kedge_store_options options;
    const struct cli *cli;
};

enum cli_exit demo_archive(const struct demo *demo);
enum cli_exit demo_worker(const struct demo *demo);
enum cli_exit demo_verify(const struct demo *demo);

/* "kedge: WHAT: errno's text"; CLI_EXIT_FAILURE. */
enum cli_exit demo_errno(const char *what);

/* ------------------------------------------------------------------- names */

/* OUT has room for 3 LEN + 1 bytes. */
void demo_encode(const void *bytes, size_t len, char *out);
/* False: not something that demo_encode() wrote, or longer than PATH_MAX. */
bool demo_decode(const char *text, char out[PATH_MAX]);
bool demo_hash(const void *bytes, size_t len, char hex[DEMO_HEX_SIZE]);
/* "index/HASH.json" and "objects/ab/cdef..." */
bool demo_index_name(const char *path, char *out, size_t size);
void demo_object_name(const char *hex, char *out, size_t size);

struct demo_files {
    char **paths; /* relative to the source, sorted */
    size_t n;
    size_t room;
};
/* All regular files below the source.  A negative answer has been explained on standard error. */
int demo_walk(const struct demo *demo, struct demo_files *files);
void demo_files_free(struct demo_files *files);

int64_t demo_now(void); /* UTC, us */

/* ---------------------------------------------------------------- contents */

struct demo_digest {
    char hex[DEMO_HEX_SIZE];
    uint64_t size;
};
/* Asked now and then whether to go on. */
typedef bool demo_stop_fn(void *ctx);

/*
 * Read IN to its end, and write it compressed to OUT unless that is -1; *DIGEST is that of what was
 * read.  NULL, or what went wrong.  STOP may be NULL.
 */
const char *demo_pack(int in, int out, demo_stop_fn *stop, void *ctx, struct demo_digest *digest);
/* Read the compressed IN; *DIGEST is that of what was in it. */
const char *demo_unpack(int in, struct demo_digest *digest);
extern const char demo_stopped[]; /* what demo_pack() answers then */

/* ----------------------------------------------------------------- reactor */

struct demo_work {
    const struct demo *demo;
    int log_fd;
};
int demo_reactor(struct demo_work *work, struct kedge_reactor **reactor, struct kedge_error *err);

#endif
