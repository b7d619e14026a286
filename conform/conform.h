/*
 * conform.h - the conformance suite: does a backend keep the storage contract?
 *
 * Every case runs in a process of its own, forked before any store is open, in a namespace of its
 * own; when its time is up, or it ends, whatever it started is killed.  What a case says is told as
 * TAP on standard output, and on demand as JUnit's XML and as a certificate in JSON.
 */
#ifndef KEDGE_CONFORM_H
#define KEDGE_CONFORM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <kedge/error.h>

/* How much of the catalogue: each tier includes the ones before it. */
enum conform_tier { CONFORM_CORE, CONFORM_CONCURRENT, CONFORM_FAULT, CONFORM_FULL };

/* Stable: also what `kedge conform' exits with. */
enum conform_exit {
    CONFORM_CERTIFIED = 0,
    CONFORM_FAILED = 1, /* a case failed, or none could be run */
    CONFORM_USAGE = 2,
    CONFORM_INCONCLUSIVE = 3, /* none failed, but one came to no verdict */
    CONFORM_INTERRUPTED = 130
};

struct conform_options {
    const char *backend;         /* a name, or the path of a module; NULL: the URL says */
    const char *url;             /* {} in it is replaced by the name of a case's namespace */
    const char *server;          /* where its server listens (proxy/address.h), which is said in the
                                    URL by {server}, {host} or {port}; NULL: not known */
    const char *backend_options; /* as in struct kedge_store_options; may be NULL */
    const char *filter;          /* ids, areas or globs, of cases or of catalogue.tsv, separated by
                                    commas; NULL: all */
    const char *opt_out;         /* file of cases to leave out; NULL: none */
    const char *junit;           /* file to write, or NULL */
    const char *cert;            /* likewise */
    const char *clock;           /* the file that the server takes its clock from, or NULL */
    int64_t case_us;             /* how long a case may take; 0: as long as suits */
    const char *in_case;         /* be the process of this case (preload.h); NULL: run the suite */
    uint64_t seed;
    size_t jobs; /* cases at a time; 0: as many as suit */
    enum conform_tier tier;
    bool keep; /* namespaces, called as their cases, were there before, and stay */
};

/* The tier of that name; false: there is none. */
bool conform_tier_of(const char *name, enum conform_tier *tier);
const char *conform_tier_name(enum conform_tier tier);

/*
 * Run what OPTIONS select.  CONFORM_USAGE: nothing was run, ERR says what is wrong with them.
 * Must not be called while a store is open.
 */
enum conform_exit conform_run(const struct conform_options *options, struct kedge_error *err);

/* One line for each case that FILTER (NULL: all) and TIER select: id, tier and what must hold. */
enum conform_exit conform_list(const char *filter, enum conform_tier tier, struct kedge_error *err);
/* What is known of a case, or of an entry of catalogue.tsv. */
enum conform_exit conform_explain(const char *id, struct kedge_error *err);
/*
 * One line for each defect that the suite is tested with: id, backend, "url" or "switch" (how it is
 * chosen), the cases one of which must fail, the promise that is broken, the defect.
 */
enum conform_exit conform_mutants(void);

#endif
