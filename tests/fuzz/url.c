/*
 * url.c - fuzz target: store URLs, as the kit reads them, as the library checks them, and as the
 * backends in memory and in LMDB do
 *
 * What is refused is refused in a sentence; what is accepted is the text and nothing else; and no
 * password is ever shown, however odd the rest of the URL is.
 */
#include <config.h>

#include <string.h>

#include <kedge/store.h>

#include "../../backends/kit/url.h"
#ifdef FUZZ_LMDB
#    include "../../backends/lmdb/env.h"
#endif
#include "fuzz.h"

#define SECRET "h2ter-9f3a"

static struct kedge_error err;

static void told(int rc)
{
    MUST(rc < 0 && err.code == rc && err.msg[0] != '\0' && strstr(err.msg, SECRET) == NULL);
}

/* Decodes into BUF, of a size that some parts fit into and some do not. */
static void decode(struct kedge_bytes raw)
{
    char buf[48];
    int rc = kedge_url_decode(raw, "part", buf, sizeof buf, &err);

    if (rc == KEDGE_OK)
        MUST(strlen(buf) < sizeof buf && strlen(buf) <= raw.len);
    else
        told(rc);
}

static void read_query(struct kedge_bytes query)
{
    struct kedge_bytes name;
    struct kedge_bytes value;
    size_t len = query.len;

    while (kedge_url_next(&query, &name, &value)) {
        uint64_t bytes = 7;

        MUST(query.len < len && name.len + value.len <= len - query.len);
        len = query.len;
        /* The message shows the value, which a size may be. */
        if (kedge_url_size(value, "part", &bytes, &err) != KEDGE_OK)
            MUST(err.code == KEDGE_ERR_INVALID && bytes == 7);
        decode(name);
        decode(value);
        (void)kedge_url_is(name, "map_size");
    }
    MUST(query.len == 0);
}

/* The parts, put together again. */
static size_t joined(const struct kedge_url *url)
{
    return url->scheme.len + 1 + (url->has_authority ? 2 + url->authority.len : 0) + url->path.len +
           (url->query.data != NULL ? 1 + url->query.len : 0);
}

static void split(const char *text)
{
    char masked[KEDGE_URL_MASKED_MAX];
    struct kedge_url url;
    int rc;

    memset(masked, 'x', sizeof masked);
    MUST(kedge_url_mask(text, masked) == masked);
    MUST(memchr(masked, '\0', sizeof masked) != NULL && strstr(masked, SECRET) == NULL);
    rc = kedge_url_split(text, &url, &err);
    if (rc != KEDGE_OK) {
        told(rc);
        return;
    }
    MUST(url.scheme.data == text && url.scheme.len == kedge_url_scheme_len(text));
    MUST(joined(&url) == strlen(text));
    decode(url.authority);
    decode(url.path);
    read_query(url.query);
}

/* By the backend in memory: others would look for files. */
static void open_store(const char *text)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_store *store = NULL;
    int rc;

    options.flags = KEDGE_STORE_CREATE;
    options.backend = "mem";
    rc = kedge_store_open(text, &options, &store, &err);
    if (rc != KEDGE_OK) {
        told(rc);
        return;
    }
    MUST(strstr(kedge_store_url(store), SECRET) == NULL);
    kedge_store_close(store);
}

#ifdef FUZZ_LMDB
static void read_params(const char *text)
{
    struct kedge_open open = { .struct_size = sizeof open, .url = text };
    struct lm_params params;
    int rc;

    open.ns = kedge_text("a/b");
    rc = lm_params_parse(&open, &params, &err);
    if (rc != KEDGE_OK) {
        told(rc);
        return;
    }
    MUST(params.map_size >= 1 << 20 && params.dir[0] != '\0');
    free(params.dir);
}
#endif

static void check(const char *text)
{
    split(text);
    open_store(text);
#ifdef FUZZ_LMDB
    read_params(text);
#endif
}

static char *joined_text(const char *a, const char *b, const char *c)
{
    size_t size = strlen(a) + strlen(b) + strlen(c) + 1;
    char *text = malloc(size);

    MUST(text != NULL);
    (void)snprintf(text, size, "%s%s%s", a, b, c);
    return text;
}

static void check_joined(const char *a, const char *b, const char *c)
{
    char *text = joined_text(a, b, c);

    check(text);
    free(text);
}

/* However odd TEXT is: a secret before it, and one behind, in a parameter of its own or in the one
   whose name it ends with. */
static void with_secrets(const char *text)
{
    int query = strchr(text, '?') != NULL;
    const char *amp = strrchr(text, '&');
    const char *last = amp != NULL ? amp : text;

    check_joined("mem://u:" SECRET "@", text, "");
    check_joined("u:" SECRET "@", text, "");
    check_joined("postgresql://h:1,u:" SECRET "%40", text, "");
    check_joined("redis+unix:///x?pass%77ord=" SECRET, text, "");
    check_joined("host=h password = '" SECRET, text, "");
    check_joined(text, query ? "&" : "?", "password=" SECRET);
    check_joined(text, query ? "&x" : "?", "_Key=" SECRET);
    if (query && strchr(last, '=') == NULL)
        check_joined(text, "Token=", SECRET);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    MUST(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (strstr(text, SECRET) == NULL) {
        check(text);
        if (text[0] != '/' && text[0] != '.') /* a path has no parameters */
            with_secrets(text);
    }
    free(text);
    return 0;
}
