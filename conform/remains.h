/* remains.h - what must be so after a process has died, whatever it was doing */
#ifndef KEDGE_CONFORM_REMAINS_H
#define KEDGE_CONFORM_REMAINS_H

#include "world.h"

/* Of the leases under which the dead held things. */
#define REMAINS_TTL SEC(7200)

/* Every run is in one place, and verify finds nothing. */
void remains_check(struct world *w);
/* A fresh worker makes a run, claims it, writes a step and finishes; N: different each time. */
void remains_work_goes_on(struct world *w, uint64_t n);
/*
 * The dead worker's lease is buried, each run it held is listed, taken and finished by another, and
 * so is all that is due; nothing is left that is unfinished.
 */
void remains_end(struct world *w, struct kedge_id128 lease);

#endif
