/*
 * kit.h - what wrappers share: handles, their part of the URL, lines in a file
 *
 * A wrapper is kit.c and forward.c, which pass everything on, and one file more that defines its
 * name, what it keeps for an open store, and what it does before and after a call (forward.h).
 *
 *   K1  A wrapper's part of the URL is understood before anything below is called.
 *   K2  What it keeps goes after the last call below, store_close or a failed store_open.
 *   K3  A child of fork() has nothing to tell: what it closes was its parent's.
 */
#ifndef KEDGE_WRAP_KIT_H
#define KEDGE_WRAP_KIT_H

#include <stdbool.h>

#include "forward.h"

/* ------------------------------------------------------- defined by a wrapper */

/* What it is called in a URL. */
extern const char *const wrap_name;

/*
 * Understand SETTINGS (wrap_setting) and answer in *SELF what wrap_below.self will be: for one open
 * store, or for one call of store_drop or schema_script.
 */
int wrap_self_open(const struct kedge_host *host, struct kedge_bytes settings, void **self,
                   struct kedge_error *err);
void wrap_self_close(void *self);

/* -------------------------------------------------------------------- settings */

/* The next KEY=VALUE. */
bool wrap_setting(struct kedge_bytes *settings, struct kedge_bytes *key, struct kedge_bytes *value);
/* There is no such KEY; KNOWN says which there are. */
int wrap_unknown(struct kedge_bytes key, const char *known, struct kedge_error *err);
/* VALUE of KEY is wrong; WANT says what would be right. */
int wrap_wrong(const char *key, struct kedge_bytes value, const char *want,
               struct kedge_error *err);
/* A whole number from LEAST on. */
int wrap_number(const char *key, struct kedge_bytes value, uint64_t least, uint64_t *number,
                struct kedge_error *err);
/* "1" or nothing, "0". */
int wrap_switch(const char *key, struct kedge_bytes value, bool *on, struct kedge_error *err);

/* ----------------------------------------------------------------- lines, files */

/* Text that grows; what is in it is lost, and `failed' set, when there is no memory. */
struct wrap_line {
    const struct kedge_host *host;
    char *text;
    size_t len;
    size_t size;
    bool failed;
    char room[1024];
};
void wrap_line_init(struct wrap_line *line, const struct kedge_host *host);
void wrap_line_free(struct wrap_line *line);
void wrap_add(struct wrap_line *line, const char *fmt, ...) KEDGE_PRINTF(2, 3);
/* Bytes as text: what is not printable ASCII, a '"' or a '\' as \xHH; in JSON the '\' is doubled.
 */
void wrap_add_bytes(struct wrap_line *line, struct kedge_bytes bytes, bool json);
void wrap_add_id(struct wrap_line *line, const struct kedge_id128 *id);

/* Where lines go.  Several processes may write into one file: each line is one write, at its end.
 */
struct wrap_file {
    const struct kedge_host *host;
    int fd; /* -1: there is none */
    long pid;
};
#define WRAP_FILE_NONE                                                                             \
    {                                                                                              \
        NULL, -1, 0                                                                                \
    }
/* to=PATH, for appending. */
int wrap_file_open(struct wrap_file *file, const struct kedge_host *host, struct kedge_bytes value,
                   struct kedge_error *err);
/* One for those who gave no path: standard error. */
void wrap_file_default(struct wrap_file *file, const struct kedge_host *host);
/* LINE, which ends with a newline.  A failure goes to the host's log. */
void wrap_file_put(struct wrap_file *file, const struct wrap_line *line);
void wrap_file_close(struct wrap_file *file);
/* Is this the process that opened it (K3)? */
bool wrap_file_ours(const struct wrap_file *file);

int64_t wrap_clock_us(void); /* CLOCK_MONOTONIC */
const char *wrap_status_name(int status);

#endif
