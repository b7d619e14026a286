/*
 * harm.h - a call while harm is done to its connection, and all that must be so then
 *
 *   harm_prepare(&h, op);      things, a picture of them, and a connection in use
 *   ...                        who does harm says here what is to happen
 *   rc = harm_call(&h, us);    the call, which is answered in time, and as is allowed
 *   harm_judge(&h);            what that means, the next call's answer, the same bytes again
 *   ...                        h.done is the picture at the end
 *   harm_over(&h);
 *
 * OK means that it took place, UNAVAILABLE that nothing did, UNKNOWN, which only a write may
 * answer, all or nothing; the next call gets its own answer; sent again the same bytes are answered
 * OK, as the first time, and it has taken place once (stage.h).
 *
 * A server that has got a part of a request may keep others waiting until it gets the rest: what is
 * sent again then may have to wait for that, but gets no wrong answer.
 */
#ifndef KEDGE_CONFORM_HARM_H
#define KEDGE_CONFORM_HARM_H

#include "stage.h"

#define PATIENT     SEC(10)  /* for what should be answered at once */
#define HARM_MARGIN MS(1000) /* of a busy machine */

struct harm {
    struct world *direct;  /* which nothing happens to */
    struct world *through; /* whose connection is harmed */
    int tries;             /* until what is sent again must be answered */
    void (*let_go)(void);  /* or NULL: what is held goes on, when it keeps others waiting */
    struct stage stage;
    const struct stage_op *op;
    const char *what; /* is done, for messages */
    struct picture before, after, done;
    int rc;
    int answers[3]; /* OK, UNAVAILABLE, UNKNOWN */
    int64_t slowest;
};

/* Both worlds are open on one namespace; the lease of all stages is made. */
void harm_begin(struct harm *h, struct world *direct, struct world *through, int tries);
void harm_prepare(struct harm *h, const struct stage_op *op);
/* ... up to the picture: THROUGH has not been used. */
void harm_prepare_things(struct harm *h, const struct stage_op *op);
int harm_call(struct harm *h, int64_t patience);
/* The next call of THROUGH, which must get its own answer. */
void harm_next(struct harm *h, const char *when);
/* The same bytes, until they are answered; they must be soon. */
void harm_resend(struct harm *h);
void harm_judge(struct harm *h);
void harm_over(struct harm *h);
/* What was answered, in a line. */
void harm_note(const struct harm *h, int points);

#endif
