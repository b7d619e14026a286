/* spec.c - the table: every option, every command, and every member of what a command prints */
#include <config.h>

#include "cli.h"
#include "fields.h"

const struct cli_option cli_options[CLI_N_OPTIONS] = {
#define CLI_OPTION_ENTRY(id, name, letter, kind, value, words, help)                               \
    [CLI_##id] = { name, letter, kind, value, words, help },
    CLI_OPTION_LIST(CLI_OPTION_ENTRY)
#undef CLI_OPTION_ENTRY
};

/* -------------------------------------------------------------------- fields */

#define FIELD_ENTRY(id, key, head, type, meaning) { key, head, type, meaning },
#define FIELDS(name, LIST)                                                                         \
    const struct cli_field name[] = { LIST(FIELD_ENTRY){ NULL, NULL, CLI_TEXT, NULL } }

FIELDS(cli_run_fields, CLI_RUN_FIELDS);
FIELDS(cli_step_fields, CLI_STEP_FIELDS);
FIELDS(cli_entry_fields, CLI_ENTRY_FIELDS);
FIELDS(cli_cause_fields, CLI_CAUSE_FIELDS);
FIELDS(cli_done_fields, CLI_DONE_FIELDS);
FIELDS(cli_swept_fields, CLI_SWEPT_FIELDS);
FIELDS(cli_worker_fields, CLI_WORKER_FIELDS);
FIELDS(cli_serves_fields, CLI_SERVES_FIELDS);
FIELDS(cli_lock_fields, CLI_LOCK_FIELDS);
FIELDS(cli_queue_fields, CLI_QUEUE_FIELDS);
FIELDS(cli_version_fields, CLI_VERSION_FIELDS);
FIELDS(cli_store_fields, CLI_STORE_FIELDS);
FIELDS(cli_script_fields, CLI_SCRIPT_FIELDS);

/* ------------------------------------------------------------------ examples */

#define EXAMPLES(name, ...) static const struct cli_example name[] = { __VA_ARGS__, { NULL, NULL } }

EXAMPLES(list_examples,
         { "list --state failed,stuck --newer 24h", "what went wrong since yesterday" },
         { "list --unserved --ids", "ids of runs that wait for a worker nobody has started" },
         { "list --state running --watch=1", "look every second; interrupt to end" });
EXAMPLES(show_examples, { "show order-1001", "one run" },
         { "show order-1001 --json", "the same for a program" });
EXAMPLES(journal_examples, { "journal order-1001 --values", "all that is recorded of a run" });
EXAMPLES(why_examples, { "why order-1001", "what it waits for, and who has it" });
EXAMPLES(cancel_examples,
         { "cancel order-1002 --why 'the customer called' --wait=30s",
           "one run; wait for its way back to end" },
         { "cancel --reactor import --older 1h --dry-run", "which ones would that be?" },
         { "cancel --reactor import --older 1h --yes", "several, without being asked" });
EXAMPLES(retry_examples, { "retry order-1001 --why 'a carrier was found'", "one run" },
         { "retry --state failed --newer 2h --yes", "all that failed in the last two hours" });
EXAMPLES(stuck_examples,
         { "retry-undo order-1003 --step charge", "the undo that it is stuck in, once more" });
EXAMPLES(sweep_examples, { "sweep --dry-run", "is there anything to be done?" });
EXAMPLES(purge_examples,
         { "purge --state completed --older 30d --yes", "old ones that went well" });
EXAMPLES(worker_examples, { "workers", "who works on this store" });
EXAMPLES(queue_examples, { "queue pause mail --why 'the relay is down'", "runs of it wait" },
         { "queue resume mail", "and go on" });
EXAMPLES(backend_examples, { "backends", "all of them" }, { "backends mem", "one of them" },
         { "store info count+mem:", "how often a command calls its store" });
EXAMPLES(conform_examples, { "conform mem:{} --filter leases", "one area, in memory" },
         { "conform --list", "all cases" });
EXAMPLES(store_examples, { "store info", "what is behind KEDGE_STORE, and what it promises" });
EXAMPLES(bench_run_examples,
         { "bench run checkpoint --time 100ms --warmup 0 --repeat 2",
           "a quick look; figures to be quoted take 10s and more" },
         { "bench run saga --clients 1,8 --steps 100 --time 100ms --warmup 0 --repeat 2 --ceiling",
           "whole runs, one and eight at a time, beside a bare client" });
EXAMPLES(bench_list_examples, { "bench list", "what can be measured" });
EXAMPLES(completion_examples, { "completion bash", "to be read by the shell that completes" });
EXAMPLES(order_examples, { "demo", "on a store of its own" });

/* ------------------------------------------------------------------ commands */

/* Options of a command. */
#define OPTIONS(...) ((const uint8_t[]){ __VA_ARGS__, CLI_N_OPTIONS })
/* ... of many. */
#define FILTER  CLI_STATE, CLI_REACTOR, CLI_QUEUE, CLI_OLDER, CLI_NEWER, CLI_UNSERVED, CLI_LIMIT
#define BULK    FILTER, CLI_ALL, CLI_DRY_RUN, CLI_YES
#define REQUEST BULK, CLI_WHO, CLI_WHY, CLI_WAIT

const uint8_t cli_everywhere[] = { CLI_STORE,   CLI_BACKEND, CLI_BACKEND_OPT, CLI_NAMESPACE,
                                   CLI_TIMEOUT, CLI_JSON,    CLI_JSONL,       CLI_COLOR,
                                   CLI_HELP,    CLI_VERSION, CLI_N_OPTIONS };

bool cli_among(const uint8_t *options, int id)
{
    while (options != NULL && *options != CLI_N_OPTIONS && *options != id)
        options++;
    return options != NULL && *options == id;
}

bool cli_takes(const struct cli_command *command, int id)
{
    const uint8_t *own = command != NULL ? command->options : NULL;

    if (id == CLI_JSON && cli_among(own, CLI_RESULTS))
        return false;
    return cli_among(cli_everywhere, id) || cli_among(own, id);
}

#define STATUS(name) KEDGE_STATUS_BIT(KEDGE_##name)
#define ON_ITS_WAY   (STATUS(PENDING) | STATUS(RUNNING) | STATUS(PAUSED))
#define NO_GOOD_END                                                                                \
    (STATUS(FAILED) | STATUS(CANCELLED) | STATUS(HALTED) | STATUS(STUCK) | STATUS(ABORTED))

#define ANY_RUNS                                                                                   \
    "Several ids may be given, or, instead of ids, a description of the runs: options that\n"      \
    "list takes as well, or --all.  Only runs in a state for it are then looked at.\n"             \
    "They are counted, and you are asked, unless --yes is given.\n"

/* NAME, its verb, of which runs, what it does, more about it, more options, examples */
#define VERB(name, verb, statuses, summary, details, more, examples)                               \
    {                                                                                              \
        name, "ID...|DESCRIPTION", summary, details ANY_RUNS, cli_request, more, 0, 1 << 20, NULL, \
            CLI_WORD_RUN, cli_done_fields, examples, verb, statuses                                \
    }

/* A command that is asked of no run in particular. */
#define COMMAND(name, args, summary, details, run, options, least, most, missing, word, fields,    \
                examples)                                                                          \
    {                                                                                              \
        name, args, summary, details, run, options, least, most, missing, word, fields, examples,  \
            0, 0                                                                                   \
    }

