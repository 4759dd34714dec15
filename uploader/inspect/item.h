/**
 * What a report that no signal made is about: the handled error, message, hang or
 * obituary of stream KNELL_STREAM_ITEM.
 */
#pragma once
#include "uploader/inspect/explain.h"
#include "uploader/report/journal.h"
#include "uploader/spool/index.h"

struct item {
    struct knell_item_head head; /* kind 0: the report has none */
    const struct journal_pair *pairs;
    uint32_t n_pairs;
};

/* Texts live in the crash's arena. Returns 0 or -ENOMEM; what is unsound is left out. */
int item_read(const struct crash *c, struct item *ret) MUST_CHECK;

/* Fill @e's what, cause and notes. */
void item_explain(const struct item *x, struct explain *e);

enum index_kind item_kind(const struct item *x);
/* "warning", ...; "" for none. Static. */
const char *item_level(uint32_t level);
