/*
 * preload.h - cases that want a shim in their process
 *
 * A shim is a shared object that must be there before the C library.  So the process of a case that
 * needs one becomes the program again (kedge conform --in-case), with LD_PRELOAD set.
 *
 * KEDGE_SHIM_PATH names the directory that has them, if it is not where they are installed.
 */
#ifndef KEDGE_CONFORM_PRELOAD_H
#define KEDGE_CONFORM_PRELOAD_H

#include "clockfile.h"
#include "iofault.h"
#include "world.h"

#define SHIM_KILL  "kedge-kill.so"  /* iofault.c */
#define SHIM_CLOCK "kedge-clock.so" /* clockshim.c */

/*
 * Become the same program, with the same words and `--in-case SPEC' before them, with SHIM
 * preloaded; returns only if that cannot be.  CLOCK: the clock of this process is to be a file, its
 * own, which begins as real time.
 */
void preload_again(const char *shim, bool clock, const char *spec);

/* Of the shims that are loaded here; NULL: it is not. */
struct iofault_calls {
    void (*use)(struct iofault *f);
    void (*arm)(struct iofault *f, enum iofault_mode mode, uint64_t at, int err);
    void (*disarm)(struct iofault *f);
};
const struct iofault_calls *preload_iofault(void);
struct clock_file *preload_clock(void);

#endif
