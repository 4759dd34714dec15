/* Figures of the spools as a Prometheus text file, for node_exporter's textfile folder.
 */
#pragma once
#include "uploader/spool/dir.h"

#include <stdio.h>

struct prometheus {
    char *text; /* grows spool by spool */
    size_t n;
    FILE *stream;
};

/* Returns 0 or -ENOMEM. */
int prometheus_begin(struct prometheus *p) MUST_CHECK;
/* The figures of one spool after its pass; without memory they are left out. */
void prometheus_add(struct prometheus *p, const struct spool *s);
/* Replace the file whole. Returns 0 or a negative errno; always frees. */
int prometheus_end(struct prometheus *p, const char *path) MUST_CHECK;
