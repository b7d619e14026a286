/* way.c - a proxy before the server, and the store through it; see way.h */
#include "way.h"

#include "proxy/address.h"

static const char *the_server;
static const char *the_url;

void way_is(const char *server, const char *url)
{
    the_server = server;
    the_url = url;
}

bool way_known(void)
{
    return the_server != NULL;
}

void way_begin(struct proxy *p)
{
    proxy_start_before(p, the_server);
}

void way_url(const struct proxy *p, const struct world *w, char url[1024])
{
    char place[1024];

    expect(address_fill(place, sizeof place, the_url, p->address));
    expect(world_url(url, 1024, place, w->ns));
}

void way_open(struct way *y, const struct world *w, uint64_t salt)
{
    struct world like = *w;

    context("opening the store through a proxy");
    way_begin(&y->proxy);
    way_url(&y->proxy, w, like.url);
    world_process_enter(&like, &y->through, salt);
    y->through.open.url = y->through.url;
    context(NULL);
}

void way_close(struct way *y)
{
    world_close_own(&y->through);
    proxy_stop(&y->proxy);
}
