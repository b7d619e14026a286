/*
 * value.h - values are JSON text, kept byte for byte
 *
 * Inputs and results of steps are JSON (RFC 8259) in UTF-8.  kedge checks them and stores them as
 * they came: nothing is ever printed again, so no number loses digits, no key changes place.  What
 * a value must be:
 *
 *   one JSON value with nothing but white space (space, tab, CR, LF) around it; no byte order mark;
 *   strings in well-formed UTF-8 (no surrogates, no overlong forms), with no control character
 *   below U+0020 that is not escaped, and escaped surrogates in pairs; numbers as the grammar says
 *   (no leading zero, no "1.", no NaN); arrays and objects at most KEDGE_JSON_DEPTH deep.
 *   Equal keys in one object are allowed, as in the RFC; the readers below take the first.
 *
 * The readers take a path in the manner of RFC 6901 (JSON Pointer): "" is the whole value,
 * "/items/0/price" goes down by name and by index; "~1" means '/', "~0" means '~' in a name.
 *
 * All functions may be called by any thread and keep nothing.  They answer KEDGE_OK; NOT_FOUND when
 * the path leads nowhere (no message); ERR_INVALID with a message that names the byte or the path.
 * Outputs are written on KEDGE_OK only.
 */
#ifndef KEDGE_VALUE_H
#define KEDGE_VALUE_H

#include <kedge/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KEDGE_JSON_DEPTH 128

/* Is this one JSON value?  OK, or ERR_INVALID: what is wrong, and at which byte (from 0). */
KEDGE_API int kedge_json_check(const void *json, size_t len, struct kedge_error *err);

/* The bytes of the value at PATH as they stand in JSON, which they borrow. */
KEDGE_API int kedge_json_find(const void *json, size_t len, const char *path,
                              struct kedge_bytes *raw, struct kedge_error *err);

/*
 * The string at PATH, unescaped, with a NUL after it, into BUF of SIZE bytes; *STRLEN (may be NULL)
 * gets its length without the NUL.  ERR_TOO_BIG: it needs more than SIZE bytes, *STRLEN is written
 * in this case too.  ERR_INVALID: not a string, or it contains U+0000 and STRLEN is NULL.
 */
KEDGE_API int kedge_json_string(const void *json, size_t len, const char *path, char *buf,
                                size_t size, size_t *strlen_out, struct kedge_error *err);

/*
 * The integer at PATH, exact.  ERR_INVALID: not a number, or one with a fraction or an exponent, or
 * outside the 64 bits.
 */
KEDGE_API int kedge_json_int64(const void *json, size_t len, const char *path, int64_t *value,
                               struct kedge_error *err);

/* The boolean at PATH as 0 or 1.  ERR_INVALID: something else. */
KEDGE_API int kedge_json_bool(const void *json, size_t len, const char *path, int *value,
                              struct kedge_error *err);

#ifdef __cplusplus
}
#endif

#endif
