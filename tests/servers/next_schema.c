/*
 * next_schema.c - a kedge whose PostgreSQL tables are one version ahead of the one beside it
 *
 *	./next_schema URL open | migrate | print
 *
 * opens namespace "default" without changing it, brings it up to date, or prints how one would.
 * Exit status 0, or 1 with the status' name and the sentence.
 *
 * The backend is the library's, but for schema.c: this file stands in for it, with what is there
 * and one step more.  Linked from archives, where the first one to define a name is taken.
 */
#define pg_migrations     present_migrations
#define pg_schema_version present_version
#include "backends/postgresql/schema.c" /* NOLINT(bugprone-suspicious-include): see above */
#undef pg_migrations
#undef pg_schema_version

#include <stdio.h>
#include <string.h>

#include <kedge/store.h>

static const char *const version_next[] = {
    "alter table @.meta add column note text",
    "update @.meta set note='brought up to date'",
};

extern const struct pg_migration pg_migrations[];
extern const uint32_t pg_schema_version;
const struct pg_migration pg_migrations[] = {
    { version_1, sizeof version_1 / sizeof version_1[0] },
    { version_next, sizeof version_next / sizeof version_next[0] },
};
const uint32_t pg_schema_version = sizeof pg_migrations / sizeof pg_migrations[0];
_Static_assert(sizeof present_migrations / sizeof present_migrations[0] == 1,
               "put the version that is new in front of version_next");

static void print(void *ctx, const char *text, uint32_t from, uint32_t to)
{
    (void)ctx;
    (void)from;
    (void)to;
    (void)fputs(text, stdout);
}

int main(int argc, char **argv)
{
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_error err = { 0 };
    struct kedge_store *store = NULL;
    const char *what = argc == 3 ? argv[2] : "";
    int rc;

    if (strcmp(what, "open") != 0)
        options.flags = KEDGE_STORE_MIGRATE;
    if (strcmp(what, "open") == 0 || strcmp(what, "migrate") == 0) {
        rc = kedge_store_open(argv[1], &options, &store, &err);
    } else if (strcmp(what, "print") == 0) {
        rc = kedge_store_script(argv[1], &options, print, NULL, &err);
    } else {
        (void)fputs("usage: next_schema URL open | migrate | print\n", stderr);
        return 2;
    }
    kedge_store_close(store);
    if (rc == KEDGE_OK)
        return 0;
    (void)fprintf(stderr, "%s: %s\n", kedge_status_name(rc), err.msg);
    return 1;
}
