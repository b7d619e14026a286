/*
 * json.c - fuzz target: a path, a NUL, and what may be JSON
 *
 * What we take for JSON cJSON reads as well, and says the same of: the same members, strings,
 * whole numbers.  The other way round nothing is compared, as cJSON accepts what the RFC does not.
 */
#include <config.h>

#include <math.h>
#include <string.h>

#include <kedge/value.h>

#ifdef HAVE_CJSON
#    include <cJSON.h>
#endif
#include "fuzz.h"

static struct kedge_error err;

static void told(int rc)
{
    MUST(rc == KEDGE_NOT_FOUND || (rc < 0 && err.code == rc && err.msg[0] != '\0'));
}

/* ------------------------------------------------------------------ any text */

static void read_string(const char *json, size_t len, const char *path)
{
    char small[8];
    size_t length = SIZE_MAX;
    int rc = kedge_json_string(json, len, path, small, sizeof small, &length, &err);
    char *all;

    if (rc == KEDGE_OK)
        MUST(length < sizeof small && small[length] == '\0');
    else
        told(rc);
    if (rc != KEDGE_ERR_TOO_BIG)
        return;
    MUST(length >= sizeof small && length < len);
    all = malloc(length + 1);
    MUST(all != NULL);
    MUST(kedge_json_string(json, len, path, all, length + 1, &length, &err) == KEDGE_OK);
    MUST(all[length] == '\0');
    free(all);
}

/* What is found is a part of the text, and JSON itself. */
static void find(const char *json, size_t len, const char *path)
{
    struct kedge_bytes raw = { NULL, 0 };
    int64_t number;
    int flag = 2;
    int rc = kedge_json_find(json, len, path, &raw, &err);

    if (rc != KEDGE_OK) {
        told(rc);
        MUST(raw.data == NULL);
        return;
    }
    MUST((const char *)raw.data >= json && raw.len > 0 &&
         (const char *)raw.data + raw.len <= json + len);
    MUST(kedge_json_check(raw.data, raw.len, &err) == KEDGE_OK);
    read_string(json, len, path);
    rc = kedge_json_int64(json, len, path, &number, &err);
    if (rc != KEDGE_OK)
        told(rc);
    rc = kedge_json_bool(json, len, path, &flag, &err);
    MUST(rc == KEDGE_OK ? flag == 0 || flag == 1 : rc == KEDGE_ERR_INVALID && flag == 2);
}

/* ------------------------------------------------------------- a second opinion */

#ifdef HAVE_CJSON

/* cJSON ends strings at U+0000, and cuts numbers of 64 characters and more. */
static int cjson_can(const char *json, size_t len)
{
    size_t digits = 0;

    for (size_t i = 0; i < len; i++) {
        digits = strchr("+-.eE0123456789", json[i]) != NULL ? digits + 1 : 0;
        if (digits >= 63 || json[i] == '\0')
            return 0;
        if (len - i >= 6 && memcmp(json + i, "\\u0000", 6) == 0)
            return 0;
    }
    return 1;
}

/* Room for the paths that are walked; what lies deeper is not compared. */
#    define PATH_MAX_ 512

struct walk {
    const char *json;
    size_t len;
    char path[PATH_MAX_];
    unsigned left; /* values still to be compared: each costs a walk from the beginning */
};

/* Put a name behind the path; answers where it was, or SIZE_MAX: no room. */
static size_t go_down(struct walk *w, const char *name)
{
    size_t was = strlen(w->path);
    size_t n = was;

    if (n + 2 * strlen(name) + 2 > sizeof w->path)
        return SIZE_MAX;
    w->path[n++] = '/';
    for (; *name != '\0'; name++) {
        if (*name == '~' || *name == '/') {
            w->path[n++] = '~';
            w->path[n++] = *name == '~' ? '0' : '1';
        } else {
            w->path[n++] = *name;
        }
    }
    w->path[n] = '\0';
    return was;
}

static void same_string(struct walk *w, const char *theirs)
{
    size_t size = strlen(theirs) + 1;
    char *ours = malloc(size);

    MUST(ours != NULL);
    MUST(kedge_json_string(w->json, w->len, w->path, ours, size, NULL, &err) == KEDGE_OK);
    MUST(strcmp(ours, theirs) == 0);
    free(ours);
}

/* Where a double tells one integer from the next. */
static void same_number(struct walk *w, double theirs)
{
    int64_t ours;
    int rc = kedge_json_int64(w->json, w->len, w->path, &ours, &err);

    if (rc == KEDGE_OK)
        MUST((double)ours >= theirs && (double)ours <= theirs);
    else
        MUST(strstr(err.msg, "fraction") != NULL || fabs(theirs) >= 9223372036854774784.0);
}

static void same(struct walk *w, const cJSON *theirs);

static void same_members(struct walk *w, const cJSON *theirs)
{
    char index[24];
    unsigned n = 0;

    for (const cJSON *m = theirs->child; m != NULL && w->left > 0; m = m->next, n++) {
        size_t was;

        (void)snprintf(index, sizeof index, "%u", n);
        was = go_down(w, cJSON_IsArray(theirs) ? index : m->string);
        if (was == SIZE_MAX)
            continue;
        w->left--;
        /* Of equal names both take the first. */
        same(w, cJSON_IsArray(theirs) ? m : cJSON_GetObjectItemCaseSensitive(theirs, m->string));
        w->path[was] = '\0';
    }
}

static void same(struct walk *w, const cJSON *theirs)
{
    struct kedge_bytes raw;
    int flag = 2;

    MUST(kedge_json_find(w->json, w->len, w->path, &raw, &err) == KEDGE_OK);
    if (cJSON_IsString(theirs))
        same_string(w, theirs->valuestring);
    else if (cJSON_IsNumber(theirs))
        same_number(w, theirs->valuedouble);
    else if (cJSON_IsBool(theirs))
        MUST(kedge_json_bool(w->json, w->len, w->path, &flag, &err) == KEDGE_OK &&
             flag == cJSON_IsTrue(theirs));
    else if (cJSON_IsNull(theirs))
        MUST(raw.len == 4 && memcmp(raw.data, "null", 4) == 0);
    else
        MUST(*(const char *)raw.data == (cJSON_IsArray(theirs) ? '[' : '{'));
    same_members(w, theirs);
}

static void compare(const char *json, size_t len)
{
    struct walk w = { .json = json, .len = len, .left = 64 };
    char *closed = malloc(len + 1);
    cJSON *theirs;

    MUST(closed != NULL);
    memcpy(closed, json, len);
    closed[len] = '\0';
    if (cjson_can(json, len)) {
        theirs = cJSON_Parse(closed);
        MUST(theirs != NULL);
        same(&w, theirs);
        cJSON_Delete(theirs);
    }
    free(closed);
}

#else

static void compare(const char *json, size_t len)
{
    (void)json;
    (void)len;
}

#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
    const char *path = nul != NULL ? (const char *)data : "";
    const char *json = nul != NULL ? (const char *)nul + 1 : (const char *)data;
    size_t len = size - (size_t)(json - (const char *)data);
    int rc = kedge_json_check(json, len, &err);

    find(json, len, path);
    if (rc == KEDGE_OK) {
        find(json, len, "");
        compare(json, len);
    } else {
        told(rc);
    }
    return 0;
}
