#include "symbolize/table.h"

#include "symbolize/paint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_TEXT_BYTES = 1 << 30,
    MAX_ITEMS = 1 << 28,
};

static void pool_done(struct table_pool *p)
{
    free(p->items);
    free(p->slots);
}

void table_done(struct table *t)
{
    free(t->text);
    free(t->text_slots);
    pool_done(&t->functions);
    pool_done(&t->files);
    pool_done(&t->places);
    free(t->readable.items);
    free(t->ranges.items);
    free(t->symbols.items);
    free(t->covered.items);
    *t = (struct table){0};
}

static uint32_t hash_bytes(const void *p, size_t n)
{
    const uint8_t *b = p;
    uint64_t h = 0x9e3779b97f4a7c15u ^ n;
    for (; n >= 8; n -= 8, b += 8) {
        uint64_t v;
        memcpy(&v, b, 8);
        h = (h ^ v) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    for (; n; n--)
        h = (h ^ *b++) * 0xff51afd7ed558ccdu;
    return (uint32_t)(h ^ h >> 32);
}

/* Slots for twice as many items as there are, a power of two. */
static uint32_t *slots_for(uint32_t n, uint32_t *ret_n)
{
    uint32_t slots = 256;
    while (slots < n * 2 + 2)
        slots *= 2;
    *ret_n = slots;
    return calloc(slots, sizeof(uint32_t));
}

static int pool_rehash(struct table_pool *p, size_t size)
{
    uint32_t n_slots, *slots = slots_for(p->n * 2, &n_slots);
    if (!slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t at = hash_bytes((char *)p->items + i * size, size) & (n_slots - 1);
        while (slots[at])
            at = (at + 1) & (n_slots - 1);
        slots[at] = i + 1;
    }
    free(p->slots);
    p->slots = slots;
    p->n_slots = n_slots;
    return 0;
}

static int pool_add(struct table_pool *p, const void *item, size_t size, uint32_t *ret)
{
    if (p->n * 2 + 2 > p->n_slots) {
        int err = pool_rehash(p, size);
        if (err < 0)
            return err;
    }
    uint32_t at = hash_bytes(item, size) & (p->n_slots - 1);
    for (; p->slots[at]; at = (at + 1) & (p->n_slots - 1)) {
        if (!memcmp((char *)p->items + (p->slots[at] - 1) * size, item, size)) {
            *ret = p->slots[at] - 1;
            return 0;
        }
    }
    if (p->n == p->max) {
        uint32_t max = p->max > 64 ? 2 * p->max : 128;
        if (max > MAX_ITEMS)
            return -E2BIG;
        void *more = realloc(p->items, max * size);
        if (!more)
            return -ENOMEM;
        p->items = more;
        p->max = max;
    }
    memcpy((char *)p->items + p->n * size, item, size);
    *ret = p->n++;
    p->slots[at] = p->n;
    return 0;
}

static int rehash_text(struct table *t)
{
    uint32_t n_slots, *slots = slots_for(t->n_strings * 2, &n_slots);
    if (!slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->n_text_slots; i++) {
        if (!t->text_slots[i])
            continue;
        const char *s = t->text + t->text_slots[i] - 1;
        uint32_t at = hash_bytes(s, strlen(s)) & (n_slots - 1);
        while (slots[at])
            at = (at + 1) & (n_slots - 1);
        slots[at] = t->text_slots[i];
    }
    free(t->text_slots);
    t->text_slots = slots;
    t->n_text_slots = n_slots;
    return 0;
}

int table_string(struct table *t, const char *s, size_t n, uint32_t *ret)
{
    if (t->n_strings * 2 + 2 > t->n_text_slots) {
        int err = rehash_text(t);
        if (err < 0)
            return err;
    }
    uint32_t at = hash_bytes(s, n) & (t->n_text_slots - 1);
    for (; t->text_slots[at]; at = (at + 1) & (t->n_text_slots - 1)) {
        const char *have = t->text + t->text_slots[at] - 1;
        if (!strncmp(have, s, n) && !have[n]) {
            *ret = t->text_slots[at] - 1;
            return 0;
        }
    }
    if (n >= MAX_TEXT_BYTES - t->n_text)
        return -E2BIG;
    if (n + 1 > t->max_text - t->n_text) {
        uint32_t max = t->max_text > 4096 ? t->max_text : 4096;
        while (max - t->n_text < n + 1)
            max *= 2;
        char *more = realloc(t->text, max);
        if (!more)
            return -ENOMEM;
        t->text = more;
        t->max_text = max;
    }
    memcpy(t->text + t->n_text, s, n);
    t->text[t->n_text + n] = 0;
    *ret = t->n_text;
    t->text_slots[at] = t->n_text + 1;
    t->n_text += (uint32_t)n + 1;
    t->n_strings++;
    return 0;
}

int table_function(struct table *t, const struct table_function *f, uint32_t *ret)
{
    return pool_add(&t->functions, f, sizeof *f, ret);
}

int table_file(struct table *t, const struct table_file *f, uint32_t *ret)
{
    return pool_add(&t->files, f, sizeof *f, ret);
}

int table_place(struct table *t, const struct table_place *p, uint32_t *ret)
{
    return pool_add(&t->places, p, sizeof *p, ret);
}

static int list_add(struct table_list *l, const void *item, size_t size)
{
    if (l->n == l->max) {
        size_t max = l->max > 64 ? 2 * l->max : 128;
        if (max > MAX_ITEMS)
            return -E2BIG;
        void *more = realloc(l->items, max * size);
        if (!more)
            return -ENOMEM;
        l->items = more;
        l->max = max;
    }
    memcpy((char *)l->items + l->n++ * size, item, size);
    return 0;
}

int table_add_range(struct table *t, uint64_t low, uint64_t high, uint32_t place)
{
    struct table_range r = {.low = low, .high = high, .place = place};
    struct table_range *last =
        t->ranges.n > t->n_sorted
            ? (struct table_range *)t->ranges.items + t->ranges.n - 1
            : NULL;
    if (low >= high)
        return 0;
    if (last && last->high == low && last->place == place) {
        last->high = high;
        return 0;
    }
    return list_add(&t->ranges, &r, sizeof r);
}

int table_add_symbol(struct table *t, const struct table_symbol *s)
{
    return list_add(&t->symbols, s, sizeof *s);
}

int table_add_covered(struct table *t, uint64_t low, uint64_t high)
{
    struct table_covered c = {low, high};
    return low < high ? list_add(&t->covered, &c, sizeof c) : 0;
}

int table_add_readable(struct table *t, uint32_t function, const char *name)
{
    static const uint32_t none = TABLE_NONE;
    uint32_t text;
    int err = table_string(t, name, strlen(name), &text);
    while (err == 0 && t->readable.n <= function)
        err = list_add(&t->readable, &none, sizeof none);
    if (err == 0)
        ((uint32_t *)t->readable.items)[function] = text;
    return err;
}

static int range_by_low(const void *a, const void *b)
{
    const struct table_range *x = a, *y = b;
    return x->low < y->low ? -1 : x->low > y->low;
}

static int symbol_by_low(const void *a, const void *b)
{
    const struct table_symbol *x = a, *y = b;
    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    if (x->high != y->high)
        return x->high < y->high ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->n_aliases != y->n_aliases)
        return x->n_aliases < y->n_aliases ? -1 : 1;
    return x->name < y->name ? -1 : x->name > y->name;
}

