/* hdr_log.h - histograms as others read them: HdrHistogram's V2 encoding, and its log format */
#ifndef KEDGE_BENCH_HDR_LOG_H
#define KEDGE_BENCH_HDR_LOG_H

#include <stdio.h>

#include "harness.h"

/* "HISTFAAA...": compressed as the format asks for, but stored; to be freed.  "" for no samples. */
char *hdr_text(const struct samples *s);
void hdr_log_head(FILE *out, const char *what);
/* One interval, from START_S on, in seconds; TEXT is not "". */
void hdr_log_line(FILE *out, const char *tag, double start_s, double length_s, double max_us,
                  const char *text);

#endif
