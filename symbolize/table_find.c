#include "symbolize/cache.h"
#include "symbolize/table.h"

#include <string.h>

enum {
    PAGE = CACHE_PAGE_BYTES,
    SYMBOLS_BACK = 64, /* symbols that may begin inside one that holds them */
};

/* Whether @n bytes at @p can be looked at. */
static bool readable(const struct table *t, const void *p, size_t n)
{
    return !t->pages || t->whole || cache_need(t->pages, p, n);
}

/* In items [*low, *high): where those begin whose first 8 bytes are above @pc. Both end
 * there; false when something is not readable. */
static bool search(const struct table *t, const void *items, size_t size, uint64_t pc,
    size_t *low, size_t *high)
{
    while (*low < *high) {
        size_t middle = *low + (*high - *low) / 2;
        const char *item = (const char *)items + middle * size;
        uint64_t at;
        if (!readable(t, item, size))
            return false;
        memcpy(&at, item, sizeof at);
        if (at <= pc)
            *low = middle + 1;
        else
            *high = middle;
    }
    return true;
}

/* Index of the last item whose first 8 bytes are not above @pc; -1: none. */
static ptrdiff_t last_from(const struct table *t, const struct table_list *l,
    const struct table_list *steps, size_t size, uint64_t pc)
{
    size_t low = 0, high = l->n, step = 0, n_steps = steps ? steps->n : 0;
    if (n_steps) {
        if (!search(t, steps->items, sizeof(uint64_t), pc, &step, &n_steps) || step == 0)
            return -1;
        low = (step - 1) * TABLE_STEP < l->n ? (step - 1) * TABLE_STEP : l->n;
        high = l->n - low < TABLE_STEP ? l->n : low + TABLE_STEP;
    }
    if (!search(t, l->items, size, pc, &low, &high))
        return -1;
    return (ptrdiff_t)low - 1;
}

/* The place of the last edge that is not above @pc. */
static uint32_t find_edge(const struct table *t, uint64_t pc)
{
    const struct packed *e = &t->edges;
    size_t step = 0, n_steps = t->edge_steps.n;
    if (!search(t, t->edge_steps.items, sizeof(uint64_t), pc, &step, &n_steps) ||
        step == 0 || (step - 1) * TABLE_STEP >= e->n)
        return TABLE_NONE;
    uint64_t first;
    size_t low = (step - 1) * TABLE_STEP;
    size_t high = e->n - low < TABLE_STEP ? e->n : low + TABLE_STEP, begin = low;
    memcpy(&first, (const uint64_t *)t->edge_steps.items + step - 1, sizeof first);
    if (!readable(t, e->rows + low * e->n_row_bytes, (high - low) * e->n_row_bytes))
        return TABLE_NONE;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (packed_number(e, middle, 0) <= pc - first)
            low = middle + 1;
        else
            high = middle;
    }
    return low == begin ? TABLE_NONE : packed_number(e, low - 1, 1);
}

uint32_t table_find(const struct table *t, uint64_t pc)
{
    if (t->pages)
        return find_edge(t, pc);
    ptrdiff_t i = last_from(t, &t->ranges, NULL, sizeof(struct table_range), pc);
    const struct table_range *r =
        i < 0 ? NULL : (const struct table_range *)t->ranges.items + i;
    return r && pc < r->high ? r->place : TABLE_NONE;
}

/* Whether a symbol is called @linkage, with or without the suffix of a copy. */
static bool is_called(
    const struct table *t, const struct table_symbol *s, const char *linkage)
{
    const char *name = table_text(t, s->name);
    size_t n = strlen(linkage);
    return name && !strncmp(name, linkage, n) && (name[n] == 0 || name[n] == '.');
}

/* The symbol at @i's address that is called @linkage; @i itself when there is none. */
static const struct table_symbol *namesake(
    const struct table *t, ptrdiff_t i, const char *linkage)
{
    const struct table_symbol *s = t->symbols.items;
    for (ptrdiff_t k = i; linkage && k >= 0 && k > i - SYMBOLS_BACK; k--) {
        if (!readable(t, &s[k], sizeof *s) || s[k].low != s[i].low)
            break;
        if (is_called(t, &s[k], linkage))
            return &s[k];
    }
    return &s[i];
}

const struct table_symbol *table_find_symbol(
    const struct table *t, uint64_t pc, const char *linkage)
{
    ptrdiff_t i =
        last_from(t, &t->symbols, &t->symbol_steps, sizeof(struct table_symbol), pc);
    const struct table_symbol *s = t->symbols.items;
    for (ptrdiff_t k = i; k >= 0 && k > i - SYMBOLS_BACK; k--) {
        if (!readable(t, &s[k], sizeof *s))
            return NULL;
        if (pc < s[k].high)
            return namesake(t, k, linkage);
    }
    return i >= 0 && s[i].high == s[i].low ? namesake(t, i, linkage) : NULL;
}

bool table_covers(const struct table *t, uint64_t pc)
{
    return table_covers_any(t, pc, pc + 1);
}

bool table_covers_any(const struct table *t, uint64_t low, uint64_t high)
{
    ptrdiff_t i = last_from(t, &t->covered, NULL, sizeof(struct table_covered), high - 1);
    return i >= 0 && low < ((const struct table_covered *)t->covered.items)[i].high;
}

static const void *item_at(
    const struct table *t, const struct table_pool *p, uint32_t i, size_t size)
{
    const char *item = i < p->n ? (const char *)p->items + i * size : NULL;
    return item && readable(t, item, size) ? item : NULL;
}

const struct table_function *table_function_at(const struct table *t, uint32_t i)
{
    return item_at(t, &t->functions, i, sizeof(struct table_function));
}

const struct table_file *table_file_at(const struct table *t, uint32_t i)
{
    return item_at(t, &t->files, i, sizeof(struct table_file));
}

bool table_place_at(const struct table *t, uint32_t i, struct table_place *ret)
{
    const struct packed *p = &t->packed_places;
    if (t->pages) {
        uint32_t row[PACKED_MAX_COLUMNS];
        if (i >= p->n || !readable(t, p->rows + i * p->n_row_bytes, p->n_row_bytes))
            return false;
        packed_read(p, i, row, PACKED_MAX_COLUMNS);
        *ret = (struct table_place){row[0], row[1], row[2], row[3], row[4]};
        return true;
    }
    if (i >= t->places.n)
        return false;
    *ret = ((const struct table_place *)t->places.items)[i];
    return true;
}

uint32_t table_readable_at(const struct table *t, uint32_t function)
{
    if (function >= t->readable.n)
        return TABLE_NONE;
    const uint32_t *at = (const uint32_t *)t->readable.items + function;
    return readable(t, at, sizeof *at) ? *at : TABLE_NONE;
}

const char *table_text(const struct table *t, uint32_t at)
{
    if (t->whole)
        return at < t->n_text ? t->text + at : NULL;
    /* A string ends inside the table, and each piece is readable before it is searched.
     */
    for (uint32_t from = at; from < t->n_text;) {
        uint32_t page = PAGE - from % PAGE; /* the text is the first part of a cache */
        uint32_t n = t->n_text - from < page ? t->n_text - from : page;
        if (!readable(t, t->text + from, n))
            return NULL;
        if (memchr(t->text + from, 0, n))
            return t->text + at;
        from += n;
    }
    return NULL;
}
