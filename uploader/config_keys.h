/* The table of configuration keys, and text to values and back. */
#pragma once
#include "uploader/config.h"

struct config_key {
    const char *section, *key;
    enum config_type type;
    size_t offset;       /* in struct config */
    const char *initial; /* text of the built-in value; NULL: none */
    const char *words;   /* CONFIG_CHOICE: words separated by '|' */
    const char *doc;
};

extern const struct config_key config_keys[];
extern const size_t config_n_key_table;

/* Returns the index or -ENOENT. */
int config_find_key(const char *section, const char *key) MUST_CHECK;

/* Set @c's field from text. Returns 0, -EINVAL for text that is no such value, -ENOMEM;
 * on failure the field keeps its value. */
int config_value_set(
    struct config *c, const struct config_key *k, const char *text) MUST_CHECK;
/* The field as text, secrets masked. */
void config_value_format(
    const struct config *c, const struct config_key *k, char *out, size_t n);
/* Free what a text field holds. */
void config_value_done(struct config *c, const struct config_key *k);
