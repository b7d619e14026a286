/*
 * address.h - where a server listens, and how a URL says so
 *
 * An address is "HOST:PORT" or "unix:PATH"; HOST is a name, a number, or an IPv6 one in brackets.
 * "tcp:" before the first kind is passed over.
 */
#ifndef KEDGE_CONFORM_ADDRESS_H
#define KEDGE_CONFORM_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ADDRESSES_MOST 8

/* All that a name means, in the order in which they are to be tried. */
struct address {
    struct {
        union {
            struct sockaddr any;
            struct sockaddr_un un;
            struct sockaddr_storage room;
        };
        socklen_t len;
    } is[ADDRESSES_MOST];
    size_t n;
};

/* false: it is none, or there is no such host. */
bool address_parse(const char *text, struct address *out);
/* "unix:" and then a path? */
bool address_is_unix(const char *text);
/*
 * URL with these replaced, each time: {server} by the address as a whole (a path for unix:), {host}
 * by the host, or the directory of the socket, {port} by the port, or the socket's own name.
 * false: there is no room.
 */
bool address_fill(char *out, size_t room, const char *url, const char *address);
/* Has it one of these? */
bool address_wanted(const char *url);

#endif
