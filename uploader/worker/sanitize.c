#include "uploader/worker/sanitize.h"

#include "uploader/report/parse.h"

#include <errno.h>
#include <string.h>

enum { SMALL = 4096 };

struct range {
    uint64_t start, n;
};

static bool harmless(const struct crash *c, uint64_t word, const struct range *own)
{
    int64_t number = (int64_t)word;
    return (number >= -SMALL && number <= SMALL) || word - own->start < own->n ||
           crash_module_at(c, word) >= 0;
}

static void clean(
    const struct crash *c, uint8_t *copy, const uint8_t *from, uint32_t n, uint64_t start)
{
    const struct range own = {start, n};
    uint8_t *to = copy + (from - c->bytes);
    uint32_t at = (uint32_t)(-start & 7); /* words are aligned in the dead process */
    if (at > n)
        at = n;
    memset(to, 0, at);
    for (; at + 8 <= n; at += 8) {
        uint64_t word;
        memcpy(&word, to + at, sizeof word);
        if (!harmless(c, word, &own)) {
            word = SANITIZED_WORD;
            memcpy(to + at, &word, sizeof word);
        }
    }
    memset(to + at, 0, n - at);
}

static void blank(const struct crash *c, uint8_t *copy, const struct crash_text *t)
{
    if (t->text)
        memset(copy + ((const uint8_t *)t->text - c->bytes), ' ', t->n_bytes);
}

int sanitize_report(const struct crash *c, uint8_t **ret)
{
    uint8_t *copy = malloc(c->n_bytes ? c->n_bytes : 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, c->bytes, c->n_bytes);
    for (uint32_t i = 0; i < c->n_memory; i++) {
        const struct crash_memory *m = &c->memory[i];
        if (crash_module_at(c, m->start) < 0)
            clean(c, copy, m->bytes, m->n_bytes, m->start);
    }
    for (uint32_t i = 0; i < c->n_threads; i++) {
        const struct crash_thread *t = &c->threads[i];
        if (t->n_stack) /* even when another range covers it: it may be other bytes */
            clean(c, copy, t->stack, t->n_stack, t->stack_start);
    }
    blank(c, copy, &c->cmd_line);
    if (c->journal)
        memset(copy + ((const uint8_t *)c->journal_image.text - c->bytes) +
                   offsetof(struct knell_journal_head, server_name),
            0, sizeof c->journal->server_name);
    *ret = copy;
    return 0;
}
