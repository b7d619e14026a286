/*
 * cli.h - what the sub-commands of kedge share
 *
 * One table, in spec.c, has every option, command and output field: the parser (parse.c), the help
 * texts (help.c), the manual pages (man.c) and the completions (complete.c) are made from it, so
 * that none of them can know of something that the others do not.
 */
#ifndef KEDGE_CLI_H
#define KEDGE_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include <kedge/kedge.h>

/*
 * One table: the exit codes of every sub-command, fixed from the first day on so
 * that scripts may count on them.  X(name, value, meaning)
 */
#define CLI_EXIT_LIST(X)                                                                           \
    X(OK, 0, "success")                                                                            \
    X(FAILURE, 1, "failure, or the answer is no")                                                  \
    X(USAGE, 2, "the command line is wrong")                                                       \
    X(NOT_FOUND, 3, "there is no such thing")                                                      \
    X(STATE, 4, "it is in the wrong state for that")                                               \
    X(UNREACHABLE, 5, "the store cannot be reached")                                               \
    X(TIMEOUT, 6, "timed out")                                                                     \
    X(SOME, 7, "some of several runs refused or failed")                                           \
    X(REGRESSION, 8, "a regression, or a backend that breaks its contract")                        \
    X(PERMISSION, 9, "not permitted, or read-only")                                                \
    X(INTERRUPTED, 130, "interrupted")

#define CLI_EXIT_ENUM(name, value, text) CLI_EXIT_##name = (value),
enum cli_exit { CLI_EXIT_LIST(CLI_EXIT_ENUM) };
#undef CLI_EXIT_ENUM

/* ------------------------------------------------------------------- options */

enum cli_option_kind { CLI_FLAG, CLI_VALUE, CLI_MAYBE /* a value after '=', or none */ };

/*
 * Every option; one name means the same wherever it is taken, but for --json: a command that takes
 * RESULTS takes it in JSON's place.
 * X(id, name, letter or 0, kind, what its value is, words of that value to complete, help)
 */