static int covered_by_low(const void *a, const void *b)
{
    const struct table_covered *x = a, *y = b;
    return x->low < y->low ? -1 : x->low > y->low;
}

/* Let the ranges added first show where they overlap: lay them over the later ones. */
static int resolve_overlap(struct table *t, const struct table_range *added)
{
    struct paints p = {0};
    for (size_t i = t->ranges.n; i-- > 0;) {
        int err = paints_add(&p, added[i].low, added[i].high, added[i].place);
        if (err < 0) {
            free(p.p);
            return err;
        }
    }
    int err = paints_flatten(&p);
    t->ranges.n = 0;
    for (size_t i = 0; err == 0 && i < p.n; i++) {
        struct table_range r = {
            .low = p.p[i].low, .high = p.p[i].high, .place = p.p[i].id};
        err = list_add(&t->ranges, &r, sizeof r);
    }
    free(p.p);
    return err;
}

static int settle_ranges(struct table *t)
{
    size_t n = t->ranges.n, size = sizeof(struct table_range);
    if (n == t->n_sorted)
        return 0;
    CLEANUP(free_p) struct table_range *added = malloc(n * size);
    if (!added) {
        t->ranges.n = t->n_sorted = 0; /* unsorted ones would answer wrongly */
        return -ENOMEM;
    }
    memcpy(added, t->ranges.items, n * size);
    struct table_range *r = t->ranges.items;
    qsort(r, n, size, range_by_low);
    bool overlap = false;
    for (size_t i = 1; i < n; i++)
        overlap |= r[i].low < r[i - 1].high;
    int err = overlap ? resolve_overlap(t, added) : 0;
    if (err < 0)
        t->ranges.n = 0;
    t->n_sorted = t->ranges.n;
    return err;
}

