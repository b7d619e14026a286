/* client.h - a worker in a few lines: for programs that look at one thing at a time */
#ifndef KEDGE_TESTS_CLIENT_H
#define KEDGE_TESTS_CLIENT_H

#include "crash.h"

#define CLIENT_NS "client"

struct client {
    const struct kedge_backend_ops *ops;
    const struct kedge_host *host; /* NULL: the default one */
    const char *url;
    void *store;
    void *session;
    struct kedge_id128 lease;
    int64_t timeout_us; /* 0: CRASH_TIMEOUT */
    struct kedge_error err;
};

/* A run held by a client. */
struct client_run {
    const char *name;
    uint64_t incarnation;
    uint64_t fence;
    uint64_t position;
};

int client_open(struct client *c, uint32_t flags);
/* The same, or the child fails. */
void client_must_open(struct client *c, uint32_t flags);
void client_close(struct client *c);
/* Another session of the same store (and lease). */
struct client client_again(const struct client *c);

int client_grant(struct client *c, uint64_t n, int64_t ttl_us);
/* Create it held by the client's lease. */
int client_create(struct client *c, const char *name, struct client_run *run);
/* Append one record of LEN bytes under request N; OK moves run->position. */
int client_append(struct client *c, struct client_run *run, uint64_t n, size_t len);
/* The records of RUN, read and compared; fails the child when they are not 1 .. run->position with
   the requests FIRST, FIRST + 1, ... and their bytes. */
void client_check(struct client *c, const struct client_run *run, uint64_t first);
int client_rest(struct client *c, struct client_run *run, uint64_t n, int64_t expires_us);
/* Create a run that is due now. */
int client_create_due(struct client *c, const char *name, const char *reactor);

/* One commit; answers its outcome, c->err filled from the answer when that is negative. */
int client_send(struct client *c, const struct kedge_commit *commit, struct kedge_answer *answer);
struct kedge_id128 client_request(uint64_t n);
struct kedge_bytes client_data(uint64_t n, size_t len);
int64_t client_timeout(const struct client *c);

/* Fails the child unless RC is WANT; WHAT is for the message. */
void client_expect(const struct client *c, int rc, int want, const char *what);
/* ... and the message holds this word. */
void client_expect_word(const struct client *c, const char *word, const char *what);

#endif
