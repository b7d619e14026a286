/*
 * made.h - what was made in stores for a measurement, and is to be removed whatever happens
 *
 * A list of namespaces and of bare clients' places, in memory that is shared with children: so a
 * process that outlives the one that measures can remove what is left.  Names are never used again.
 */
#ifndef KEDGE_BENCH_MADE_H
#define KEDGE_BENCH_MADE_H

#include <stdbool.h>
#include <stddef.h>

#define NS_BYTES 64

/* The list belongs to this process and to the children it has from now on. */
void made_begin(void);
/* A name after NAME that nobody else has, in any store. */
void made_name(char *to, size_t size, const char *name);
/* A namespace called after NAME that nobody else has, in the store at opt.store. */
void made_namespace(char ns[NS_BYTES], const char *name);
/* A bare client's place there; and that it has been closed, and is gone. */
void made_place(const char *place);
void made_closed(const char *place);
/* A directory with all that is in it; it is gone with made_closed(), too. */
void made_files(const char *path);
/* One that is to go if it is empty; said before anything is put there. */
void made_directory(const char *path);
/* Remove namespaces that nobody has open. */
void made_drop(void);
/* Remove all that is left, wherever it is; nobody has any of it open.  False: something stays. */
bool made_remove(void);

#endif
