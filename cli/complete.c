/*
 * complete.c - kedge completion: a shell asks the program itself what may come next
 *
 * "kedge completion SHELL" prints a few lines for that shell, which call "kedge completion words --
 * WORD..." with the words so far; that answers from the table, and from the store for ids of runs.
 * Whatever goes wrong there is silent: somebody is typing.
 */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "text.h"

#define MOST_IDS 100
#define LOOK_US  INT64_C(500000)

static const char bash[] =
    "_kedge()\n"
    "{\n"
    "    local words IFS=$'\\n'\n"
    "    # Not COMP_WORDS, which bash breaks at '=' and ':'.\n"
    "    IFS=$' \\t\\n' read -ra words <<<\"${COMP_LINE:0:COMP_POINT}\"\n"
    "    case ${COMP_LINE:0:COMP_POINT} in *[[:space:]]) words+=(\"\") ;; esac\n"
    "    COMPREPLY=($(kedge completion words -- \"${words[@]:1}\" 2>/dev/null))\n"
    "    case ${words[${#words[@]} - 1]} in --*=*) COMPREPLY=(\"${COMPREPLY[@]#--*=}\") ;; esac\n"
    "}\n"
    "complete -o default -F _kedge kedge\n";

static const char zsh[] =
    "#compdef kedge\n"
    "_kedge()\n"
    "{\n"
    "    local -a found\n"
    "    found=(${(f)\"$(kedge completion words -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\"})\n"
    "    if (( $#found )); then compadd -- $found; else _files; fi\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _kedge ]; then _kedge \"$@\"; else compdef _kedge kedge; fi\n";

static const char fish[] =
    "function __kedge_words\n"
    "    set -l before (commandline -opc)\n"
    "    kedge completion words -- $before[2..-1] (commandline -ct) 2>/dev/null\n"
    "end\n"
    "complete -c kedge -a '(__kedge_words)'\n";

/* -------------------------------------------------------------------- words */

/* What is known of the words before the one that is being typed. */
struct typing {
    const struct cli_command *command;
    const char *first;               /* a word that may be the first of two */
    const struct cli_option *valued; /* the word at hand is its value; NULL: it is not */
    const char *given[CLI_N_OPTIONS];
    struct cli_backend_opts backend_opts;
};

static int option_at(const char *word)
{
    size_t len = word[0] == '-' && word[1] == '-' ? strcspn(word + 2, "=") : 0;

    for (int i = 0; i < CLI_N_OPTIONS; i++) {
        if (len > 0 ? strncmp(cli_options[i].name, word + 2, len) == 0 &&
                          cli_options[i].name[len] == '\0'
                    : word[0] == '-' && word[1] != '\0' && cli_options[i].letter == word[1])
            return i;
    }
    return -1;
}

static void read_typed(struct typing *t, char *const *words, int n)
{
    char *plain[2] = { NULL, NULL };
    int n_plain = 0;
    int taken = 0;

    for (int i = 0; i < n; i++) {
        int o = words[i][0] == '-' ? option_at(words[i]) : -1;

        if (words[i][0] != '-' && n_plain < 2)
            plain[n_plain++] = words[i];
        if (o < 0 || cli_options[o].kind != CLI_VALUE || strchr(words[i], '=') != NULL)
            continue;
        if (i + 1 == n) {
            t->valued = &cli_options[o];
            continue;
        }
        t->given[o] = words[++i];
        if (o == CLI_BACKEND_OPT)
            (void)cli_add_backend_opt(&t->backend_opts, words[i]);
    }
    t->command = cli_find_command(plain, n_plain, &taken);
    if (n_plain == 1)
        t->first = plain[0];
}

static void offer(const char *candidate, size_t len, const char *before, const char *typed)
{
    size_t n = strlen(typed);

    if (len >= n && strncmp(candidate, typed, n) == 0)
        (void)printf("%s%.*s\n", before, (int)len, candidate);
}

/* One of the words of the option; what comes before, and of a list what is typed, stays. */
static void offer_values(const struct cli_option *o, const char *before, const char *typed)
{
    const char *comma = strrchr(typed, ',');
    char kept[256];

    if (o->words == NULL)
        return;
    (void)snprintf(kept, sizeof kept, "%s%.*s", before,
                   comma != NULL ? (int)(comma - typed) + 1 : 0, typed);
    if (comma != NULL)
        typed = comma + 1;
    for (const char *at = o->words; *at != '\0';) {
        size_t len = strcspn(at, " ");

        offer(at, len, kept, typed);
        at += len + (at[len] == ' ' ? 1 : 0);
    }
}

