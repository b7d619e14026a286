/* table.c - text for people: tables, times, bytes that may be anything */
#include <config.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

#include "table.h"

struct libscols_table *cli_table_new(const char *const *columns, size_t n, uint32_t right)
{
    struct libscols_table *table = scols_new_table();

    if (table == NULL)
        return NULL;
    (void)scols_table_enable_noencoding(table, 1); /* what goes in has been escaped already */
    for (size_t i = 0; i < n; i++) {
        int flags = (right & (UINT32_C(1) << i)) != 0 ? SCOLS_FL_RIGHT : 0;

        if (scols_table_new_column(table, columns[i], 0, flags) == NULL) {
            scols_unref_table(table);
            return NULL;
        }
    }
    return table;
}

void cli_table_tree(struct libscols_table *table)
{
    struct libscols_column *column = scols_table_get_column(table, 0);

    (void)scols_column_set_flags(column, scols_column_get_flags(column) | SCOLS_FL_TREE);
}

struct libscols_line *cli_table_parent(struct libscols_table *table,
                                       const struct kedge_step_info *step)
{
    bool found = false;
    uint32_t last = 0;

    for (size_t i = 0; i < step->n_after; i++) {
        if (step->after[i] < step->index && (!found || step->after[i] > last)) {
            found = true;
            last = step->after[i];
        }
    }
    return found ? scols_table_get_line(table, last) : NULL;
}

/* How many bytes at TEXT are one character that may be shown as it is; 0: none. */
static size_t printable(const char *text, size_t len, mbstate_t *state)
{
    wchar_t c;
    size_t n = mbrtowc(&c, text, len, state);

    if (n == (size_t)-1 || n == (size_t)-2) {
        memset(state, 0, sizeof *state);
        return 0;
    }
    /* What has no width might hide, or change the order of, its neighbours. */
    return n != 0 && iswprint((wint_t)c) != 0 && wcwidth(c) > 0 ? n : 0;
}

char *cli_escape(struct kedge_bytes bytes)
{
    const char *from = bytes.data;
    size_t left = bytes.len;
    char *text = malloc(4 * bytes.len + 1);
    char *to = text;
    mbstate_t state;

    if (text == NULL)
        return NULL;
    memset(&state, 0, sizeof state);
    while (left > 0) {
        size_t n = printable(from, left, &state);

        if (n == 0) {
            to += sprintf(to, "\\x%02x", (unsigned)(unsigned char)*from);
            n = 1;
        } else {
            if (*from == '\\')
                *to++ = '\\';
            memcpy(to, from, n);
            to += n;
        }
        from += n;
        left -= n;
    }
    *to = '\0';
    return text;
}

static int digit(char c)
{
    const char *const digits = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

size_t cli_unescape(char *text)
{
    const char *from = text;
    char *to = text;

    while (*from != '\0') {
        if (from[0] == '\\' && from[1] == '\\') {
            *to++ = '\\';
            from += 2;
        } else if (from[0] == '\\' && from[1] == 'x' && digit(from[2]) >= 0 &&
                   digit(from[3]) >= 0) {
            *to++ = (char)(digit(from[2]) * 16 + digit(from[3]));
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    return (size_t)(to - text);
}

const char *cli_time(int64_t us, char buf[CLI_TIME_SIZE])
{
    int64_t fraction = us % 1000000;
    time_t seconds;
    struct tm tm;
    size_t len;

    if (fraction < 0)
        fraction += 1000000;
    seconds = (time_t)((us - fraction) / 1000000);
    len = us != 0 && gmtime_r(&seconds, &tm) != NULL
              ? strftime(buf, CLI_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm)
              : 0;
    if (len == 0 || len + 6 > CLI_TIME_SIZE)
        (void)snprintf(buf, CLI_TIME_SIZE, "-");
    else
        (void)snprintf(buf + len, CLI_TIME_SIZE - len, ".%03dZ", (int)(fraction / 1000));
    return buf;
}
