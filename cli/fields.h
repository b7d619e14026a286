/*
 * fields.h - what the commands print, member by member
 *
 * X(id, key, column or NULL, type, meaning).  A key is stable across releases; members may be
 * added.
 */
#ifndef KEDGE_CLI_FIELDS_H
#define KEDGE_CLI_FIELDS_H

#include "cli.h"

#define CLI_RUN_FIELDS(X)                                                                          \
    X(RUN_ID, "id", "ID", CLI_TEXT, "its id")                                                      \
    X(RUN_REACTOR, "reactor", "REACTOR", CLI_TEXT, "what it is a run of")                          \
    X(RUN_VERSION, "version", NULL, CLI_SMALL, "of the reactor")                                   \
    X(RUN_STATUS, "status", "STATUS", CLI_WORD, "pending, running, ..., aborted")                  \
    X(RUN_PLACE, "place", "PLACE", CLI_WORD, "due, held, parked or at rest")                       \
    X(RUN_QUEUE, "queue", "QUEUE", CLI_TEXT, "its queue")                                          \
    X(RUN_RECORDS, "records", "RECORDS", CLI_NUMBER, "records in its journal")                     \
    X(RUN_CREATED, "created", "CREATED", CLI_TIME, "when it was started")                          \
    X(RUN_DUE, "due", NULL, CLI_TIME, "when it is to go on")                                       \
    X(RUN_FINISHED, "finished", NULL, CLI_TIME, "when it came to rest")                            \
    X(RUN_EXPIRES, "expires", NULL, CLI_TIME, "when it will be removed")                           \
    X(RUN_RECOVERIES, "recoveries", NULL, CLI_SMALL,                                               \
      "deaths of its workers since the last record")                                               \
    X(RUN_REQUESTS, "requests", NULL, CLI_SMALL, "bits of what its worker has yet to take up")     \
    X(RUN_HOLDER, "holder", NULL, CLI_WORD, "id of the worker that holds it")                      \
    X(RUN_FENCE, "fence", NULL, CLI_NUMBER, "of its last holder")                                  \
    X(RUN_INCARNATION, "incarnation", NULL, CLI_NUMBER, "tells runs of the same id apart")         \
    X(RUN_CONTEXT, "context", NULL, CLI_TEXT, "what was handed to its steps")                      \
    X(RUN_PARENT, "parent", NULL, CLI_TEXT, "the run it was started for or after")                 \
    X(RUN_RESULT, "result", NULL, CLI_RAW, "of a completed run (show only)")                       \
    X(RUN_ERROR, "error", NULL, CLI_TEXT, "why it ended so (show only)")                           \
    X(RUN_ERROR_STEP, "error_step", NULL, CLI_TEXT, "whose error that is (show only)")             \
    X(RUN_STEPS, "steps", NULL, CLI_LIST,                                                          \
      "of a reactor that is known (show only): name, after, state, in_doubt, failures, time, "     \
      "next, bytes, value, error")

#define CLI_STEP_FIELDS(X)                                                                         \
    X(STEP_NAME, "name", "STEP", CLI_TEXT, "its name")                                             \
    X(STEP_AFTER, "after", "AFTER", CLI_LIST, "names of the steps it comes after")                 \
    X(STEP_STATE, "state", "STATE", CLI_WORD, "waiting, ready, ..., left")                         \
    X(STEP_DOUBT, "in_doubt", NULL, CLI_BOOL, "it may have taken effect without a record")         \
    X(STEP_FAILURES, "failures", "FAILURES", CLI_SMALL, "attempts that failed")                    \
    X(STEP_TIME, "time", "TIME", CLI_TIME, "of its last record")                                   \
    X(STEP_NEXT, "next", "NEXT", CLI_TIME, "when it goes on")                                      \
    X(STEP_BYTES, "bytes", "VALUE", CLI_NUMBER, "of its value")                                    \
    X(STEP_VALUE, "value", NULL, CLI_RAW, "what it answered")                                      \
    X(STEP_ERROR, "error", "ERROR", CLI_TEXT, "of its last failure, or the reason")