const struct cli_command cli_commands[] = {
    COMMAND("list", "[OPTION...]", "list the runs, the newest first",
            "A byte of an id that is no printable character is written \\xHH, a backslash \\\\.\n"
            "Whatever takes an id takes it as it is written here.\n",
            cli_list, OPTIONS(FILTER, CLI_OLDEST, CLI_IDS, CLI_WATCH), 0, 0, NULL, CLI_WORD_NONE,
            cli_run_fields, list_examples),
    COMMAND("show", "ID", "what is known of a run, and what became of its steps",
            "ID may be the beginning of an id, if no other begins so.  A state with a '?' is in\n"
            "doubt: the step may have taken effect without a record.\n",
            cli_show, OPTIONS(CLI_WATCH), 1, 1, "no run given", CLI_WORD_RUN, cli_run_fields,
            show_examples),
    COMMAND("journal", "ID", "the records of a run: what was made durable when, and by whom", NULL,
            cli_journal, OPTIONS(CLI_FROM, CLI_LIMIT, CLI_VALUES, CLI_WATCH), 1, 1, "no run given",
            CLI_WORD_RUN, cli_entry_fields, journal_examples),
    COMMAND("why", "ID", "why a run is not moving", "The cause that decides comes first.\n",
            cli_why, OPTIONS(CLI_WATCH), 1, 1, "no run given", CLI_WORD_RUN, cli_cause_fields,
            why_examples),
    VERB("cancel", KEDGE_VERB_CANCEL, ON_ITS_WAY,
         "stop runs at their next step, and take back what they did",
         "A run ends as cancelled, unless it is faster.\n\n", OPTIONS(REQUEST), cancel_examples),
    VERB("pause", KEDGE_VERB_PAUSE, STATUS(PENDING) | STATUS(RUNNING),
         "let runs start no further step", "", OPTIONS(REQUEST), NULL),
    VERB("resume", KEDGE_VERB_RESUME, STATUS(PAUSED) | STATUS(STUCK),
         "let runs go on that were paused, set aside, or are stuck in a crash loop", "",
         OPTIONS(REQUEST), NULL),
    VERB("undo", KEDGE_VERB_UNDO, STATUS(COMPLETED) | STATUS(HALTED),
         "take back what completed or halted runs did", "", OPTIONS(REQUEST), NULL),
    VERB("retry", KEDGE_VERB_RETRY, STATUS(FAILED) | STATUS(CANCELLED),
         "go forward again with runs that failed or were cancelled",
         "From the steps that failed or were taken back, under new idempotency keys.\n\n",
         OPTIONS(REQUEST), retry_examples),
    VERB("retry-new", KEDGE_VERB_RETRY_NEW, NO_GOOD_END,
         "start new runs with the input of ones that came to no good end", "",
         OPTIONS(REQUEST, CLI_NEW_ID, CLI_NEW_VERSION), NULL),
    VERB("retry-undo", KEDGE_VERB_RETRY_UNDO, STATUS(STUCK),
         "try again the undos that runs are stuck in", "", OPTIONS(REQUEST, CLI_STEP),
         stuck_examples),
    VERB("skip-undo", KEDGE_VERB_SKIP_UNDO, STATUS(STUCK),
         "leave undone the undos that runs are stuck in, and go on", "", OPTIONS(REQUEST, CLI_STEP),
         NULL),
    VERB("mark-undone", KEDGE_VERB_MARK_UNDONE, STATUS(STUCK),
         "say that what runs are stuck in was undone by hand, and go on", "",
         OPTIONS(REQUEST, CLI_STEP), NULL),
    VERB("abandon", KEDGE_VERB_ABANDON, KEDGE_STATUSES_UNFINISHED | STATUS(STUCK),
         "give runs up as they are, if they are stuck or no worker holds them",
         "They end as aborted, undo nothing, and are kept.\n\n", OPTIONS(REQUEST), NULL),
    { "purge", "ID...|DESCRIPTION",
      "remove runs that are at rest, with all that is recorded of them",
      "There is no way back.\n\n" ANY_RUNS, cli_purge, OPTIONS(BULK), 0, 1 << 20, NULL,
      CLI_WORD_RUN, cli_done_fields, purge_examples, 0, KEDGE_STATUSES_RESTING },
    COMMAND("sweep", "", "do once what workers do all the time: recover, and tidy up",
            "Declares dead workers dead, makes their runs due, and removes what has expired.\n",
            cli_sweep, OPTIONS(CLI_DRY_RUN), 0, 0, NULL, CLI_WORD_NONE, cli_swept_fields,
            sweep_examples),
    COMMAND("workers", "", "who works on this store, and on what", NULL, cli_workers,
            OPTIONS(CLI_WATCH), 0, 0, NULL, CLI_WORD_NONE, cli_worker_fields, worker_examples),
    COMMAND("locks", "", "the locks that are held, and by whom", NULL, cli_locks,
            OPTIONS(CLI_WATCH), 0, 0, NULL, CLI_WORD_NONE, cli_lock_fields, NULL),
    COMMAND("queues", "", "the queues that are paused", NULL, cli_queues, OPTIONS(CLI_WATCH), 0, 0,
            NULL, CLI_WORD_NONE, cli_queue_fields, NULL),
    COMMAND("queue pause", "NAME", "let no worker take a run from a queue",
            "Runs that are held go on until their workers let go of them.\n", cli_queue_pause,
            OPTIONS(CLI_WHO, CLI_WHY), 1, 1, "no queue given", CLI_WORD_NONE, NULL, queue_examples),
    COMMAND("queue resume", "NAME", "let a paused queue go on", NULL, cli_queue_resume, NULL, 1, 1,
            "no queue given", CLI_WORD_NONE, NULL, NULL),
    COMMAND("backends", "[NAME|PATH...]", "list the storage backends, or describe the given ones",
            "Without words: every backend built into the library and every module in the\n"
            "plug-in directories; one that cannot be used is listed with the reason.  A word\n"
            "with a '/' in it is the path of a module.  The facts are those of <kedge/store.h>.\n"
            "Wrappers come last: modules that stand before a backend, as in count+mem: or\n"
            "trace,to=/tmp/t+fault,op=commit,n=3,when=after+lmdb:/x; a value has ',' '+' and\n"
            "'%' as %2C %2B %25.  fault lets calls fail, record and trace write each down, for\n"
            "programs and for people, count counts them.\n",
            cli_backends, NULL, 0, 1 << 20, NULL, CLI_WORD_PATH, NULL, backend_examples),
    COMMAND("store info", "[URL]", "what a store is, can do and promises at this moment",
            "Read from it, never assumed: version of the server or library behind it, the\n"
            "durability in force, what it can do, its limits, and what else its backend tells.\n",
            cli_store_info, NULL, 0, 1, NULL, CLI_WORD_URL, cli_store_fields, store_examples),
    COMMAND("store init", "[URL]", "set a store up, if that was not done before",
            "Creates the namespace at that place; one that is there is left as it is.\n\n"
            "With --print: the statements that set one up on a server where kedge has never been,\n"
            "for somebody with the right to carry them out; the server is not asked.\n",
            cli_store_init, OPTIONS(CLI_PRINT), 0, 1, NULL, CLI_WORD_URL, cli_script_fields, NULL),
    COMMAND("store migrate", "[URL]", "bring up to date what an older kedge set up",
            "One that is up to date is left as it is.  Programs of an older kedge may be refused\n"
            "from then on.\n\n"
            "With --print: the statements that would do it, none if it is up to date.\n",
            cli_store_migrate, OPTIONS(CLI_PRINT), 0, 1, NULL, CLI_WORD_URL, cli_script_fields,
            NULL),
    COMMAND(
        "conform", "[OPTION...] [URL]", "does a backend keep the storage contract?",
        "Runs the conformance suite over a backend, one of ours or a module of your own\n"
        "(--plugin), and prints TAP.  Each case has a namespace of its own, which is removed\n"
        "again; nothing else in the store is touched.  {} in the URL is replaced by that name,\n"
        "where each case is to have a store of its own: lmdb:/tmp/t/{}.\n\n"
        "Time is virtual.  A server's can be moved if it was started with LD_PRELOAD set to\n"
        "what `pkg-config --variable=clock kedge-backend' prints and KEDGE_TEST_CLOCK naming\n"
        "an empty file; --clock names the same file.  A case may take 4 minutes, or --timeout.\n"
        "The fault tier kills processes of its own by kedge-kill.so, which is beside it, or in\n"
        "the directory that KEDGE_SHIM_PATH names.  It cuts, holds and swallows connections, too,\n"
        "by a proxy of its own, if --server says where the server listens, and the URL where that\n"
        "address stands: {server} for all of it, or {host} and {port}; for a socket these are its\n"
        "path, its directory and its name.\n\n"
        "What does not apply to a backend, cannot be asked here, was left out or came to no\n"
        "verdict is marked SKIP, with that word.  Exit status 0: nothing failed, 1: a case\n"
        "failed or none was run, 2: the command line is wrong, 3: a case came to no verdict.\n",
        cli_conform,
        OPTIONS(CLI_PLUGIN, CLI_FILTER, CLI_TIER, CLI_SEED, CLI_JOBS, CLI_CASES, CLI_EXPLAIN,
                CLI_MUTANTS, CLI_JUNIT, CLI_CERT, CLI_OPT_OUT, CLI_CLOCK, CLI_SERVER, CLI_KEEP,
                CLI_IN_CASE),
        0, 1, NULL, CLI_WORD_URL, NULL, conform_examples),
    COMMAND("bench list", "", "list what can be measured", NULL, cli_bench, NULL, 0, 0, NULL,
            CLI_WORD_NONE, NULL, bench_list_examples),
    COMMAND(
        "bench run", "WORKLOAD... [OPTION...]", "measure what a store, and kedge on it, can do",
        "Each workload, on each store that is named: as fast as it goes for throughput, at a\n"
        "fixed rate for latency, which then counts from when an operation was to begin.  With\n"
        "--ceiling a bare client of the same store, hand-written to do no more than is needed\n"
        "for the same durability, takes turns with what is measured; the ratio is that of one\n"
        "and the same time.\n\n"
        "Printed are the median and the range of the repeats, and whatever decides a figure:\n"
        "versions, compiler, machine, and the durability in force as the store itself tells it.\n"
        "At the end of each workload the store is read back: a step that is lost, or there twice,\n"
        "is a failure.\n\n"
        "Works in namespaces of its own, which are removed at the end, an interrupt included, and\n"
        "touches nothing else in the store.\n",
        cli_bench,
        OPTIONS(CLI_CLIENTS, CLI_THREADS, CLI_POOL, CLI_PAYLOAD, CLI_STEPS, CLI_AMONG, CLI_WARMUP,
                CLI_SPELL, CLI_REPEAT, CLI_RATE, CLI_SEED, CLI_PERCENTILES, CLI_CEILING,
                CLI_RESULTS, CLI_HDR, CLI_PROGRESS),
        1, 1 << 20, "no workload given (kedge bench list)", CLI_WORD_WORKLOAD, NULL,
        bench_run_examples),
    COMMAND(
        "bench compare", "BEFORE AFTER", "is there a regression between two results?",
        "BEFORE and AFTER are files that bench run --json wrote.  For each workload that is in\n"
        "both: how much the rate has changed (at a fixed rate: the 99th percentile), with its\n"
        "95% confidence interval, from the repeats of both.  A change for the worse is a\n"
        "regression, and the exit status 8, if the whole interval is below zero, and the change\n"
        "is more than --fail-above.\n",
        cli_bench, OPTIONS(CLI_FAIL_ABOVE), 2, 2, "name two files of results", CLI_WORD_PATH, NULL,
        NULL),
    COMMAND("demo", "[order] [--no-kill]",
            "a saga that fails, killed while it takes back what it did",
            "Reserve, screen, charge, ship; shipping fails.  Shows the steps as they stand in the\n"
            "store while worker processes carry the run, and kills the first one with -9 in the\n"
            "middle of undoing the charge.\n\n"
            "Without -s the store is one of its own, which is removed at the end; KEDGE_STORE is\n"
            "for real work, and left alone.\n",
            cli_demo_order, OPTIONS(CLI_NO_KILL, CLI_WORKER), 0, 1, NULL, CLI_WORD_NONE, NULL,
            order_examples),
    COMMAND("demo archive", "SRC DEST [OPTION...]",
            "archive a directory by runs that can be killed",
            "Every regular file below SRC becomes a run of four steps: fingerprint, compress,\n"
            "publish, index.  Kill one of the worker processes, or this one, with -9: nothing\n"
            "is lost, and the same command goes on where it was.\n\n"
            "Without -s the store is DEST/store, whatever KEDGE_STORE says.  A file whose run has\n"
            "ended is not looked at again.  DEST/log tells which step ran when, and where.  Paths\n"
            "are written with %XX for '%', spaces and bytes that are not printable ASCII.\n",
            cli_demo_archive, OPTIONS(CLI_WORKERS, CLI_VERIFY, CLI_WORKER), 2, 2,
            "name a directory to archive and one to archive into", CLI_WORD_PATH, NULL, NULL),
    COMMAND("version", "", "print the version of the program and of the library", NULL, cli_version,
            NULL, 0, 0, NULL, CLI_WORD_NONE, cli_version_fields, NULL),
    COMMAND("help", "[COMMAND]", "explain a command", NULL, cli_help, OPTIONS(CLI_MAN), 0, 2, NULL,
            CLI_WORD_COMMAND, NULL, NULL),
    COMMAND("completion", "bash|zsh|fish", "print what makes a shell complete kedge's words",
            "For one session: eval \"$(kedge completion bash)\", in zsh likewise, in fish:\n"
            "kedge completion fish | source.  Installed files serve all sessions.\n",
            cli_completion, NULL, 1, 1 << 20, "name a shell: bash, zsh or fish", CLI_WORD_NONE,
            NULL, completion_examples),
    { NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, NULL, CLI_WORD_NONE, NULL, NULL, 0, 0 },
};