#define CLI_OPTION_LIST(X)                                                                         \
    X(STORE, "store", 's', CLI_VALUE, "URL", NULL, "the store to use (or set KEDGE_STORE)")        \
    X(BACKEND, "backend", 'b', CLI_VALUE, "NAME|PATH", NULL,                                       \
      "the backend that must keep it; a path loads a module")                                      \
    X(BACKEND_OPT, "backend-opt", 0, CLI_VALUE, "NAME=VALUE", NULL,                                \
      "an option of the backend, apart from the URL; may be repeated")                             \
    X(NAMESPACE, "namespace", 0, CLI_VALUE, "NAME", NULL,                                          \
      "the part of the store to work in (default: default)")                                       \
    X(TIMEOUT, "timeout", 0, CLI_VALUE, "TIME", NULL,                                              \
      "wait for the store at most so long (default: 10s)")                                         \
    X(JSON, "json", 0, CLI_FLAG, NULL, NULL, "print one JSON document; errors as JSON, too")       \
    X(JSONL, "jsonl", 0, CLI_FLAG, NULL, NULL, "the same, one object a line")                      \
    X(COLOR, "color", 0, CLI_VALUE, "WHEN", "auto always never",                                   \
      "auto (on a terminal, unless NO_COLOR is set), always or never")                             \
    X(HELP, "help", 'h', CLI_FLAG, NULL, NULL, "explain the program or the command")               \
    X(VERSION, "version", 0, CLI_FLAG, NULL, NULL, "print the version")                            \
    X(STATE, "state", 0, CLI_VALUE, "STATE,...",                                                   \
      "pending running rolling-back paused completed failed halted cancelled stuck aborted "       \
      "unfinished ended",                                                                          \
      "only runs in one of these states")                                                          \
    X(REACTOR, "reactor", 0, CLI_VALUE, "NAME", NULL, "only runs of this reactor")                 \
    X(QUEUE, "queue", 0, CLI_VALUE, "NAME", NULL, "only runs of this queue")                       \
    X(OLDER, "older", 0, CLI_VALUE, "TIME", NULL,                                                  \
      "only runs created longer ago than that: 90s, 5m, 2h, 7d")                                   \
    X(NEWER, "newer", 0, CLI_VALUE, "TIME", NULL, "only runs created since then")                  \
    X(UNSERVED, "unserved", 0, CLI_FLAG, NULL, NULL,                                               \
      "only runs that are due and that no worker alive serves")                                    \
    X(LIMIT, "limit", 0, CLI_VALUE, "N", NULL, "at most so many")                                  \
    X(OLDEST, "oldest", 0, CLI_FLAG, NULL, NULL, "the oldest first")                               \
    X(IDS, "ids", 0, CLI_FLAG, NULL, NULL, "print nothing but the ids, one a line")                \
    X(ALL, "all", 0, CLI_FLAG, NULL, NULL, "all runs that this can be asked of")                   \
    X(WATCH, "watch", 0, CLI_MAYBE, "SECONDS", NULL,                                               \
      "show it again and again (default: every 2 seconds)")                                        \
    X(FROM, "from", 0, CLI_VALUE, "N", NULL, "begin with this record")                             \
    X(VALUES, "values", 0, CLI_FLAG, NULL, NULL, "show inputs and results as well")                \
    X(STEP, "step", 0, CLI_VALUE, "NAME", NULL, "one of the steps it is stuck in (default: all)")  \
    X(WHY, "why", 0, CLI_VALUE, "TEXT", NULL, "the reason, for the record")                        \
    X(WHO, "who", 0, CLI_VALUE, "TEXT", NULL, "who asks (default: user@host)")                     \
    X(WAIT, "wait", 0, CLI_MAYBE, "TIME", NULL,                                                    \
      "wait until the run is at rest, at most so long (default: 60s)")                             \
    X(NEW_ID, "new-id", 0, CLI_VALUE, "ID", NULL, "the id of the new run (default: one is made)")  \
    X(NEW_VERSION, "new-version", 0, CLI_VALUE, "N", NULL,                                         \
      "the version of the reactor for the new run (default: the old one's)")                       \
    X(DRY_RUN, "dry-run", 'n', CLI_FLAG, NULL, NULL, "change nothing, tell what would be done")    \
    X(YES, "yes", 'y', CLI_FLAG, NULL, NULL, "do not ask whether to go on")                        \
    X(PRINT, "print", 0, CLI_FLAG, NULL, NULL,                                                     \
      "change nothing, print the statements that would do it")                                     \
    X(WORKERS, "workers", 0, CLI_VALUE, "N", NULL, "worker processes, 1 to 64 (default: 2)")       \
    X(VERIFY, "verify", 0, CLI_FLAG, NULL, NULL,                                                   \
      "archive nothing; compare what is in DEST with SRC")                                         \
    X(NO_KILL, "no-kill", 0, CLI_FLAG, NULL, NULL, "let the worker live")                          \
    X(PLUGIN, "plugin", 0, CLI_VALUE, "FILE.so", NULL,                                             \
      "the module under test (the same as --backend with a path)")                                 \
    X(FILTER, "filter", 0, CLI_VALUE, "CASE,...", NULL,                                            \
      "only these: ids (LCK-11, too), areas or globs (lists-0*), whatever their tier")             \
    X(TIER, "tier", 0, CLI_VALUE, "TIER", "core concurrent fault full",                            \
      "core (default), concurrent, fault or full; each includes those before it")                  \
    X(SEED, "seed", 0, CLI_VALUE, "N", NULL, "of all that is random (default: a new one)")         \
    X(JOBS, "jobs", 0, CLI_VALUE, "N", NULL, "so many cases at a time (default: 2)")               \
    X(CASES, "list", 0, CLI_FLAG, NULL, NULL, "run nothing, list the cases")                       \
    X(EXPLAIN, "explain", 0, CLI_VALUE, "CASE", NULL, "run nothing, tell what a case is about")    \
    X(MUTANTS, "mutants", 0, CLI_FLAG, NULL, NULL,                                                 \
      "run nothing, list the defects that the suite is tested with, and who must notice")          \
    X(JUNIT, "junit", 0, CLI_VALUE, "FILE", NULL, "write the results as JUnit's XML, too")         \
    X(CERT, "cert", 0, CLI_VALUE, "FILE", NULL, "write a certificate, in JSON")                    \
    X(OPT_OUT, "opt-out", 0, CLI_VALUE, "FILE", NULL,                                              \
      "leave out its cases: lines of CASE | REASON | URL | YYYY-MM-DD")                            \
    X(CLOCK, "clock", 0, CLI_VALUE, "FILE", NULL,                                                  \
      "move the clock of a server that was started to take it from there")                         \
    X(SERVER, "server", 0, CLI_VALUE, "ADDRESS", NULL,                                             \
      "where the server listens: HOST:PORT or unix:PATH; for cases about connections")             \
    X(KEEP, "keep", 0, CLI_FLAG, NULL, NULL,                                                       \
      "use namespaces called as the cases, which are there, and leave them")                       \
    X(CLIENTS, "clients", 0, CLI_VALUE, "N,...", NULL,                                             \
      "so many operations, or runs, in flight; several, one after the other (default: 1)")         \
    X(THREADS, "threads", 0, CLI_VALUE, "N", NULL,                                                 \
      "share the clients among so many threads, or pool threads (default: 1, of the pool 16)")     \
    X(POOL, "pool", 0, CLI_FLAG, NULL, NULL, "steps of sagas run on the pool, not on the loop")    \
    X(PAYLOAD, "payload", 0, CLI_VALUE, "SIZE", NULL,                                              \
      "bytes of a record, or of a step's value: 256, 4KiB (default: 256)")                         \
    X(STEPS, "steps", 0, CLI_VALUE, "N", NULL, "steps of a run (default: 1000)")                   \
    X(AMONG, "among", 0, CLI_VALUE, "N", NULL,                                                     \
      "healthy runs among which expired ones are looked for (default: 100000)")                    \
    X(WARMUP, "warmup", 0, CLI_VALUE, "TIME", NULL,                                                \
      "work for so long first, which does not count (default: 2s)")                                \
    X(SPELL, "time", 0, CLI_VALUE, "TIME", NULL, "measure for so long, each time (default: 10s)")  \
    X(REPEAT, "repeat", 0, CLI_VALUE, "N", NULL, "so many times (default: 5)")                     \
    X(RATE, "rate", 0, CLI_VALUE, "max|N/s,...", NULL,                                             \
      "as fast as it goes, or at a fixed rate; several, one after the other (default: max)")       \
    X(PERCENTILES, "percentiles", 0, CLI_VALUE, "P,...", NULL,                                     \
      "percentiles to print (default: 50,90,99,99.9)")                                             \
    X(CEILING, "ceiling", 0, CLI_FLAG, NULL, NULL,                                                 \
      "measure a bare client of the same store in between, too")                                   \
    X(HDR, "hdr", 0, CLI_VALUE, "DIR", NULL, "write all histograms there, as HdrHistogram logs")   \
    X(PROGRESS, "progress", 0, CLI_MAYBE, "TIME", NULL,                                            \
      "tell on standard error what is under way (default: every 1s)")                              \
    X(RESULTS, "json", 0, CLI_VALUE, "FILE", NULL, "write all figures to FILE, in JSON")           \
    X(FAIL_ABOVE, "fail-above", 0, CLI_VALUE, "PCT", NULL,                                         \
      "a loss up to so many percent is no regression (default: 5)")                                \
    X(MAN, "man", 0, CLI_FLAG, NULL, NULL, "as the source of a manual page")                       \
    X(WORKER, "worker", 0, CLI_FLAG, NULL, NULL, NULL)    /* the demos', of themselves */          \
    X(IN_CASE, "in-case", 0, CLI_VALUE, NULL, NULL, NULL) /* conform's, likewise */

