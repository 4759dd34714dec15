/** Pieces of the HTML page that `knell report` writes. Captured text is escaped twice
 * over: made visible as for a terminal, then for HTML. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Text between tags or inside a quoted attribute; NULL is nothing. */
void html_text(FILE *f, const char *s);

/* Everything from the doctype to <body>'s content, with the style sheet inside: no
 * network and no script is needed to read the page. */
void html_begin(FILE *f, const char *title);
void html_end(FILE *f);

/* Bars of one series, stacked on others. Counts are @n_series rows of @n_buckets. */
struct html_chart {
    const uint32_t *counts;
    size_t n_series, n_buckets;
    int64_t from_ms, bucket_ms;
    bool utc;
    const char *const *names; /* of the series, for the tooltips */
    const char *label;        /* what the picture shows, for readers that cannot see it */
    unsigned height;          /* in units of the picture, 600 wide */
};
void html_chart(FILE *f, const struct html_chart *c);
