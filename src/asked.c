/* asked.c - what was asked of a run that is held here */
#include <config.h>

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "worker.h"

#define AGAIN_US INT64_C(200000)

struct kedge_bytes kedge_request_cell(char to[KEDGE_REQUEST_CELL_ROOM], uint64_t incarnation,
                                      uint32_t bit)
{
    (void)snprintf(to, KEDGE_REQUEST_CELL_ROOM, "kedge.request.%016llx.%s",
                   (unsigned long long)incarnation,
                   bit == KEDGE_REQUEST_CANCEL ? "cancel" : "pause");
    return kedge_text(to);
}

void kedge_asked_note(struct kedge_worker *w, struct kedge_inflight *run, uint32_t bits)
{
    bits &= ~(run->clear | run->item.clear);
    if (bits == 0 || run->gone)
        return;
    run->requests |= bits;
    if (run->asked)
        return;
    run->asked = true;
    run->refs++;
    run->asked_next = w->asked;
    w->asked = run;
}

void kedge_request_in_cell(struct kedge_bytes value, uint32_t bit, struct kedge_rec *rec)
{
    if (value.len > 0 && kedge_record_decode(value, rec, NULL) == KEDGE_OK &&
        rec->kind == KEDGE_RECORD_REQUEST)
        return;
    *rec = (struct kedge_rec){ .kind = KEDGE_RECORD_REQUEST,
                               .step = KEDGE_NO_STEP,
                               .number = bit == KEDGE_REQUEST_CANCEL ? KEDGE_VERB_CANCEL
                                                                     : KEDGE_VERB_PAUSE };
}

static int read_cell(struct kedge_worker *w, const struct kedge_inflight *run, uint32_t bit,
                     struct kedge_cell *cell, struct kedge_rec *rec)
{
    char name[KEDGE_REQUEST_CELL_ROOM];
    int rc = w->ops->cell_get(w->driver_session, kedge_request_cell(name, run->incarnation, bit),
                              cell, w->options.timeout_us, NULL);

    if (rc < 0)
        return rc;
    kedge_request_in_cell(rc == KEDGE_OK ? cell->value : (struct kedge_bytes){ NULL, 0 }, bit, rec);
    return KEDGE_OK;
}

static void take_up(struct kedge_worker *w, struct kedge_inflight *run, uint32_t bit)
{
    struct kedge_cell cell = { 0 }; /* version 0 when there is none */
    struct kedge_out *out = NULL;
    struct kedge_rec rec;
    int rc = KEDGE_OK;

    (void)pthread_mutex_unlock(&w->lock);
    rc = read_cell(w, run, bit, &cell, &rec);
    (void)pthread_mutex_lock(&w->lock);
    if (rc == KEDGE_OK)
        out = kedge_out_new(w, run, &rec);
    kedge_mem_free(w->host, cell.mem);
    if (out == NULL || run->gone) {
        kedge_out_free(w, out);
        kedge_inflight_timer(w, run, kedge_worker_now(w) + AGAIN_US);
        return;
    }
    run->requests &= ~bit;
    run->clear |= bit;
    run->cells[bit == KEDGE_REQUEST_CANCEL ? 0 : 1] = cell.version;
    *run->waiting_end = out;
    run->waiting_end = &out->next;
    kedge_inflight_dirty(w, run);
}

void kedge_asked_take_up(struct kedge_worker *w)
{
    struct kedge_inflight *run;

    while ((run = w->asked) != NULL) {
        w->asked = run->asked_next;
        run->asked = false;
        if (!run->gone && (run->requests & KEDGE_REQUEST_CANCEL) != 0)
            take_up(w, run, KEDGE_REQUEST_CANCEL);
        if (!run->gone && (run->requests & KEDGE_REQUEST_PAUSE) != 0)
            take_up(w, run, KEDGE_REQUEST_PAUSE);
        kedge_inflight_unref(w, run);
    }
}