#define CLI_ENTRY_FIELDS(X)                                                                        \
    X(ENTRY_NUMBER, "number", "RECORD", CLI_NUMBER, "1, 2, 3, ...")                                \
    X(ENTRY_TIME, "time", "TIME", CLI_TIME, "of its commit, by the store's clock")                 \
    X(ENTRY_KIND, "kind", "KIND", CLI_WORD, "begin, done, failed, ..., end")                       \
    X(ENTRY_STEP, "step", "STEP", CLI_TEXT, "which step it is about")                              \
    X(ENTRY_ACTION, "action", NULL, CLI_WORD, "run, compensate or undo, of a delayed one")         \
    X(ENTRY_BYTES, "bytes", "BYTES", CLI_NUMBER, "as it is stored")                                \
    X(ENTRY_WRITER, "writer", "WRITER", CLI_TEXT, "who wrote it: label, host, pid, start time")    \
    X(ENTRY_WRITER_ID, "writer_id", NULL, CLI_WORD, "tells writers apart")                         \
    X(ENTRY_FAILURES, "failures", NULL, CLI_SMALL, "attempts that failed so far")                  \
    X(ENTRY_TIMED_OUT, "timed_out", NULL, CLI_BOOL, "its time was over; it may yet take effect")   \
    X(ENTRY_NEXT, "next", NULL, CLI_TIME, "when the step goes on; of begin: the deadline")         \
    X(ENTRY_COUNT, "count", NULL, CLI_NUMBER, "of a crash loop: recoveries")                       \
    X(ENTRY_STATUS, "status", NULL, CLI_WORD, "of an end: how the run ended")                      \
    X(ENTRY_VERB, "verb", NULL, CLI_WORD, "of a request: what was asked")                          \
    X(ENTRY_WHO, "who", NULL, CLI_TEXT, "of a request: who asked")                                 \
    X(ENTRY_VALUE, "value", NULL, CLI_RAW, "input or result (--values)")                           \
    X(ENTRY_TEXT, "text", "TEXT", CLI_TEXT, "error, reason, or what else there is to say")

#define CLI_CAUSE_FIELDS(X)                                                                        \
    X(CAUSE_KIND, "cause", "CAUSE", CLI_WORD, "ended, paused, held, ..., queue-paused")            \
    X(CAUSE_AT, "at", NULL, CLI_TIME, "since when, or when, as the cause says")                    \
    X(CAUSE_STEP, "step", NULL, CLI_TEXT, "which step")                                            \
    X(CAUSE_WORKER, "worker", NULL, CLI_TEXT, "which worker")                                      \
    X(CAUSE_WHO, "who", NULL, CLI_TEXT, "who asked for it")                                        \
    X(CAUSE_TEXT, "text", NULL, CLI_TEXT, "error, reason or versions")                             \
    X(CAUSE_COUNT, "count", NULL, CLI_NUMBER, "workers that serve it")                             \
    X(CAUSE_SENTENCE, "sentence", "WHY", CLI_TEXT, "all of that in English")

#define CLI_DONE_FIELDS(X)                                                                         \
    X(DONE_ID, "id", "ID", CLI_TEXT, "the run")                                                    \
    X(DONE_OUTCOME, "outcome", "OUTCOME", CLI_WORD,                                                \
      "done, pending (its worker takes it up), already, refused, failed, would (--dry-run)")       \
    X(DONE_STATUS, "status", "STATUS", CLI_WORD, "of the run right after it")                      \
    X(DONE_PLACE, "place", "PLACE", CLI_WORD, "likewise")                                          \
    X(DONE_NEW_ID, "new_id", NULL, CLI_TEXT, "of retry-new: the new run")                          \
    X(DONE_MESSAGE, "message", "MESSAGE", CLI_TEXT, "why it was refused, or failed")

#define CLI_SWEPT_FIELDS(X)                                                                        \
    X(SWEPT_WORKERS, "workers", NULL, CLI_NUMBER, "that were not known to be dead")                \
    X(SWEPT_BURIED, "buried", NULL, CLI_NUMBER, "of these, declared dead")                         \
    X(SWEPT_SPARED, "spared", NULL, CLI_NUMBER, "look dead, and may not be declared so yet")       \
    X(SWEPT_RECOVERED, "recovered", NULL, CLI_NUMBER, "runs of the dead that were made due")       \
    X(SWEPT_STUCK, "stuck", NULL, CLI_NUMBER,                                                      \
      "runs given up, as worker after worker died of them")                                        \
    X(SWEPT_RUNS, "runs_removed", NULL, CLI_NUMBER, "as their time was over")                      \
    X(SWEPT_ROWS, "rows_removed", NULL, CLI_NUMBER, "all else that was removed")

