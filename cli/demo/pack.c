/* pack.c - contents: fingerprints and compression, streaming */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <zstd.h>

#include "demo.h"

const char demo_stopped[] = "stopped";

struct pump {
    EVP_MD_CTX *md;
    ZSTD_CCtx *cctx;
    ZSTD_DCtx *dctx;
    unsigned char *in;
    unsigned char *out;
};
#define CHUNK ((size_t)128 * 1024)

static bool pump_open(struct pump *pump, bool pack, bool unpack)
{
    pump->md = EVP_MD_CTX_new();
    pump->cctx = pack ? ZSTD_createCCtx() : NULL;
    pump->dctx = unpack ? ZSTD_createDCtx() : NULL;
    pump->in = malloc(CHUNK);
    pump->out = malloc(CHUNK);
    return pump->md != NULL && (!pack || pump->cctx != NULL) && (!unpack || pump->dctx != NULL) &&
           pump->in != NULL && pump->out != NULL &&
           EVP_DigestInit_ex(pump->md, EVP_sha256(), NULL) == 1;
}

static void pump_close(struct pump *pump)
{
    EVP_MD_CTX_free(pump->md);
    (void)ZSTD_freeCCtx(pump->cctx);
    (void)ZSTD_freeDCtx(pump->dctx);
    free(pump->in);
    free(pump->out);
}

static const char *finish(struct pump *pump, struct demo_digest *digest)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned int n = 0;

    if (EVP_DigestFinal_ex(pump->md, bytes, &n) != 1 || n != 32)
        return "no SHA-256";
    for (unsigned int i = 0; i < n; i++)
        (void)snprintf(digest->hex + (size_t)i * 2, 3, "%02x", (unsigned int)bytes[i]);
    return NULL;
}

static ssize_t read_chunk(int fd, void *buf)
{
    ssize_t n;

    do
        n = read(fd, buf, CHUNK);
    while (n < 0 && errno == EINTR);
    return n;
}

static bool write_all(int fd, const unsigned char *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static const char *compress_chunk(struct pump *pump, size_t len, int out)
{
    ZSTD_inBuffer from = { pump->in, len, 0 };
    const ZSTD_EndDirective how = len == 0 ? ZSTD_e_end : ZSTD_e_continue;
    size_t left;

    do {
        ZSTD_outBuffer to = { pump->out, CHUNK, 0 };

        left = ZSTD_compressStream2(pump->cctx, &to, &from, how);
        if (ZSTD_isError(left) != 0)
            return ZSTD_getErrorName(left);
        if (!write_all(out, pump->out, to.pos))
            return strerror(errno);
    } while (from.pos < from.size || (len == 0 && left != 0));
    return NULL;
}

static const char *pack(struct pump *pump, int in, int out, demo_stop_fn *stop, void *ctx,
                        struct demo_digest *digest)
{
    digest->size = 0;
    for (;;) {
        ssize_t n = read_chunk(in, pump->in);
        const char *wrong = NULL;

        if (n < 0)
            return strerror(errno);
        if (n > 0 && EVP_DigestUpdate(pump->md, pump->in, (size_t)n) != 1)
            return "no SHA-256";
        digest->size += (uint64_t)n;
        if (out >= 0)
            wrong = compress_chunk(pump, (size_t)n, out);
        if (wrong != NULL)
            return wrong;
        if (n == 0)
            return finish(pump, digest);
        if (stop != NULL && stop(ctx))
            return demo_stopped;
    }
}

static const char *unpack(struct pump *pump, int in, struct demo_digest *digest)
{
    size_t left = 1; /* 0: a frame has just ended */

    digest->size = 0;
    for (;;) {
        ssize_t n = read_chunk(in, pump->in);
        ZSTD_inBuffer from = { pump->in, n > 0 ? (size_t)n : 0, 0 };
        bool full = false;

        if (n < 0)
            return strerror(errno);
        if (n == 0)
            return left == 0 ? finish(pump, digest) : "it ends too early";
        while (from.pos < from.size || full) {
            ZSTD_outBuffer to = { pump->out, CHUNK, 0 };

            left = ZSTD_decompressStream(pump->dctx, &to, &from);
            if (ZSTD_isError(left) != 0)
                return ZSTD_getErrorName(left);
            if (EVP_DigestUpdate(pump->md, pump->out, to.pos) != 1)
                return "no SHA-256";
            digest->size += to.pos;
            full = to.pos == to.size && left != 0;
        }
    }
}

const char *demo_pack(int in, int out, demo_stop_fn *stop, void *ctx, struct demo_digest *digest)
{
    struct pump pump;
    const char *wrong = "out of memory";

    if (pump_open(&pump, out >= 0, false))
        wrong = pack(&pump, in, out, stop, ctx, digest);
    pump_close(&pump);
    return wrong;
}

const char *demo_unpack(int in, struct demo_digest *digest)
{
    struct pump pump;
    const char *wrong = "out of memory";

    if (pump_open(&pump, false, true))
        wrong = unpack(&pump, in, digest);
    pump_close(&pump);
    return wrong;
}
