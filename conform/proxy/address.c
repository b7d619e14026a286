/* address.c - addresses as text, as sockets want them, and in URLs; see address.h */
#include "address.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

bool address_is_unix(const char *text)
{
    return strncmp(text, "unix:", 5) == 0;
}

/* What stands behind the kind of address. */
static const char *bare(const char *text)
{
    return text + (address_is_unix(text) ? 5 : strncmp(text, "tcp:", 4) == 0 ? 4 : 0);
}

static bool unix_parse(const char *path, struct address *out)
{
    if (path[0] == '\0' || strlen(path) >= sizeof out->is[0].un.sun_path)
        return false;
    out->is[0].un.sun_family = AF_UNIX;
    memcpy(out->is[0].un.sun_path, path, strlen(path) + 1);
    out->is[0].len = sizeof out->is[0].un;
    out->n = 1;
    return true;
}

/* The host of "HOST:PORT", without brackets; NULL: it is not of that form. */
static const char *split(const char *text, char host[256])
{
    const char *colon = strrchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : 0;

    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= 256 || colon[1] == '\0')
        return NULL;
    memcpy(host, text, len);
    host[len] = '\0';
    return colon + 1;
}

bool address_parse(const char *text, struct address *out)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *all = NULL;
    char host[256];
    const char *port;

    memset(out, 0, sizeof *out);
    if (address_is_unix(text))
        return unix_parse(bare(text), out);
    port = split(bare(text), host);
    if (port == NULL || getaddrinfo(host, port, &hints, &all) != 0)
        return false;
    for (const struct addrinfo *a = all; a != NULL && out->n < ADDRESSES_MOST; a = a->ai_next) {
        memcpy(&out->is[out->n].room, a->ai_addr, a->ai_addrlen);
        out->is[out->n++].len = a->ai_addrlen;
    }
    freeaddrinfo(all);
    return out->n > 0;
}

/* ------------------------------------------------------------------- in a URL */

static const char *const places[] = { "{server}", "{host}", "{port}" };

bool address_wanted(const char *url)
{
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strstr(url, places[i]) != NULL)
            return true;
    return false;
}

bool address_fill(char *out, size_t room, const char *url, const char *address)
{
    const char *whole = bare(address);
    const char *cut = strrchr(whole, address_is_unix(address) ? '/' : ':');
    const char *part[3] = { whole, whole, cut != NULL ? cut + 1 : "" };
    int len[3] = { (int)strlen(whole), cut != NULL ? (int)(cut - whole) : 0, (int)strlen(part[2]) };
    size_t used = 0;

    while (*url != '\0') {
        const char *from = url;
        size_t n = 1;

        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
            if (strncmp(url, places[i], strlen(places[i])) == 0) {
                from = part[i];
                n = (size_t)len[i];
                url += strlen(places[i]) - 1;
                break;
            }
        url++;
        if (n >= room - used)
            return false;
        memcpy(out + used, from, n);
        used += n;
    }
    out[used] = '\0';
    return true;
}