#define CLI_WORKER_FIELDS(X)                                                                       \
    X(WORKER_ID, "id", "ID", CLI_WORD, "of its lease")                                             \
    X(WORKER_OWNER, "worker", "WORKER", CLI_TEXT, "label, host, pid, start time")                  \
    X(WORKER_STATE, "state", "STATE", CLI_WORD, "alive, gone, lapsed or dead")                     \
    X(WORKER_RUNS, "runs", "RUNS", CLI_NUMBER, "that it holds")                                    \
    X(WORKER_LOCKS, "locks", "LOCKS", CLI_NUMBER, "likewise")                                      \
    X(WORKER_SINCE, "since", "SINCE", CLI_TIME, "when its lease was granted")                      \
    X(WORKER_TTL, "ttl_us", NULL, CLI_SPAN, "unheard of for so long, it may be declared dead")     \
    X(WORKER_LEFT, "remaining_us", "LEFT", CLI_SPAN, "of that")                                    \
    X(WORKER_SERVES, "serves", "SERVES", CLI_LIST, "queue, reactor, version_min, version_max")

#define CLI_SERVES_FIELDS(X)                                                                       \
    X(SERVES_QUEUE, "queue", "QUEUE", CLI_TEXT, "")                                                \
    X(SERVES_REACTOR, "reactor", "REACTOR", CLI_TEXT, "")                                          \
    X(SERVES_MIN, "version_min", "FROM", CLI_SMALL, "")                                            \
    X(SERVES_MAX, "version_max", "TO", CLI_SMALL, "")

#define CLI_LOCK_FIELDS(X)                                                                         \
    X(LOCK_NAME, "name", "NAME", CLI_TEXT, "its name")                                             \
    X(LOCK_WORKER, "worker", "WORKER", CLI_TEXT, "who holds it")                                   \
    X(LOCK_HOLDER, "holder", NULL, CLI_WORD, "id of that worker")                                  \
    X(LOCK_STATE, "state", "STATE", CLI_WORD, "of that worker; a dead one's lock is free")         \
    X(LOCK_FENCE, "fence", "FENCE", CLI_NUMBER, "of the lock")                                     \
    X(LOCK_LEFT, "remaining_us", "LEFT", CLI_SPAN, "of that worker's lease")

#define CLI_QUEUE_FIELDS(X)                                                                        \
    X(QUEUE_NAME, "queue", "QUEUE", CLI_TEXT, "its name")                                          \
    X(QUEUE_SINCE, "since", "PAUSED", CLI_TIME, "when it was paused")                              \
    X(QUEUE_WHO, "who", "BY", CLI_TEXT, "who paused it")                                           \
    X(QUEUE_WHY, "why", "WHY", CLI_TEXT, "and why")

#define CLI_VERSION_FIELDS(X)                                                                      \
    X(VERSION_PROGRAM, "kedge", NULL, CLI_WORD, "version of the program")                          \
    X(VERSION_LIBRARY, "libkedge", NULL, CLI_WORD, "version of the library that it runs with")     \
    X(VERSION_ABI, "backend_abi", NULL, CLI_SMALL, "of backends that it loads")

