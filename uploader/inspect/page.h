/** The HTML page of `knell report`: one part per signature. */
#pragma once
#include "uploader/inspect/groups.h"

#include <stdio.h>

enum {
    PAGE_BUCKETS = 60,
    PAGE_SERIES = 6, /* with a colour of their own */
    PAGE_ROWS = 300, /* of the table of signatures */
    PAGE_SECTIONS = 50,
    PAGE_CRUMBS = 15,
    PAGE_REPORTS = 10,
    PAGE_FRAMES = 40,
};

struct page {
    struct session *s;
    struct store *t;
    const struct selection *x;
    const struct groups *g;
    FILE *f;
    int64_t from_ms, bucket_ms;
};

/* What a signature is, in a line: signal, function, file. */
void page_title(struct page *p, const struct group *g);
/* @at      its place among the signatures: the colour of its trend
 * @counts  PAGE_BUCKETS counts */
void page_section(
    struct page *p, const struct group *g, size_t at, const uint32_t *counts);
