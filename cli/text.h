/* text.h - text for people and for JSON: times, and bytes that may be anything */
#ifndef KEDGE_CLI_TEXT_H
#define KEDGE_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kedge/base.h>

/*
 * BYTES as text that is safe to print: what is not a printable character is \xHH, and a backslash
 * is \\.  Printable in UTF-8, and for a terminal (LOCALE) also in the locale.  To be freed; NULL:
 * no memory.
 */
char *cli_escape(struct kedge_bytes bytes, bool locale);

/* The same for a sentence, in which names may be escaped already: a backslash stays as it is. */
char *cli_printable(const char *text, bool locale);

/* The other way round, in place.  Answers the length; what is no escape stays as it is. */
size_t cli_unescape(char *text);

#define CLI_TIME_SIZE 40
/* UTC with so many digits of a second, 3 or 6: 2026-01-31T12:00:00.000Z; "-" for 0. */
const char *cli_time(int64_t us, int digits, char buf[CLI_TIME_SIZE]);

#define CLI_SPAN_SIZE 32
/* "950us", "1.5s", "2h03m" */
const char *cli_span_text(int64_t us, char buf[CLI_SPAN_SIZE]);

#endif