static void offer_options(const struct typing *t, const char *typed)
{
    const char *equals = strchr(typed, '=');
    char before[80];

    if (equals != NULL) {
        int o = option_at(typed);

        (void)snprintf(before, sizeof before, "%.*s=", (int)(equals - typed), typed);
        if (o >= 0)
            offer_values(&cli_options[o], before, equals + 1);
        return;
    }
    for (int i = 0; i < CLI_N_OPTIONS; i++) {
        if (!cli_takes(t->command, i) || cli_options[i].help == NULL)
            continue;
        (void)snprintf(before, sizeof before, "--%s", cli_options[i].name);
        offer(before, strlen(before), "", typed);
    }
}

/* First words; or the second ones of FIRST. */
static void offer_commands(const char *first, const char *typed)
{
    const char *last = "";

    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        size_t len = strcspn(c->name, " ");

        if (first != NULL) {
            if (c->name[len] == ' ' && strlen(first) == len && strncmp(c->name, first, len) == 0)
                offer(c->name + len + 1, strlen(c->name + len + 1), "", typed);
        } else if (strncmp(last, c->name, len) != 0 || (last[len] != ' ' && last[len] != '\0')) {
            offer(c->name, len, "", typed);
        }
        last = c->name;
    }
}

static int offer_run(void *ctx, const struct kedge_run_info *info)
{
    char *id = cli_escape(info->id, true);

    (void)ctx;
    if (id != NULL)
        (void)printf("%s\n", id);
    free(id);
    return 0;
}

static void offer_runs(const struct typing *t, const char *typed)
{
    const char *url = t->given[CLI_STORE] != NULL ? t->given[CLI_STORE] : getenv("KEDGE_STORE");
    struct kedge_store_options options = KEDGE_STORE_OPTIONS_INIT;
    struct kedge_run_filter filter = KEDGE_RUN_FILTER_INIT;
    struct kedge_store *store = NULL;
    char *prefix = strdup(typed);

    options.backend = t->given[CLI_BACKEND];
    options.ns = t->given[CLI_NAMESPACE];
    options.backend_options = t->backend_opts.joined;
    if (url != NULL && prefix != NULL &&
        kedge_store_open(url, &options, &store, NULL) == KEDGE_OK) {
        filter.limit = MOST_IDS;
        filter.statuses = t->command->statuses;
        filter.id_prefix = (struct kedge_bytes){ prefix, cli_unescape(prefix) };
        (void)kedge_run_list(store, &filter, offer_run, NULL, LOOK_US, NULL);
        kedge_store_close(store);
    }
    free(prefix);
}

static void complete(char *const *words, int n)
{
    struct typing t = { .command = NULL };
    const char *typed = n > 0 ? words[n - 1] : "";

    read_typed(&t, words, n > 0 ? n - 1 : 0);
    if (t.valued != NULL) {
        offer_values(t.valued, "", typed);
        return;
    }
    if (typed[0] == '-') {
        offer_options(&t, typed);
        return;
    }
    if (t.command == NULL || t.first != NULL)
        offer_commands(t.first, typed);
    if (t.command == NULL)
        return;
    if (t.command->word == CLI_WORD_RUN)
        offer_runs(&t, typed);
    else if (t.command->word == CLI_WORD_COMMAND)
        offer_commands(NULL, typed);
    else if (t.command->word == CLI_WORD_WORKLOAD)
        offer_values(&(struct cli_option){ .words = CLI_WORKLOADS }, "", typed);
}

enum cli_exit cli_completion(const struct cli *cli)
{
    const char *what = cli->words[0];

    if (strcmp(what, "words") == 0) {
        complete(cli->words + 1, cli->n_words - 1);
        return CLI_EXIT_OK;
    }
    if (cli->n_words > 1)
        return cli_usage(cli, "one word too many:", cli->words[1]);
    if (strcmp(what, "bash") == 0)
        (void)fputs(bash, stdout);
    else if (strcmp(what, "zsh") == 0)
        (void)fputs(zsh, stdout);
    else if (strcmp(what, "fish") == 0)
        (void)fputs(fish, stdout);
    else
        return cli_usage(cli, "there is no completion for", what);
    return CLI_EXIT_OK;
}
