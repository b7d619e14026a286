/* population.c - runs that are healthy, and some that are not; see population.h */
#include <config.h>

#include <inttypes.h>
#include <time.h>

#include "population.h"

#define HOUR_US INT64_C(3600000000)
#define SOON_US INT64_C(1000) /* shorter than any store allows: its shortest lease */

void population_build(struct population *p, const char *url, const char *ns, uint64_t n)
{
    static const enum birth births[] = { BORN_HELD, BORN_BOUND, BORN_LATER };
    struct user lapsing;
    int64_t began = now_ns();
    double took;

    subject_open(&p->subject, url, ns);
    user_open(&p->user, &p->subject, HOUR_US);
    for (uint64_t done = 0, batch = 0; done < n; batch++) {
        size_t k = n - done < BATCH_MAX ? (size_t)(n - done) : BATCH_MAX;

        user_create(&p->user, 1000 + done, k, births[batch % 3], NULL);
        done += k;
        die_if_stopped();
    }
    took = (double)(now_ns() - began) / 1e9;
    report_note("%s: %" PRIu64 " healthy runs created in %.1f s, %.0f per second, 256 per call", ns,
                n, took, (double)n / took);
    user_open(&lapsing, &p->subject, SOON_US);
    user_create(&lapsing, 1, EXPIRED_N / 2, BORN_HELD, NULL);
    user_create(&p->user, 100, EXPIRED_N - EXPIRED_N / 2, BORN_OVERDUE, NULL);
    user_close(&lapsing);
}

void population_wait(struct population *p)
{
    const struct timespec pause = { .tv_nsec = 20000000 };
    size_t n = 0;

    for (int64_t began = now_ns(); now_ns() - began < INT64_C(60000000000);) {
        n = user_expired(&p->user);
        if (n >= EXPIRED_N)
            break;
        (void)nanosleep(&pause, NULL);
    }
    if (n != EXPIRED_N)
        die("list_expired shows %zu runs of %d", n, EXPIRED_N);
}

void population_close(struct population *p)
{
    user_close(&p->user);
    subject_close(&p->subject);
}

void population_scans(struct side *side, const struct limit *limit)
{
    struct population *p = side->ctx;
    int64_t t = now_ns();

    for (uint64_t rounds = 0; !limit_reached(limit, rounds, t); rounds++) {
        int64_t began = t;
        size_t n = user_expired(&p->user);

        t = now_ns();
        if (n != EXPIRED_N)
            die("list_expired shows %zu runs of %d", n, EXPIRED_N);
        samples_add(&side->lat, t - began);
        side->ops++;
    }
}