static void settle_covered(struct table *t)
{
    struct table_covered *c = t->covered.items;
    size_t n = 0;
    if (t->covered.n)
        qsort(c, t->covered.n, sizeof *c, covered_by_low);
    for (size_t i = 0; i < t->covered.n; i++) {
        if (n && c[i].low <= c[n - 1].high) {
            if (c[i].high > c[n - 1].high)
                c[n - 1].high = c[i].high;
        } else {
            c[n++] = c[i];
        }
    }
    t->covered.n = n;
}

int table_settle(struct table *t)
{
    int err = settle_ranges(t);
    struct table_symbol *s = t->symbols.items;
    size_t n = 0;
    if (t->symbols.n)
        qsort(s, t->symbols.n, sizeof *s, symbol_by_low);
    for (size_t i = 0; i < t->symbols.n; i++) {
        if (!n || memcmp(&s[i], &s[n - 1], sizeof *s) != 0)
            s[n++] = s[i];
    }
    t->symbols.n = n;
    settle_covered(t);
    return err;
}

static int copy_pool(const struct table_pool *from, size_t size, struct table_pool *ret)
{
    ret->items = malloc(from->n ? from->n * size : 1);
    if (!ret->items)
        return -ENOMEM;
    memcpy(ret->items, from->items, from->n * size);
    ret->n = ret->max = from->n;
    return pool_rehash(ret, size);
}

static int copy_places(const struct table *from, struct table_pool *ret)
{
    uint32_t n = (uint32_t)from->packed_places.n;
    struct table_place *p = malloc(n ? n * sizeof *p : 1);
    if (!p)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        if (!table_place_at(from, i, &p[i]))
            p[i] = (struct table_place){.function = TABLE_NONE};
    }
    ret->items = p;
    ret->n = ret->max = n;
    return pool_rehash(ret, sizeof *p);
}

/* Ranges of the edges. A gap is none: something may be found out about it. */
static int copy_ranges(const struct table *from, struct table *t)
{
    const uint64_t *first = from->edge_steps.items;
    struct table_range last = {.place = TABLE_NONE};
    int err = 0;
    for (size_t i = 0; err == 0 && i < from->edges.n; i++) {
        if (i / TABLE_STEP >= from->edge_steps.n)
            break;
        last.high = first[i / TABLE_STEP] + packed_number(&from->edges, i, 0);
        if (last.place != TABLE_NONE && last.low < last.high)
            err = list_add(&t->ranges, &last, sizeof last);
        last.low = last.high;
        last.place = packed_number(&from->edges, i, 1);
    }
    t->n_sorted = t->ranges.n;
    return err;
}

static int copy_list(const struct table_list *from, size_t size, struct table_list *ret)
{
    ret->items = malloc(from->n ? from->n * size : 1);
    if (!ret->items)
        return -ENOMEM;
    memcpy(ret->items, from->items, from->n * size);
    ret->n = ret->max = from->n;
    return 0;
}

/* Enter the strings of copied text, so that they are found again. */
static int enter_strings(struct table *t)
{
    for (uint32_t at = 0; at < t->n_text;) {
        size_t n = strlen(t->text + at);
        if (t->n_strings * 2 + 2 > t->n_text_slots) {
            int err = rehash_text(t);
            if (err < 0)
                return err;
        }
        uint32_t slot = hash_bytes(t->text + at, n) & (t->n_text_slots - 1);
        while (t->text_slots[slot])
            slot = (slot + 1) & (t->n_text_slots - 1);
        t->text_slots[slot] = at + 1;
        t->n_strings++;
        at += (uint32_t)n + 1;
    }
    return 0;
}

int table_copy(const struct table *from, struct table *ret)
{
    struct table t = {0};
    int err = copy_pool(&from->functions, sizeof(struct table_function), &t.functions);
    if (err == 0)
        err = copy_pool(&from->files, sizeof(struct table_file), &t.files);
    if (err == 0)
        err = copy_places(from, &t.places);
    if (err == 0)
        err = copy_list(&from->readable, sizeof(uint32_t), &t.readable);
    if (err == 0)
        err = copy_ranges(from, &t);
    if (err == 0)
        err = copy_list(&from->symbols, sizeof(struct table_symbol), &t.symbols);
    if (err == 0)
        err = copy_list(&from->covered, sizeof(struct table_covered), &t.covered);
    t.text = malloc(from->n_text ? from->n_text : 1);
    if (err == 0 && !t.text)
        err = -ENOMEM;
    if (err == 0) {
        memcpy(t.text, from->text, from->n_text);
        t.n_text = t.max_text = from->n_text;
        err = enter_strings(&t);
    }
    if (err < 0) {
        table_done(&t);
        return err;
    }
    *ret = t;
    return 0;
}
