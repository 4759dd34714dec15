#include "uploader/report/parse.h"

#include <string.h>

const uint8_t *crash_memory_at(const struct crash *c, uint64_t address, size_t n)
{
    uint32_t low = 0, high = c->n_memory;
    while (low < high) { /* the first range that starts behind the address */
        uint32_t middle = low + (high - low) / 2;
        if (c->memory[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return NULL;
    const struct crash_memory *m = &c->memory[low - 1];
    uint64_t at = address - m->start;
    if (at > m->n_bytes || n > m->n_bytes - at)
        return NULL;
    return m->bytes + at;
}

int32_t crash_module_at(const struct crash *c, uint64_t pc)
{
    uint32_t low = 0, high = c->n_modules;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (c->modules[c->modules_by_base[middle]].base <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return -1;
    uint32_t i = c->modules_by_base[low - 1];
    return pc - c->modules[i].base < c->modules[i].size ? (int32_t)i : -1;
}

static void copy_value(const char *p, size_t n, char *out, size_t room)
{
    while (n && (*p == ' ' || *p == '\t')) {
        p++;
        n--;
    }
    while (n && (p[n - 1] == ' ' || p[n - 1] == '\t' || p[n - 1] == '\r'))
        n--;
    if (n >= 2 && (p[0] == '"' || p[0] == '\'') && p[n - 1] == p[0]) {
        p++;
        n -= 2;
    }
    if (n >= room)
        n = room - 1;
    memcpy(out, p, n);
    out[n] = 0;
}

bool crash_text_value(
    const struct crash_text *text, const char *key, char separator, char *out, size_t n)
{
    const char *p = text->text, *end = p ? p + text->n_bytes : p;
    size_t n_key = strlen(key);
    out[0] = 0;
    while (p < end) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        if (!eol)
            eol = end;
        if ((size_t)(eol - p) > n_key && !memcmp(p, key, n_key) &&
            p[n_key] == separator) {
            copy_value(p + n_key + 1, (size_t)(eol - p) - n_key - 1, out, n);
            return true;
        }
        p = eol + 1;
    }
    return false;
}
