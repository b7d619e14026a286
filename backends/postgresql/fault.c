/*
 * fault.c - what an error of the server or of libpq means here
 *
 * An error in a statement takes its transaction back: nothing has happened, and the status says
 * so.  A connection that ends in the middle of a write is another matter (conn.c).
 */
#include <config.h>

#include <string.h>

#include "conn.h"
#include "fault.h"

#include "../kit/mutant.h"

struct meaning {
    const char *state; /* SQLSTATE, or its class of two characters */
    int code;
    enum pg_retry retry;
    const char *advice;
};

/* The first that fits. */
static const struct meaning meanings[] = {
    { "40001", KEDGE_ERR_UNAVAILABLE, PG_RETRY_HERE, "others were in the way; try again" },
    { "40P01", KEDGE_ERR_UNAVAILABLE, PG_RETRY_HERE, "others were in the way; try again" },
    { "26000", KEDGE_ERR_UNAVAILABLE, PG_RETRY_ANEW,
      "prepared statements vanish: is there a pooler of transactions in between? Open the store "
      "with the option pooler=yes" },
    { "42P05", KEDGE_ERR_UNAVAILABLE, PG_RETRY_ANEW,
      "prepared statements are another's: is there a pooler of transactions in between? Open the "
      "store with the option pooler=yes" },
    { "0A000", KEDGE_ERR_UNAVAILABLE, PG_RETRY_ANEW, "the tables were changed; try again" },
    { "XX000", KEDGE_ERR_UNAVAILABLE, PG_RETRY_ANEW, "the server failed; see its log" },
    { "25006", KEDGE_ERR_UNAVAILABLE, PG_RETRY_ANEW,
      "this server is a standby or read-only; name the one that takes writes" },
    { "55P03", KEDGE_ERR_UNAVAILABLE, PG_RETRY_NOT, "somebody holds a lock on it; try again" },
    { "57014", KEDGE_ERR_UNAVAILABLE, PG_RETRY_NOT, "the server cancelled it; try again" },
    { "57P01", KEDGE_ERR_UNAVAILABLE, PG_RETRY_ANEW, "the server is going down; try again" },
    { "57P02", KEDGE_ERR_UNAVAILABLE, PG_RETRY_ANEW, "the server crashed; try again" },
    { "57P03", KEDGE_ERR_UNAVAILABLE, PG_RETRY_ANEW, "the server is starting; try again" },
    { "53100", KEDGE_ERR_FULL, PG_RETRY_NOT, "the server's disk is full; make room on it" },
    { "53200", KEDGE_ERR_UNAVAILABLE, PG_RETRY_NOT, "the server is out of memory" },
    { "53300", KEDGE_ERR_UNAVAILABLE, PG_RETRY_NOT,
      "the server has no connection left: raise its max_connections or let fewer in" },
    { "53", KEDGE_ERR_UNAVAILABLE, PG_RETRY_NOT, "the server lacks resources" },
    { "54000", KEDGE_ERR_TOO_BIG, PG_RETRY_NOT, "the server does not take values of this size" },
    { "42501", KEDGE_ERR_PERMISSION, PG_RETRY_NOT,
      "this role may not do that; see the grants in the documentation" },
    { "28", KEDGE_ERR_PERMISSION, PG_RETRY_NOT, "check role and password" },
    { "3D000", KEDGE_ERR_UNAVAILABLE, PG_RETRY_NOT, "create the database first" },
    { "42P01", KEDGE_ERR_SCHEMA_MISSING, PG_RETRY_NOT, "the namespace was dropped meanwhile" },
    { "42883", KEDGE_ERR_SCHEMA_MISSING, PG_RETRY_NOT, "the namespace was dropped meanwhile" },
    { "42704", KEDGE_ERR_SCHEMA_MISSING, PG_RETRY_NOT, "the namespace was dropped meanwhile" },
    { "3F000", KEDGE_ERR_SCHEMA_MISSING, PG_RETRY_NOT, "the namespace was dropped meanwhile" },
    { "XX001", KEDGE_ERR_CORRUPT, PG_RETRY_NOT, "a page of the server is damaged" },
    { "XX002", KEDGE_ERR_CORRUPT, PG_RETRY_NOT, "an index of the server is damaged: reindex" },
    { "08", KEDGE_ERR_UNAVAILABLE, PG_RETRY_ANEW, "try again" },
    { "", KEDGE_ERR_UNAVAILABLE, PG_RETRY_NOT, "see the server's log" },
};

static const struct meaning *meaning_of(const char *state)
{
    const struct meaning *m = meanings;

    while (strncmp(state != NULL ? state : "", m->state, strlen(m->state)) != 0)
        m++;
    return m;
}

int pg_fault(struct pg_conn *c, const PGresult *fault, struct kedge_error *err)
{
    const char *state = PQresultErrorField(fault, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(fault, PG_DIAG_MESSAGE_PRIMARY);
    const struct meaning *m = meaning_of(state);
    char shown[200];

    pg_place_mask(c->place, text != NULL ? text : "an error without a message", shown,
                  sizeof shown);
    return kedge_error_set(err, m->code, 0, "%s: %s (%s); %s", c->place->shown, shown,
                           state != NULL ? state : "no state", m->advice);
}

enum pg_retry pg_fault_retry(const PGresult *fault)
{
    enum pg_retry retry = fault == NULL
                              ? PG_RETRY_NOT
                              : meaning_of(PQresultErrorField(fault, PG_DIAG_SQLSTATE))->retry;

    return KIT_MUTANT("p09", retry == PG_RETRY_HERE ? PG_RETRY_NOT : retry, retry);
}

bool pg_fault_is_there(const PGresult *fault)
{
    const char *state = PQresultErrorField(fault, PG_DIAG_SQLSTATE);

    return state != NULL && strcmp(state, "23505") == 0;
}

bool pg_fault_is_final(const PGresult *fault)
{
    const char *severity = PQresultErrorField(fault, PG_DIAG_SEVERITY_NONLOCALIZED);

    return pg_fault_retry(fault) == PG_RETRY_ANEW ||
           (severity != NULL && strcmp(severity, "ERROR") != 0);
}

/* libpq hands out no SQLSTATE here, only a text, in the server's language: what is not recognised
   may be over soon. */
int pg_fault_connect(const PGconn *pg)
{
    static const char *const refusals[] = { "authentication failed", "pg_hba.conf",
                                            "is not permitted to log in", "permission denied" };
    const char *text = pg == NULL ? "" : PQerrorMessage(pg);

    if (pg != NULL && PQconnectionNeedsPassword(pg))
        return KEDGE_ERR_PERMISSION;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (strstr(text, refusals[i]) != NULL)
            return KEDGE_ERR_PERMISSION;
    return KEDGE_ERR_UNAVAILABLE;
}
