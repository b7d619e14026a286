/* mutants.h - defects that the suite is tested with, and which cases must notice them */
#ifndef KEDGE_CONFORM_MUTANTS_H
#define KEDGE_CONFORM_MUTANTS_H

struct conform_mutant {
    const char *id;
    const char *how;  /* "url": of the wrapper `mutant'; "switch": inside the backend */
    const char *over; /* the backend */
    const char *cases;
    const char *promise; /* NULL, and so the next: see mutant_main() */
    const char *defect;
};

/* Closed by one without an id. */
const struct conform_mutant *mutants(void);
/* The line that says what M breaks: of a defect over another backend it is the first. */
const struct conform_mutant *mutant_main(const struct conform_mutant *m);
/* Is CASE named for M? */
int mutant_is_for(const struct conform_mutant *m, const char *id);

#endif
