/*
 * client.h - what the tests of a served store have in common: TAP, and a client in few words
 *
 * A check that fails says what came and ends the test: what follows would only repeat it.
 */
#ifndef KEDGE_TESTS_SHARED_CLIENT_H
#define KEDGE_TESTS_SHARED_CLIENT_H

#include <stdbool.h>

#include <kedge/backend.h>
#include <kedge/store.h>

#define PATIENCE INT64_C(20000000)

struct client {
    void *store;
    void *session;
    struct kedge_error err;
};

extern const struct kedge_backend_ops *ops;
extern const struct kedge_host *host;
extern const char *url;

void begin(const char *store_url, int n_tests);
void passed(const char *what);
_Noreturn void failed(int line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define need(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            failed(__LINE__, "expected: %s", #condition);                                          \
    } while (0)
#define need_rc(c, call, want)                                                                     \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
                                                                                                   \
        if (rc_ != (want))                                                                         \
            failed(__LINE__, "%s: expected %s, got %s: %s", #call, kedge_status_name(want),        \
                   kedge_status_name(rc_), rc_ < 0 ? (c)->err.msg : "");                           \
    } while (0)

int64_t mono_us(void);
struct kedge_id128 new_id(void);
/* The verb of tests/support/server.sh, of the server called `store'. */
void server(const char *verb);

int client_try(struct client *c, const char *ns, uint32_t flags);
void client_open(struct client *c, const char *ns, uint32_t flags);
void client_close(struct client *c);
int drop(const char *ns, struct kedge_error *err);

/* One commit that writes cell NAME; EXPECTED is its version now, UINT64_MAX: whatever it is. */
int cell_put(struct client *c, const char *name, uint64_t value, uint64_t expected,
             const struct kedge_id128 *request, int64_t timeout_us);
int cell_get(struct client *c, const char *name, uint64_t *value, uint64_t *version);

#endif
