#include "crash/list.h"

#include <errno.h>

static uint8_t *bytes_of_list(const struct kn_list *list, uint32_t which)
{
    return (uint8_t *)(list->scope + 1) + (size_t)which * list->scope->capacity;
}

static uint64_t word_of(const struct kn_list *list)
{
    return __atomic_load_n(&list->scope->word, __ATOMIC_RELAXED);
}

static void set_word(
    struct kn_list *list, uint32_t generation, uint32_t which, uint32_t n)
{
    __atomic_store_n(
        &list->scope->word, KNELL_SCOPE_WORD(generation, which, n), __ATOMIC_RELEASE);
}

/* Finish an entry that lies at @at of a list: its place and generation go into its sum.
 */
static void seal(uint8_t *at, uint32_t offset, uint32_t generation)
{
    struct knell_journal_entry head;
    memcpy(&head, at, sizeof head);
    if (head.n_bytes < sizeof head) /* its page is lost, see handler/mend.h */
        return;
    head.generation = generation;
    memcpy(at, &head, sizeof head);
    head.sum = knell_journal_sum(
        at + sizeof head.sum, (size_t)head.n_bytes - sizeof head.sum, offset);
    memcpy(at, &head.sum, sizeof head.sum);
}

static bool same_key(const uint8_t *a, const uint8_t *b, size_t n)
{
    const struct knell_journal_entry *ea = (const void *)a, *eb = (const void *)b;
    return ea->n_key >= n && eb->n_key >= n && !memcmp(ea + 1, eb + 1, n);
}

/* Whether @later makes @earlier count no more: the same thing set again, or the group or
 * user it belongs to begun anew. */
static bool replaces(const uint8_t *later, const uint8_t *earlier)
{
    const struct knell_journal_entry *l = (const void *)later, *e = (const void *)earlier;
    if (l->type != e->type)
        return false;
    if (l->n_key == e->n_key && same_key(later, earlier, l->n_key))
        return true;
    if (l->value_type != KNELL_VALUE_NONE)
        return false;
    if (l->type == KNELL_ENTRY_USER)
        return l->n_key == 0;
    return l->type == KNELL_ENTRY_CONTEXT && e->n_key > l->n_key &&
           same_key(later, earlier, l->n_key) &&
           ((const char *)(e + 1))[l->n_key] == '\0';
}

/* 0: its page is lost, and what follows with it. */
static uint32_t entry_bytes(const uint8_t *at)
{
    return __atomic_load_n(
        &((const struct knell_journal_entry *)(const void *)at)->n_bytes,
        __ATOMIC_RELAXED);
}

static bool replaced_below(
    const uint8_t *list, uint32_t at, uint32_t n_bytes, uint32_t level_end)
{
    for (uint32_t i = at + n_bytes; i < level_end;) {
        uint32_t n = entry_bytes(list + i);
        if (!n)
            break;
        if (replaces(list + i, list + at))
            return true;
        i += n;
    }
    return false;
}

/* Rewrite into the other list what still counts, level by level. */
static void compact(struct kn_list *list)
{
    uint64_t word = word_of(list);
    uint32_t which = KNELL_SCOPE_LIST(word), n = KNELL_SCOPE_BYTES(word);
    uint32_t generation = KNELL_SCOPE_GENERATION(word) + 1, out = 0, level = 0;
    const uint8_t *from = bytes_of_list(list, which);
    uint8_t *to = bytes_of_list(list, !which);
    for (uint32_t at = 0; at < n;) {
        while (level < list->depth && at >= list->marks[level])
            list->marks[level++] = out;
        uint32_t end = level < list->depth ? list->marks[level] : n;
        uint32_t n_bytes = entry_bytes(from + at);
        if (!n_bytes)
            break;
        if (!replaced_below(from, at, n_bytes, end)) {
            memcpy(to + out, from + at, n_bytes);
            seal(to + out, out, generation);
            out += n_bytes;
        }
        at += n_bytes;
    }
    while (level < list->depth)
        list->marks[level++] = out;
    set_word(list, generation, !which, out);
}

static int append(struct kn_list *list, const struct kn_entry *entry, uint32_t n_bytes)
{
    uint64_t word = word_of(list);
    uint32_t n = KNELL_SCOPE_BYTES(word), generation = KNELL_SCOPE_GENERATION(word);
    if (n + n_bytes > list->scope->capacity)
        return -ENOSPC;
    uint8_t *at = bytes_of_list(list, KNELL_SCOPE_LIST(word)) + n;
    struct knell_journal_entry head = {.n_bytes = (uint16_t)n_bytes,
        .type = entry->type,
        .value_type = entry->value_type,
        .n_key = (uint16_t)entry->n_key,
        .n_value = (uint16_t)entry->n_value};
    /* The padding is zeroed first: it is the last word at most. */
    memset(at + n_bytes - 8, 0, 8);
    memcpy(at, &head, sizeof head);
    memcpy(at + sizeof head, entry->key ? entry->key : "", entry->n_key);
    memcpy(at + sizeof head + entry->n_key, entry->value ? entry->value : "",
        entry->n_value);
    seal(at, n, generation);
    set_word(list, generation, KNELL_SCOPE_LIST(word), n + n_bytes);
    return 0;
}

int kn_list_put(struct kn_list *list, const struct kn_entry *entry)
{
    size_t n =
        (sizeof(struct knell_journal_entry) + entry->n_key + entry->n_value + 7) / 8 * 8;
    if (n > UINT16_MAX)
        return -ENOSPC;
    int r = append(list, entry, (uint32_t)n);
    if (r != -ENOSPC)
        return r;
    compact(list);
    return append(list, entry, (uint32_t)n);
}

int kn_list_push(struct kn_list *list)
{
    if (list->depth == KN_LIST_DEPTH)
        return -ENOSPC;
    list->marks[list->depth++] = KNELL_SCOPE_BYTES(word_of(list));
    return 0;
}

void kn_list_pop(struct kn_list *list, uint32_t depth)
{
    if (depth >= list->depth)
        return;
    uint64_t word = word_of(list);
    list->depth = depth;
    set_word(list, KNELL_SCOPE_GENERATION(word) + 1, KNELL_SCOPE_LIST(word),
        list->marks[depth]);
}

int kn_list_copy(struct kn_list *list, const struct kn_list *from)
{
    uint64_t word = word_of(from);
    const uint8_t *p = bytes_of_list(from, KNELL_SCOPE_LIST(word));
    int result = 0;
    for (uint32_t at = 0; at < KNELL_SCOPE_BYTES(word);) {
        const struct knell_journal_entry *e = (const void *)(p + at);
        struct kn_entry entry = {.type = e->type,
            .value_type = e->value_type,
            .key = e + 1,
            .n_key = e->n_key,
            .value = (const uint8_t *)(e + 1) + e->n_key,
            .n_value = e->n_value};
        int r = kn_list_put(list, &entry);
        if (r < 0)
            result = r;
        at += e->n_bytes;
    }
    return result;
}
