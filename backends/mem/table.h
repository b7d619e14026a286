/*
 * table.h - sorted arrays of objects that never change, and a log to take changes back
 *
 *   I1  An object in a table is not written to: a change puts another one in its place, and the old
 *       one stays readable until the step is over.
 *   I2  Every change goes through mem_replace, which either succeeds and is logged, or fails and
 *       changed nothing.
 */
#ifndef KEDGE_MEM_TABLE_H
#define KEDGE_MEM_TABLE_H

#include <stdbool.h>

#include <kedge/backend.h>

/* First member of everything that is kept. */
struct mem_obj {
    size_t refs;
    void (*destroy)(const struct kedge_host *host, struct mem_obj *obj);
};

struct mem_index {
    int (*cmp)(const void *a, const void *b); /* of two objects */
    bool (*has)(const void *obj);             /* NULL: all of the table */
    struct mem_obj **v;
    size_t n;
    size_t cap;
};

/* Several orders of the same objects; the first has all of them. */
struct mem_table {
    struct mem_index *ix;
    size_t n_ix;
};

struct mem_change {
    struct mem_table *table;
    struct mem_obj *old;
    struct mem_obj *new;
};
struct mem_log {
    const struct kedge_host *host;
    struct mem_change *v;
    size_t n;
    size_t cap;
};

/* SIZE zeroed bytes that begin with a struct mem_obj; the caller's one reference.  NULL: no memory.
 */
void *mem_obj_new(const struct kedge_host *host, size_t size,
                  void (*destroy)(const struct kedge_host *, struct mem_obj *));
void mem_obj_unref(const struct kedge_host *host, void *obj); /* NULL is fine */

/* KEY is an object of the same kind, of which only the members that CMP looks at are filled. */
void *mem_find(const struct mem_index *ix, const void *key);              /* NULL: not there */
size_t mem_seek(const struct mem_index *ix, const void *key, bool after); /* first >= KEY, or > */

/* NEW for OLD; either may be NULL.  The table takes its own reference.  OK or ERR_NOMEM. */
int mem_replace(struct mem_log *log, struct mem_table *table, void *old, void *new);
void mem_log_keep(struct mem_log *log);
void mem_log_undo(struct mem_log *log);
/* Let go of all objects and of the arrays. */
void mem_table_free(const struct kedge_host *host, struct mem_table *table);

#endif
