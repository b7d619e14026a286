/*
 * scripts.h - what runs inside the server: a few scripts, each one atomic step
 *
 *   I1  A script touches the keys it was given and no others; all are of one namespace, in one
 *       slot.
 *   I2  A server runs a failing script's writes up to the failure.  So everything of a group is
 *       checked, types too, before its first write.
 *   I3  TIME is asked once per script.  A number of Lua is exact up to 2^53 only: fences and points
 *       in time are handled in two parts, or as bytes.
 */
#ifndef KEDGE_REDIS_SCRIPTS_H
#define KEDGE_REDIS_SCRIPTS_H

struct rd_script {
    const char *name;
    const char *text;
    char digest[41]; /* by which the server knows it; empty: not learned yet */
};

enum rd_script_no {
    RD_SCRIPT_COMMIT,
    RD_SCRIPT_APPEND,
    RD_SCRIPT_LOOK,
    RD_SCRIPT_EXTEND,
    RD_SCRIPT_READ,
    RD_SCRIPT_RING,
    RD_SCRIPT_SEEN,
    RD_SCRIPT_DROP,
    RD_SCRIPT_SWAP,
    RD_SCRIPTS
};

/* With empty digests. */
extern const struct rd_script rd_script_texts[RD_SCRIPTS];

#endif
