/* table.h - text for people: tables, times, bytes that may be anything */
#ifndef KEDGE_CLI_TABLE_H
#define KEDGE_CLI_TABLE_H

#include <libsmartcols.h>
#include <stddef.h>
#include <stdint.h>

#include <kedge/run.h>

/* A table with these columns, the N_RIGHT named by bits in RIGHT adjusted to the right. NULL: no
   memory. */
struct libscols_table *cli_table_new(const char *const *columns, size_t n, uint32_t right);

/*
 * BYTES as text that is safe to print: what is not a printable character of the locale is \xHH, and
 * a backslash is \\.  To be freed; NULL: no memory.
 */
char *cli_escape(struct kedge_bytes bytes);

/* The other way round, in place.  Answers the length; what is no escape stays as it is. */
size_t cli_unescape(char *text);

#define CLI_TIME_SIZE 32
/* UTC, to the millisecond: 2026-01-31T12:00:00.000Z; "-" for 0. */
const char *cli_time(int64_t us, char buf[CLI_TIME_SIZE]);

/* Its first column shows what hangs on what: lines get their parent when they are made. */
void cli_table_tree(struct libscols_table *table);
/* The line of the last step that STEP comes after, of those in the table; NULL: none. */
struct libscols_line *cli_table_parent(struct libscols_table *table,
                                       const struct kedge_step_info *step);

#endif
