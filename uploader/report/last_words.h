/**
 * A handler began and no report was committed: the report that its last words in the
 * journal make (struct knell_journal_crash). Hostile like all of the journal.
 */
#pragma once
#include "uploader/report/journal.h"

struct last_words {
    struct knell_journal_crash crash; /* whole: its sum matched; n_stack within bounds */
    const uint8_t *modules;           /* into the image; NULL: none */
    size_t n_modules;                 /* bytes */
};

/**
 * @image  of the whole file, @n bytes, borrowed
 * @head   of it, checked
 * Returns whether the journal has any.
 */
bool last_words_find(const uint8_t *image, size_t n,
    const struct knell_journal_head *head, struct last_words *ret);

/**
 * @image  what of the journal belongs into the report, @n_image bytes
 * @ret    malloc'd
 * Returns 0 or -ENOMEM.
 */
int last_words_report(const struct last_words *w, const struct knell_journal_head *head,
    const uint8_t *image, size_t n_image, uint8_t **ret, size_t *ret_n) MUST_CHECK;
