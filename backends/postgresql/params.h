/* params.h - where a store is: what a URL, a namespace and options say */
#ifndef KEDGE_PG_PARAMS_H
#define KEDGE_PG_PARAMS_H

#include <stdatomic.h>
#include <stdbool.h>

#include <kedge/backend.h>

#define PG_SCHEMA_MAX 64
#define PG_QUOTED_MAX (PG_SCHEMA_MAX + 2)
#define PG_PLACE_MAX  256

struct pg_place {
    char *conninfo; /* as libpq takes it: a URI or a list of settings */
    /* Lists with commas, as libpq has them; NULL: not said.  n_hosts counts the first there is. */
    char *hosts;
    char *addresses;
    char *ports;
    unsigned n_hosts;
    atomic_uint host;           /* the one that answered a new connection last */
    atomic_uint silences;       /* counts answers that did not come in time */
    char *secrets[4];           /* never to be shown; NULL: no more */
    char shown[PG_PLACE_MAX];   /* for people: host, port, database; no password */
    char schema[PG_SCHEMA_MAX]; /* plain */
    char quoted[PG_QUOTED_MAX]; /* as it stands in a statement */
    char where[PG_PLACE_MAX + PG_SCHEMA_MAX + 16]; /* the namespace, for people */
    char grantee[PG_QUOTED_MAX]; /* quoted: who may use what is set up; empty: nobody else */
    void *ns_copy;
    struct kedge_bytes ns; /* a copy */
    bool pooler;           /* said by an option: do not even try to find out */
};

/* From URL, namespace and options (schema, grant, pooler). */
int pg_place_init(struct pg_place *place, const struct kedge_open *open, struct kedge_error *err);
void pg_place_fini(struct pg_place *place);
/* Item I of LIST, in BUF.  NULL: there is none, or it is the only one. */
const char *pg_place_item(const char *list, unsigned i, char *buf, size_t size);
/* TEXT of libpq or the server, one line, without secrets, into BUF. */
const char *pg_place_mask(const struct pg_place *place, const char *text, char *buf, size_t size);

#endif
