/*
 * testing.h - what kedge_test_enumerate() needs of stores for tests, beyond the public header
 */
#ifndef KEDGE_SRC_TESTING_H
#define KEDGE_SRC_TESTING_H

#include <kedge/testing.h>

/*
 * Be told of each writing call of a doomed handle, up to the one it dies at: in the thread that
 * makes it, before it reaches the store.  Said before anything uses the handle.  Such a handle
 * hears no news of others, which come at any time: what is done through it depends on nothing but
 * what was done before.  ERR_NOMEM.
 */
typedef void kedge_testing_watch_fn(void *ctx, uint64_t call);
int kedge_testing_watch(struct kedge_store *doomed, kedge_testing_watch_fn *watch, void *ctx);

/* Let a doomed handle die here and now. */
void kedge_testing_die(struct kedge_store *doomed);

/* Where the log of all handles with a manual clock goes.  Before the first of them is open. */
typedef void kedge_testing_log_fn(void *ctx, int level, const char *text);
void kedge_testing_log(struct kedge_testing *testing, kedge_testing_log_fn *log, void *ctx);

#endif
