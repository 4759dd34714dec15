#include "crash/tags.h"

#include "crash/text.h"

enum { FREE = 0, READY = 1, CLAIMED = 2, N_PATIENCE = 1000 };

size_t kn_tag_key(const char *key, char out[static KNELL_MAX_TAG_KEY], int *cut)
{
    size_t n = 0;
    for (; key && key[n] && n < KNELL_MAX_TAG_KEY; n++) {
        char c = key[n], lower = (char)(c | 0x20);
        bool good = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= ':') ||
                    c == '.' || c == '-' || c == '_';
        out[n] = good ? c : '_';
    }
    if (key && n == KNELL_MAX_TAG_KEY && key[n])
        *cut = 1;
    return n;
}

size_t kn_tag_value(const char *value, char out[static KNELL_MAX_TAG_VALUE], int *cut)
{
    bool was_cut = false;
    size_t n = kn_text_cut(value, KNELL_MAX_TAG_VALUE, &was_cut);
    memcpy(out, value, n);
    for (char *p = out; (p = memchr(p, '\n', (size_t)(out + n - p)));)
        *p = ' ';
    if (was_cut)
        *cut = 1;
    return n;
}

/* Wait for a key that another thread is writing at this moment: a few stores long, so
 * giving up means that the other thread was taken off its processor. */
static int settled(const struct knell_journal_tag *t)
{
    int ready = __atomic_load_n(&t->ready, __ATOMIC_ACQUIRE);
    for (int i = 0; ready == CLAIMED && i < N_PATIENCE; i++)
        ready = __atomic_load_n(&t->ready, __ATOMIC_ACQUIRE);
    return ready;
}

static struct knell_journal_tag *find(
    struct knell_journal_tag *table, const char *key, size_t n_key)
{
    uint32_t hash = knell_journal_sum(key, n_key, 0);
    for (uint32_t i = 0; i < KNELL_GLOBAL_TAGS; i++) {
        struct knell_journal_tag *t = &table[(hash + i) % KNELL_GLOBAL_TAGS];
        int ready = settled(t);
        uint8_t expected = FREE;
        if (ready == FREE && __atomic_compare_exchange_n(&t->ready, &expected, CLAIMED,
                                 false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            memcpy(t->key, key, n_key);
            t->n_key = (uint8_t)n_key;
            t->hash = hash;
            __atomic_store_n(&t->ready, READY, __ATOMIC_RELEASE);
            return t;
        }
        if (ready == FREE)
            ready = settled(t);
        if (ready != READY)
            return NULL;
        if (t->hash == hash && t->n_key == n_key && !memcmp(t->key, key, n_key))
            return t;
    }
    return NULL;
}

int kn_tag_set(struct knell_journal_tag *table, const char *key, const char *value)
{
    char clean[KNELL_MAX_TAG_KEY];
    int cut = 0;
    size_t n_key = kn_tag_key(key, clean, &cut);
    struct knell_journal_tag *t = n_key ? find(table, clean, n_key) : NULL;
    if (!t)
        return KN_TAG_LOST;

    uint64_t seq = __atomic_load_n(&t->seq, __ATOMIC_RELAXED);
    if (seq & 1 || !__atomic_compare_exchange_n(
                       &t->seq, &seq, seq + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return 0;
    uint64_t version = seq / 2 + 1;
    struct knell_journal_tag_value *v = &t->values[version & 1];
    v->sum = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    size_t n = value ? kn_tag_value(value, v->text, &cut) : 0;
    v->n_text = (uint16_t)(value ? n : 0xffff);
    v->version = version;
    uint32_t sum = knell_journal_sum(v->text, n, version << 16 ^ v->n_text);
    __atomic_store_n(&v->sum, sum, __ATOMIC_RELEASE);
    __atomic_store_n(&t->seq, seq + 2, __ATOMIC_RELEASE);
    return cut ? KN_TAG_WAS_CUT : 0;
}
