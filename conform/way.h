/*
 * way.h - the way to the server of the store, for cases that do harm on it
 *
 * `kedge conform --server ADDRESS URL': the server listens at ADDRESS, and the URL has {server},
 * {host} or {port} where that is said.  A case that does harm opens the same store once more, with
 * a proxy's address there.
 */
#ifndef KEDGE_CONFORM_WAY_H
#define KEDGE_CONFORM_WAY_H

#include "proxy/proxy.h"
#include "world.h"

struct way {
    struct proxy proxy;
    struct world through; /* W's store and namespace, by the proxy */
};

/* Where it is, before any case is run.  URL has the places in it, and is not copied. */
void way_is(const char *server, const char *url);
bool way_known(void);
void way_open(struct way *y, const struct world *w, uint64_t salt);
void way_close(struct way *y);
/* The URL through P, of W's namespace. */
void way_url(const struct proxy *p, const struct world *w, char url[1024]);
/* P stands before the server. */
void way_begin(struct proxy *p);

#endif
