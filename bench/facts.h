/* facts.h - what decides a figure: the program, the machine, the store as it tells itself */
#ifndef KEDGE_BENCH_FACTS_H
#define KEDGE_BENCH_FACTS_H

#include <stdbool.h>
#include <stddef.h>

struct fact {
    char *name;
    char *value;
};

#define FACTS_MOST 96
struct facts {
    struct fact v[FACTS_MOST];
    size_t n;
};
void fact_add(struct facts *facts, const char *name, const char *value);
/* "": it is not there. */
const char *fact_of(const struct facts *facts, const char *name);

void facts_of_tool(struct facts *facts);
void facts_of_host(struct facts *facts);

struct store_facts {
    const char *given; /* URL, which may have a password in it */
    char *place;       /* as the store is opened at: the directory of one with files, else NULL */
    char label[64];    /* its backend, with a number if it is not the first of them */
    struct facts all;  /* those of kedge_store_info(), and what is added here */
};
/*
 * Open the store, look, and remove what that took.  A store that cannot be opened ends the program,
 * with the exit status that kedge has for it.  The label is left to the caller.
 */
void facts_of_store(struct store_facts *store);
/* The directory below which the store at URL has its files; NULL: it has none, or elsewhere. */
char *directory_of(const char *url);

/* Warnings: at most so many, each once. */
#define WARNINGS_MOST 32
extern const char *warnings[WARNINGS_MOST];
extern size_t n_warnings;
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
void warn_of(const char *fmt, ...);
/* Of the build and of what was asked for; of the stores, when each is known. */
void warn_of_build(void);
void warn_of_store(const struct store_facts *store);

#endif
