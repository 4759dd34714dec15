#include "crash/text.h"

#include <knell/scope.h>

const void *kn_value_bytes(
    const struct knell_data *value, uint8_t *ret_type, size_t *ret_n, bool *cut)
{
    switch (value->type) {
    case KNELL_DATA_INT:
        *ret_type = KNELL_VALUE_INT;
        *ret_n = 8;
        return &value->value.integer;
    case KNELL_DATA_DOUBLE:
        *ret_type = KNELL_VALUE_DOUBLE;
        *ret_n = 8;
        return &value->value.real;
    case KNELL_DATA_BOOL:
        *ret_type = KNELL_VALUE_BOOL;
        *ret_n = 1;
        /* The low byte of 0 or 1: knell runs on little-endian machines only. */
        return &value->value.integer;
    case KNELL_DATA_TEXT:
        break;
    }
    *ret_type = KNELL_VALUE_TEXT;
    *ret_n = kn_text_cut(value->value.text, KNELL_VALUE_MAX, cut);
    return value->value.text ? value->value.text : "";
}

static size_t pair(uint8_t *out, size_t room, const char *key, size_t n_key, uint8_t type,
    const void *value, size_t n_value)
{
    struct knell_journal_pair p = {
        .type = type, .n_key = (uint8_t)n_key, .n_value = (uint16_t)n_value};
    size_t n = sizeof p + n_key + n_value;
    if (n > room)
        return 0;
    memcpy(out, &p, sizeof p);
    memcpy(out + sizeof p, key, n_key);
    memcpy(out + sizeof p + n_key, value, n_value);
    return n;
}

size_t kn_pairs_put(
    uint8_t *out, size_t room, const struct knell_data *values, size_t n, bool *cut)
{
    size_t at = 0;
    for (size_t i = 0; values && i < n; i++) {
        uint8_t type;
        size_t n_value, n_key = kn_text_cut(values[i].key, KNELL_KEY_MAX, cut);
        const void *bytes = kn_value_bytes(&values[i], &type, &n_value, cut);
        size_t head = sizeof(struct knell_journal_pair) + n_key;
        if (type == KNELL_VALUE_TEXT && head < room - at && n_value > room - at - head)
            n_value = kn_text_cut(bytes, room - at - head, cut);
        size_t wrote =
            n_key ? pair(out + at, room - at, values[i].key, n_key, type, bytes, n_value)
                  : 0;
        if (!wrote)
            *cut = true;
        at += wrote;
    }
    return at;
}

size_t kn_pair_text(
    uint8_t *out, size_t room, const char *key, const char *text, size_t max, bool *cut)
{
    size_t head = sizeof(struct knell_journal_pair) + strlen(key);
    if (!text || head > room)
        return 0;
    size_t n = kn_text_cut(text, max < room - head ? max : room - head, cut);
    return pair(out, room, key, strlen(key), KNELL_VALUE_TEXT, text, n);
}