#define CLI_OPTION_ENUM(id, name, letter, kind, value, words, help) CLI_##id,
enum cli_option_id { CLI_OPTION_LIST(CLI_OPTION_ENUM) CLI_N_OPTIONS };
#undef CLI_OPTION_ENUM

struct cli_option {
    const char *name;
    char letter;
    enum cli_option_kind kind;
    const char *value;
    const char *words; /* NULL: any */
    const char *help;  /* NULL: not for people */
};
extern const struct cli_option cli_options[CLI_N_OPTIONS];

/* Options that every command takes; closed by CLI_N_OPTIONS, as a command's own are. */
extern const uint8_t cli_everywhere[];

/* Is ID one of these (NULL: none)? */
bool cli_among(const uint8_t *options, int id);

/* ------------------------------------------------------------------ commands */

struct cli_command;

#define CLI_MOST_BACKEND_OPTS    16
#define CLI_BACKEND_OPTIONS_ROOM 1024

/* Every --backend-opt that was given. */
struct cli_backend_opts {
    const char *words[CLI_MOST_BACKEND_OPTS];
    int n;
    char joined[CLI_BACKEND_OPTIONS_ROOM]; /* as struct kedge_store_options has them */
};

/* Every --store that was given; given[] has the last. */
#define CLI_MOST_STORES 16
struct cli_stores {
    const char *words[CLI_MOST_STORES];
    int n;
};