/* Facts of the library by their names, and what they mean in words. */
#define CLI_STORE_FIELDS(X)                                                                        \
    X(STORE_URL, "url", NULL, CLI_TEXT, "how it was named; passwords are ***")                     \
    X(STORE_BACKEND, "backend", NULL, CLI_WORD, "what keeps it")                                   \
    X(STORE_NAMESPACE, "namespace", NULL, CLI_TEXT, "which part of the store this is")             \
    X(STORE_SERVER, "server", NULL, CLI_TEXT, "what is behind it, and its version")                \
    X(STORE_PLACE, "place", NULL, CLI_TEXT, "where that is; no password")                          \
    X(STORE_DURABILITY, "durability", NULL, CLI_TEXT,                                              \
      "what an acknowledged write survives: words of process, server, power; or none")             \
    X(STORE_SURVIVES, "survives", NULL, CLI_TEXT, "the same as a sentence")                        \
    X(STORE_CAPS, "capabilities", NULL, CLI_TEXT,                                                  \
      "words of shared, hint, server_clock, fence_volatile; or none")                              \
    X(STORE_HINTS, "crash_hints", NULL, CLI_BOOL,                                                  \
      "yes: a worker that was killed is noticed at once; no: when its time to live is over")       \
    X(STORE_FENCES, "fences", NULL, CLI_TEXT, "whether a fence can be handed out twice")           \
    X(STORE_SCHEMA, "schema", NULL, CLI_NUMBER, "version of what is stored")                       \
    X(STORE_INCARNATION, "incarnation", NULL, CLI_NUMBER,                                          \
      "of the server; another one after a restart or a failover")                                  \
    X(STORE_LIMITS, "limit.*", NULL, CLI_NUMBER, "bytes, counts, microseconds; <kedge/backend.h>") \
    X(STORE_OWN, "backend.*", NULL, CLI_TEXT, "what else its backend has to tell")

#define CLI_SCRIPT_FIELDS(X)                                                                       \
    X(SCRIPT_FROM, "schema_from", NULL, CLI_SMALL, "what there is; 0: nothing (--print)")          \
    X(SCRIPT_TO, "schema_to", NULL, CLI_SMALL, "what the statements lead to (--print)")            \
    X(SCRIPT_TEXT, "script", NULL, CLI_TEXT,                                                       \
      "the statements, as they are; left out: none (--print)")

#define CLI_FIELD_ENUM(id, key, head, type, meaning) CLI_##id,
enum { CLI_RUN_FIELDS(CLI_FIELD_ENUM) CLI_N_RUN_FIELDS };
enum { CLI_STEP_FIELDS(CLI_FIELD_ENUM) CLI_N_STEP_FIELDS };
enum { CLI_ENTRY_FIELDS(CLI_FIELD_ENUM) CLI_N_ENTRY_FIELDS };
enum { CLI_CAUSE_FIELDS(CLI_FIELD_ENUM) CLI_N_CAUSE_FIELDS };
enum { CLI_DONE_FIELDS(CLI_FIELD_ENUM) CLI_N_DONE_FIELDS };
enum { CLI_SWEPT_FIELDS(CLI_FIELD_ENUM) CLI_N_SWEPT_FIELDS };
enum { CLI_WORKER_FIELDS(CLI_FIELD_ENUM) CLI_N_WORKER_FIELDS };
enum { CLI_SERVES_FIELDS(CLI_FIELD_ENUM) CLI_N_SERVES_FIELDS };
enum { CLI_LOCK_FIELDS(CLI_FIELD_ENUM) CLI_N_LOCK_FIELDS };
enum { CLI_QUEUE_FIELDS(CLI_FIELD_ENUM) CLI_N_QUEUE_FIELDS };
enum { CLI_VERSION_FIELDS(CLI_FIELD_ENUM) CLI_N_VERSION_FIELDS };
enum { CLI_STORE_FIELDS(CLI_FIELD_ENUM) CLI_N_STORE_FIELDS };
enum { CLI_SCRIPT_FIELDS(CLI_FIELD_ENUM) CLI_N_SCRIPT_FIELDS };
#undef CLI_FIELD_ENUM

extern const struct cli_field cli_run_fields[];
extern const struct cli_field cli_step_fields[];
extern const struct cli_field cli_entry_fields[];
extern const struct cli_field cli_cause_fields[];
extern const struct cli_field cli_done_fields[];
extern const struct cli_field cli_swept_fields[];
extern const struct cli_field cli_worker_fields[];
extern const struct cli_field cli_serves_fields[];
extern const struct cli_field cli_lock_fields[];
extern const struct cli_field cli_queue_fields[];
extern const struct cli_field cli_version_fields[];
extern const struct cli_field cli_store_fields[];
extern const struct cli_field cli_script_fields[];

#endif
