/* test_cjson.c - strings as we decode them and as cJSON does; prints TAP */
#include <config.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <kedge/value.h>

#include <cJSON.h>

#define STRINGS 20000

static const char *const pieces[] = {
    "a",
    "hello, world",
    "\\n",
    "\\t\\r\\b\\f",
    "\\\"",
    "\\\\",
    "\\/",
    "/",
    "\\u0001",
    "\\u007f",
    "\\u0080",
    "\\u07ff",
    "\\u0800",
    "\\uFFFF",
    "\\ud800\\udc00",
    "\\uDBFF\\uDFFF",
    "\\u00e9",
    "\xc3\xa9",
    "\xe2\x82\xac",
    "\xf0\x9f\x98\x80",
    "~",
    "\\ue000",
};

static uint64_t state = 1;

static uint32_t some(uint32_t n)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

/* One string of random pieces, in quotes. */
static void make(char *json)
{
    char *p = json;

    *p++ = '"';
    for (uint32_t n = some(12); n > 0; n--) {
        const char *piece = pieces[some(sizeof pieces / sizeof *pieces)];
        size_t len = strlen(piece);

        memcpy(p, piece, len);
        p += len;
    }
    *p++ = '"';
    *p = '\0';
}

static int same(const char *json)
{
    char ours[256];
    cJSON *theirs = cJSON_Parse(json);
    int is_same =
        theirs != NULL && cJSON_IsString(theirs) &&
        kedge_json_string(json, strlen(json), "", ours, sizeof ours, NULL, NULL) == KEDGE_OK &&
        strcmp(ours, theirs->valuestring) == 0;

    cJSON_Delete(theirs);
    return is_same;
}

int main(void)
{
    char json[256];

    puts("1..1");
    for (int i = 0; i < STRINGS; i++) {
        make(json);
        if (!same(json)) {
            printf("not ok 1 - decodes strings as cJSON does\n# %s\n", json);
            return 1;
        }
    }
    puts("ok 1 - decodes strings as cJSON does");
    return 0;
}
