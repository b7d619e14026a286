/*
 * stray.h - a page of list_expired: held runs that nobody healthy holds, longest first
 *
 * The store finds them in whatever order it likes; here they are judged, put in order and copied
 * out.  A cursor keeps the difference of the two clocks that its list began with, so that all its
 * pages are on one scale of time.
 */
#ifndef KEDGE_KIT_STRAY_H
#define KEDGE_KIT_STRAY_H

#include "rules.h"

struct kit_stray;

struct kit_strays {
    const struct kit_step *step;
    const struct kedge_host *host; /* of what is handed out */
    struct kit_stray *v;
    size_t n;
    size_t cap;
    int64_t offset; /* wall minus lease clock */
    struct kedge_bytes cursor;
};

bool kit_strays_cursor_fits(struct kedge_bytes cursor);
void kit_strays_init(struct kit_strays *s, const struct kit_step *step,
                     const struct kedge_host *host, struct kedge_bytes cursor);
/* LEASE is NULL without a record.  A healthy one is passed over.  RUN stays valid until the page is
   filled.  false: no memory. */
bool kit_strays_add(struct kit_strays *s, const struct kit_run *run, const struct kit_lease *lease);
/* OK or ERR_NOMEM. */
int kit_strays_page(struct kit_strays *s, size_t limit, struct kedge_run_page *page);
void kit_strays_free(struct kit_strays *s);

#endif
