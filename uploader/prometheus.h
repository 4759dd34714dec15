/**
 * Figures of the spools as a Prometheus text file, for node_exporter's textfile folder.
 * Source: Prometheus, exposition formats, text format.
 */
#pragma once
#include "uploader/spool/dir.h"

#include <stdio.h>

enum prometheus_metric {
    PROMETHEUS_REPORTS,
    PROMETHEUS_SENT,
    PROMETHEUS_DEFERRED,
    PROMETHEUS_QUARANTINED,
    PROMETHEUS_LAST_PASS,
    PROMETHEUS_N_METRICS,
};

/* The rows of a metric, which grow spool by spool: in the file they stand together. */
struct prometheus {
    struct prometheus_rows {
        char *text;
        size_t n;
        FILE *stream;
    } rows[PROMETHEUS_N_METRICS];
};

/* Returns 0 or -ENOMEM. */
int prometheus_begin(struct prometheus *p) MUST_CHECK;
/* The figures of one spool after its pass; without memory they are left out. */
void prometheus_add(struct prometheus *p, const struct spool *s);
/* Replace the file whole. Returns 0 or a negative errno; always frees. */
int prometheus_end(struct prometheus *p, const char *path) MUST_CHECK;
