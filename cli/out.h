/*
 * out.h - what a command prints: the same rows as a table, as key=value lines, or as JSON
 *
 * A command says what it knows, member by member; how that looks is decided here.  Put what is
 * known into the current row, end the row, and so on; end the output.  A failure to find memory is
 * kept and told at the end.
 */
#ifndef KEDGE_CLI_OUT_H
#define KEDGE_CLI_OUT_H

#include "cli.h"

struct cli_out;

/* Many rows: a table, printed at the end; in JSON an array, printed as it comes. */
struct cli_out *cli_out_table(const struct cli *cli, const struct cli_field *fields);
/* The same as a tree: lines get a parent. */
struct cli_out *cli_out_tree(const struct cli *cli, const struct cli_field *fields);
/* One row: lines key=value, or an object.  Without fields, facts alone. */
struct cli_out *cli_out_record(const struct cli *cli, const struct cli_field *fields);

void cli_put_bytes(struct cli_out *out, size_t field,
                   struct kedge_bytes bytes);                           /* empty: not put */
void cli_put_text(struct cli_out *out, size_t field, const char *text); /* NULL: likewise */
/* Lines of our own, which are not escaped, for JSON only. */
void cli_put_lines(struct cli_out *out, size_t field, const char *text);
void cli_put_number(struct cli_out *out, size_t field, uint64_t n); /* also CLI_BOOL */
void cli_put_time(struct cli_out *out, size_t field, int64_t us);   /* 0: not put */
void cli_put_id(struct cli_out *out, size_t field, const uint8_t *id,
                size_t len); /* 0s: likewise */
/* Of a list: one more string. */
void cli_put_item(struct cli_out *out, size_t field, struct kedge_bytes item);
/* OUT is going to be part of another output. */
struct cli_out *cli_out_part(struct cli_out *out);
/* Of a list: the rows of such a part, which is ended by that; in JSON only. */
void cli_put_rows(struct cli_out *out, size_t field, struct cli_out *rows);
/* A member that no field knows of, by its own name; records only. */
void cli_put_fact(struct cli_out *out, const char *name, const char *value);
/* Show TEXT in the column of a member, instead of what was put; tables only. */
void cli_put_column(struct cli_out *out, size_t field, struct kedge_bytes text);

/* The row is complete.  PARENT: the number of another one, of a tree; -1: none. */
void cli_row_end(struct cli_out *out, long parent);
size_t cli_rows(const struct cli_out *out);
bool cli_out_failed(const struct cli_out *out);

/* Print what has not been printed, and free it.  CLI_EXIT_OK, or no memory, which was told. */
enum cli_exit cli_out_end(struct cli_out *out);
/* Free it without that. */
void cli_out_drop(struct cli_out *out);

#endif
