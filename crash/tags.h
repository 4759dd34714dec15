/**
 * The global scope's tags: a hash table in shared memory, set by any thread without a
 * lock. A key keeps its slot for good. A value has two places: the new one is written
 * beside the old one and then counts, so that a death in between leaves the old one.
 */
#pragma once
#include <knell/journal.h>

enum kn_tag_result {
    KN_TAG_LOST = 1, /* the table is full, or the key is empty */
    KN_TAG_WAS_CUT = 2,
};

/**
 * When another thread is just setting the same tag, its value counts, as if it had come
 * right after this one; nobody waits.
 *
 * Context: any thread; not a signal handler.
 * @table  KNELL_GLOBAL_TAGS of them
 * @value  NULL: remove the tag
 * Returns 0 or enum kn_tag_result.
 */
int kn_tag_set(struct knell_journal_tag *table, const char *key, const char *value);

/**
 * A tag's key as servers accept it: other characters become '_'.
 *
 * Context: any.
 * @out  KNELL_MAX_TAG_KEY bytes, no NUL
 * @cut  set to true when the key was longer
 * Returns its length.
 */
size_t kn_tag_key(const char *key, char out[static KNELL_MAX_TAG_KEY], int *cut);

/**
 * A tag's value: without line breaks, at most KNELL_MAX_TAG_VALUE bytes.
 *
 * Context: any.
 */
size_t kn_tag_value(const char *value, char out[static KNELL_MAX_TAG_VALUE], int *cut);
