/*
 * runs.h - which runs a command is about: an id, the beginning of one, or a description
 */
#ifndef KEDGE_CLI_RUNS_H
#define KEDGE_CLI_RUNS_H

#include "cli.h"

/* Ids, each in memory of its own. */
struct cli_ids {
    struct kedge_bytes *all;
    size_t n;
    size_t room;
};
void cli_ids_free(struct cli_ids *ids);
bool cli_ids_add(struct cli_ids *ids, struct kedge_bytes id); /* a copy; false: no memory */

/* What the options describe.  FILTER borrows from CLI.  STATUSES: those looked at unless --state
   says otherwise; 0: all. */
enum cli_exit cli_filter(const struct cli *cli, struct kedge_store *store, uint32_t statuses,
                         struct kedge_run_filter *filter);

/*
 * The run that WORD names: its id, or the beginning of one that no other begins with.  WORD is
 * unescaped in place; *ID borrows from it, or is added to IDS.
 */
enum cli_exit cli_resolve(const struct cli *cli, struct kedge_store *store, char *word,
                          struct cli_ids *ids);

/* The runs that the command's words name, or its options describe, of those in its states. */
enum cli_exit cli_choose(const struct cli *cli, struct kedge_store *store, struct cli_ids *ids);

/* What is done to one run; fills its row, but for the id.  CLI_EXIT_OK: well done.  Otherwise
   MESSAGE says why not, and the row is not filled. */
#define CLI_MESSAGE_SIZE KEDGE_ERRMSG_MAX
struct cli_out;
typedef enum cli_exit cli_deed_fn(const struct cli *cli, struct kedge_store *store,
                                  struct kedge_bytes id, struct cli_out *out,
                                  char message[CLI_MESSAGE_SIZE]);

/* The message for RC, which is not OK, and the exit code. */
enum cli_exit cli_message(int rc, const struct kedge_error *err, char message[CLI_MESSAGE_SIZE]);

/*
 * Do DEED to the chosen runs, one after the other.  One run that was named: lines, and its own exit
 * status.  Else a table, after a question unless --yes was given, and CLI_EXIT_SOME if not all went
 * well.  With --dry-run it does nothing and tells of which runs it would.
 */
enum cli_exit cli_do(const struct cli *cli, cli_deed_fn *deed);

/* Who asks: --who, or user@host in BUF. */
const char *cli_who(const struct cli *cli, char *buf, size_t size);

#endif
