/*
 * serve.h - one connection to kedge-refd: its store, its session, its operations
 *
 * Each connection has a thread, which does one operation after the other.  It holds a namespace
 * open from OPEN to CLOSE or to its end, whichever way that comes: a process that is killed lets go
 * of what it had open as soon as the system has closed its sockets.  Connections of one token hold
 * one handle together, as the sessions of one store do.
 */
#ifndef KEDGE_CONFORM_REFD_SERVE_H
#define KEDGE_CONFORM_REFD_SERVE_H

#include <pthread.h>
#include <stdatomic.h>

#include <kedge/backend.h>

/* A handle, and how many connections have it. */
struct held {
    struct held *next;
    uint64_t token;
    size_t connections;
    void *store;
    struct kedge_bytes ns; /* behind this structure */
};

/* What is served, to all connections. */
struct refd {
    const struct kedge_backend_ops *ops;
    struct kedge_host host;
    const char *url;
    const char *options;  /* for opening it; NULL: none */
    pthread_mutex_t lock; /* for these two */
    struct held *held;
    uint64_t last_token;  /* no server had those after it */
    atomic_bool stopping; /* those who wait for work are to end */
};

/* Until the peer is gone, or has sent what is no frame, or is shut down.  NUMBER is for messages.
 */
void refd_serve(struct refd *r, int fd, unsigned long number);

/* "kedge-refd: " and a line, on standard error. */
void refd_say(const char *fmt, ...) KEDGE_PRINTF(1, 2);

#endif
