/*
 * params.h - what a redis URL and a namespace say
 *
 *	redis://user:password@host:port,host:port/db?wait=N&allow_eviction=1
 *	redis+unix://user:password@/path/to/socket?db=N
 *
 * Several hosts are one server and those that may take its place: the first that can be written to
 * is used.  A namespace is one hash tag, so that all its keys are in one slot of a cluster.
 */
#ifndef KEDGE_REDIS_PARAMS_H
#define KEDGE_REDIS_PARAMS_H

#include <stdbool.h>

#include "../kit/url.h"

#define RD_HOSTS_MAX 8u
#define RD_HOST_SIZE 256u

struct rd_host {
    char name[RD_HOST_SIZE];
    char port[8];
};

struct rd_params {
    struct rd_host hosts[RD_HOSTS_MAX];
    size_t n_hosts; /* 0: `socket' */
    char socket[108];
    char *user;     /* NULL: none */
    char *password; /* NULL: none */
    unsigned db;
    unsigned wait; /* replicas that must have a write before it is done */
    bool allow_eviction;
    char *tag;    /* the namespace, in characters that mean nothing to anybody */
    char *prefix; /* what each key begins with: kedge:{tag}: */
    char place[KEDGE_URL_MASKED_MAX + 8]; /* the URL as it may be shown */
};

/* OK, ERR_INVALID, ERR_TOO_BIG, ERR_NOMEM.  A failed one leaves nothing to free. */
int rd_params_parse(const struct kedge_open *open, struct rd_params *out, struct kedge_error *err);
void rd_params_free(struct rd_params *params);

#endif