/* What the command line said. */
struct cli {
    const struct cli_command *command; /* NULL: none was named, or found */
    const char *given[CLI_N_OPTIONS];  /* NULL: not given; a flag, or no value: "" */
    struct cli_backend_opts backend_opts;
    struct cli_stores stores;
    char **words; /* after the command's name */
    int n_words;
    int64_t timeout_us;
    bool json;  /* --json or --jsonl */
    bool lines; /* --jsonl */
    bool color;
};

static inline bool cli_has(const struct cli *cli, enum cli_option_id id)
{
    return cli->given[id] != NULL;
}

typedef enum cli_exit cli_run_fn(const struct cli *cli);

/* What words a command takes, for completions. */
enum cli_word {
    CLI_WORD_NONE,
    CLI_WORD_RUN,
    CLI_WORD_URL,
    CLI_WORD_PATH,
    CLI_WORD_COMMAND,
    CLI_WORD_WORKLOAD
};

/* What `bench list' lists: kedge-bench knows more of them. */
#define CLI_WORKLOADS "checkpoint saga rollback lock contend claim expired recover resume mixed"

/* How a member of the output is written: as text / in JSON. */
enum cli_type {
    CLI_TEXT,   /* any bytes, escaped / string, escaped as well */
    CLI_WORD,   /* one of a list of words / string */
    CLI_NUMBER, /* 64 bits / string of digits */
    CLI_SMALL,  /* 32 bits / number */
    CLI_TIME,   /* UTC to the millisecond / string, UTC to the microsecond */
    CLI_SPAN,   /* "1.5s" / microseconds, as a string of digits */
    CLI_BOOL,   /* yes or no / true or false */
    CLI_RAW,    /* JSON, escaped / as it is */
    CLI_LIST    /* not at all / array of objects, or of strings */
};

/* A member of what a command prints.  What is not known is "-" in a table, and left out of lines
   and of JSON. */
struct cli_field {
    const char *key;  /* in JSON and in key=value lines; stable */
    const char *head; /* of its column; NULL: it has none */
    enum cli_type type;
    const char *meaning;
};

struct cli_example {
    const char *line; /* after the program's name; works on the store that tests/cli.sh makes */
    const char *says;
};

struct cli_command {
    const char *name; /* one word, or two: "store info" */
    const char *args; /* as in a usage line */
    const char *summary;
    const char *details; /* whole lines; NULL: the summary says it all */
    cli_run_fn *run;
    const uint8_t *options; /* beside those that all take; NULL: none */
    int least;              /* words */
    int most;
    const char *missing; /* "no run given" */
    enum cli_word word;
    const struct cli_field *fields;     /* closed by a NULL key; NULL: it prints no such thing */
    const struct cli_example *examples; /* likewise */
    uint32_t verb;                      /* enum kedge_verb; 0: none */
    uint32_t statuses;                  /* of the runs that it can be asked of */
};
extern const struct cli_command cli_commands[]; /* closed by a NULL name */

