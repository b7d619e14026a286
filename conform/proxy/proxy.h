/*
 * proxy.h - a proxy between a client and a server that does harm at a point which somebody names
 *
 * It runs in a process of its own, so that neither a fork nor a stop of the client's touches it,
 * and is told what to do in lines, each of which is answered by one: PROXY_LINES.
 */
#ifndef KEDGE_CONFORM_PROXY_H
#define KEDGE_CONFORM_PROXY_H

#include <stdint.h>
#include <sys/types.h>

/* Also what `kedge-proxy --help' prints. */
#define PROXY_LINES                                                                                \
    "  pass                 forget all that follows here; what is held back goes on\n"             \
    "  reset | close        end all connections now, with RST or FIN\n"                            \
    "  refuse | accept      new connections are refused by the operating system, or taken again\n" \
    "  hole                 from now on everything is swallowed, also on new connections\n"        \
    "  hold                 ... everything waits for \"go\" or \"pass\"\n"                         \
    "  slice N              at most N bytes at a time; 0: as they come\n"                          \
    "  delay MS             each chunk of bytes is under way for so long\n"                        \
    "  target ADDRESS       new connections go there: a server has taken another's place\n"        \
    "  at EVENT N HARM      once, at the N-th EVENT from now (1: the next)\n"                      \
    "  go                   what is held back goes on\n"                                           \
    "  count                \"count CONNECTIONS REQUESTS UP DOWN FIRED OPEN\"\n"                   \
    "  zero                 these begin at 0 again, except OPEN\n"                                 \
    "  quit\n"                                                                                     \
    "\n"                                                                                           \
    "EVENT is connect; request (a client says something after the server had its say, or at\n"     \
    "first: a round trip begins); reply (the server's first bytes after that); up or down\n"       \
    "(a byte towards the server, or towards the client).\n"                                        \
    "\n"                                                                                           \
    "HARM is reset or close: the connection ends, and what makes the event is not\n"               \
    "forwarded; before a request's first byte that is a lost request, at a reply a lost\n"         \
    "reply.  hole: from there on all of this connection is swallowed in both directions,\n"        \
    "and it stays open.  hold: from there on all of it waits for \"go\" or \"pass\",\n"            \
    "whatever becomes of the client meanwhile.  say TEXT, of a reply: the client gets TEXT\n"      \
    "(with \\r, \\n, \\\\ and \\xHH) and nothing of what the server says until it is asked\n"      \
    "again.\n"                                                                                     \
    "\n"                                                                                           \
    "Answers are \"ok\", the count, or \"error TEXT\".\n"

struct proxy {
    pid_t pid;
    int control;
    int port;          /* where it listens; 0: at a socket in the file system */
    char address[128]; /* the same, as address.h has it */
    char dir[32];      /* made for the socket, and removed by the proxy; "": it has none */
};

struct proxy_counts {
    uint64_t connections;
    uint64_t requests;
    uint64_t up;
    uint64_t down;
    uint64_t fired; /* harms of "at" that came true */
    uint64_t open;
};

/*
 * Start one, which ends with this process.  LISTEN and TARGET are addresses (address.h; port 0 of
 * LISTEN: any that is free).  What fails ends the program with "Bail out!".
 */
void proxy_start(struct proxy *p, const char *listen, const char *target);
/*
 * The same, at a place of its own that is like TARGET: another port of this machine, or another
 * directory with a socket of that name.
 */
void proxy_start_before(struct proxy *p, const char *target);
void proxy_stop(struct proxy *p);
/* One line, which must be answered "ok". */
void proxy_say(struct proxy *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct proxy_counts proxy_count(struct proxy *p);

/* --- the proxy itself --- */

/* A listening socket at ADDRESS, its port in *PORT, where 0 is any; -1 and errno. */
int proxy_listen(const char *address, int *port);
/* Serve FD, which listens at LISTEN, until "quit" or the end of IN; the exit status. */
int proxy_serve(int fd, const char *listen, const char *target, int in, int out);

#endif
