/*
 * say.h - a sentence for people, in a buffer that may be too small for it
 *
 * What comes from outside goes in as bytes: a byte that is no printable character, in ASCII or
 * UTF-8, becomes \xNN, so that a terminal shows it and does nothing else.  What does not fit is
 * left out from there on, between two characters, with three dots in its place.
 */
#ifndef KEDGE_SRC_SAY_H
#define KEDGE_SRC_SAY_H

#include <stdbool.h>

#include <kedge/base.h>

struct kedge_say {
    char *to;
    size_t room; /* with the NUL and the dots */
    size_t len;
    bool full;
};

/* SIZE > 4.  The buffer holds a string at any time. */
void kedge_say_begin(struct kedge_say *s, char *to, size_t size);

/* Words of our own. */
void kedge_say(struct kedge_say *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void kedge_say_bytes(struct kedge_say *s, struct kedge_bytes bytes);
/* ": BYTES" as the end of the sentence, without the full stop and the space it may end with;
   nothing if there is nothing else in it. */
void kedge_say_why(struct kedge_say *s, struct kedge_bytes bytes);
/* 2026-11-26T10:00:00.000Z */
void kedge_say_time(struct kedge_say *s, int64_t us);

#endif