cli_run_fn cli_backends;
cli_run_fn cli_bench;
cli_run_fn cli_completion;
cli_run_fn cli_conform;
cli_run_fn cli_demo_archive;
cli_run_fn cli_demo_order;
cli_run_fn cli_help;
cli_run_fn cli_journal;
cli_run_fn cli_list;
cli_run_fn cli_locks;
cli_run_fn cli_purge;
cli_run_fn cli_queue_pause;
cli_run_fn cli_queue_resume;
cli_run_fn cli_queues;
cli_run_fn cli_request; /* of the command's verb */
cli_run_fn cli_show;
cli_run_fn cli_store_info;
cli_run_fn cli_store_init;
cli_run_fn cli_store_migrate;
cli_run_fn cli_sweep;
cli_run_fn cli_version;
cli_run_fn cli_why;
cli_run_fn cli_workers;

/* Has COMMAND (NULL: none in particular) a use for option ID? */
bool cli_takes(const struct cli_command *command, int id);

/* The command that WORDS begin with; *TAKEN of them are its name.  NULL: none. */
const struct cli_command *cli_find_command(char *const *words, int n, int *taken);

/* ------------------------------------------------------------------- parsing */

/*
 * Read a command line, which must outlive CLI; ARGV is reordered.  CLI_EXIT_OK, or what the program
 * is to exit with after the mistake was told.  Runs nothing, opens nothing.
 */
enum cli_exit cli_parse(struct cli *cli, int argc, char **argv);

/* A positive number; 0 after a mistake, which was told. */
uint64_t cli_number(const struct cli *cli, enum cli_option_id id);
/* A positive span of time, in us: digits and one of us, ms, s, m, h, d; -1 after a mistake, which
   was told. */
int64_t cli_span(const struct cli *cli, enum cli_option_id id);

/* One more --backend-opt.  NULL, or what is wrong with it, which does not quote it. */
const char *cli_add_backend_opt(struct cli_backend_opts *opts, const char *word);

/* --------------------------------------------------------------------- texts */

/* The help of COMMAND, or of the program if it is NULL. */
void cli_print_help(FILE *out, const struct cli_command *command);
/* The same as the source of a manual page. */
void cli_print_man(FILE *out, const struct cli_command *command);

/* -------------------------------------------------------------------- errors */

/* From here on errors are one line of JSON on standard error. */
void cli_errors_as_json(void);

/* "kedge: MESSAGE" on standard error, and the exit code for RC, which is not OK. */
enum cli_exit cli_fail(int rc, const struct kedge_error *err);

/* The exit code alone, where the message goes elsewhere. */
enum cli_exit cli_exit_code(int rc, const struct kedge_error *err);

/* The same for STATUS and a message of our own. */
enum cli_exit cli_tell(enum cli_exit status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "kedge COMMAND: MESSAGE" and where to find help; CLI_EXIT_USAGE. */
enum cli_exit cli_usage(const struct cli *cli, const char *message, const char *word);

/* -------------------------------------------------------------------- stores */

/* How this command line wants stores to be opened; valid as long as CLI. */
struct kedge_store_options cli_store_options(const struct cli *cli);

/* The same as words after ARGV[N], for a process that runs this program; the new N. */
#define CLI_STORE_WORDS (4 + 2 * CLI_MOST_BACKEND_OPTS)
size_t cli_store_words(const struct cli *cli, const char **argv, size_t n);

/* Open the store at URL, which is NULL when none was named. */
enum cli_exit cli_open_store(const struct cli *cli, const char *url, uint32_t flags,
                             struct kedge_store **store);

/* ----------------------------------------------------------------- interrupts */

/* From here on an interrupt (^C) does not end the program, but sets a flag, and cuts sleeps short.
 */
void cli_interrupts_catch(void);
bool cli_interrupted(void);
/* False: interrupted. */
bool cli_sleep(int64_t us);

/*
 * Show VIEW once; or, with --watch, again and again until it fails or is interrupted.
 */
typedef enum cli_exit cli_view_fn(const struct cli *cli, struct kedge_store *store, void *ctx);
enum cli_exit cli_watch(const struct cli *cli, cli_view_fn *view, void *ctx);

#endif
