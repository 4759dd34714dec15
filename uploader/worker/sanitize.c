#include "uploader/worker/sanitize.h"

#include "uploader/report/code_map.h"
#include "uploader/report/parse.h"

#include <errno.h>
#include <string.h>

enum { SMALL = 4096 };
#define ADDRESS_BITS UINT64_C(0x0000ffffffffffff)

struct range {
    uint64_t start, n;
};

static bool harmless(const struct crash *c, uint64_t word, const struct range *own)
{
    int64_t number = (int64_t)word;
    /* Return addresses of arm64 may be signed, above the address bits. */
    uint64_t pc = c->arch == KNELL_MINIDUMP_ARCH_ARM64 ? word & ADDRESS_BITS : word;
    return (number >= -SMALL && number <= SMALL) || word - own->start < own->n ||
           crash_module_at(c, pc) >= 0;
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
            word = KNELL_SANITIZED_WORD;
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

/* Characters of @width bytes at @p that spell @word; returns their bytes, 0: they do not.
 */
static size_t spells(const uint8_t *p, size_t n, const char *word, size_t width)
{
    size_t k = 0;
    for (; word[k]; k++) {
        if ((k + 1) * width > n || p[k * width] != (uint8_t)word[k] ||
            (width == 2 && p[k * width + 1]))
            return 0;
    }
    return k * width;
}

/* Names of users in paths of home directories, in maps and in the strings of modules,
 * which are UTF-16. In place: the same length, other letters. */
static void blank_homes(uint8_t *p, size_t n)
{
    static const char *const roots[] = {"/home/", "/Users/"};
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; p[i] == '/' && k < 4; k++) {
            size_t width = 1 + k % 2, at = spells(p + i, n - i, roots[k / 2], width);
            for (at += at ? i : n; at < n && p[at] > 0x20 && p[at] != '/'; at += width)
                p[at] = '_';
        }
    }
}

static void blank_all_homes(const struct crash *c, uint8_t *copy)
{
    /* What the program said itself, behind the journal's head, is left as it said it. */
    size_t from = c->n_bytes, n = 0;
    if (c->journal && c->journal_image.n_bytes > sizeof *c->journal) {
        from = (size_t)((const uint8_t *)c->journal_image.text - c->bytes) +
               sizeof *c->journal;
        n = c->journal_image.n_bytes - sizeof *c->journal;
    }
    blank_homes(copy, from);
    blank_homes(copy + from + n, c->n_bytes - from - n);
}

/* The host's name in the journal's head, and as a string with its length before it in the
 * annotations that other tools read. */
static void blank_host(const struct crash *c, uint8_t *copy)
{
    if (!c->journal)
        return;
    char name[sizeof c->journal->server_name + sizeof(uint32_t)];
    uint32_t n =
        (uint32_t)strnlen(c->journal->server_name, sizeof c->journal->server_name);
    memset(copy + ((const uint8_t *)c->journal_image.text - c->bytes) +
               offsetof(struct knell_journal_head, server_name),
        0, sizeof c->journal->server_name);
    memcpy(name, &n, sizeof n);
    memcpy(name + sizeof n, c->journal->server_name, n);
    uint8_t *at = copy, *end = copy + c->n_bytes;
    while (n && (at = memmem(at, (size_t)(end - at), name, sizeof n + n))) {
        memset(at + sizeof n, '_', n);
        at += sizeof n + n;
    }
}

/* Data that a register pointed to lies inside of modules, too. */
static int clean_memory(const struct crash *c, uint8_t *copy)
{
    static const struct report_unwind_options report_alone = {.no_files = true};
    struct code_map *code;
    int err = code_map_new(c, &report_alone, &code);
    if (err)
        return err;
    /* Also what another range holds as well, at another place of the file. */
    for (uint32_t i = 0; i < c->n_listed; i++) {
        const struct crash_memory *m = &c->listed[i];
        if (crash_module_at(c, m->start) < 0 || !code_map_executable(code, m->start))
            clean(c, copy, m->bytes, m->n_bytes, m->start);
    }
    code_map_free(code);
    return 0;
}

/* Vector registers are what text is copied through: no stack walker wants them. */
static void blank_vectors(const struct crash *c, uint8_t *copy, const uint8_t *context)
{
    if (!context)
        return;
    uint8_t *to = copy + (context - c->bytes);
    if (c->arch == KNELL_MINIDUMP_ARCH_ARM64) {
        struct knell_md_context_arm64 all;
        memset(to + offsetof(struct knell_md_context_arm64, v), 0, sizeof all.v);
    } else {
        struct knell_md_context_amd64 all;
        memset(to + offsetof(struct knell_md_context_amd64, fxsave), 0,
            sizeof all.fxsave + sizeof all.vector);
    }
}

int sanitize_report(const struct crash *c, uint8_t **ret)
{
    uint8_t *copy = malloc(c->n_bytes ? c->n_bytes : 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, c->bytes, c->n_bytes);
    int err = clean_memory(c, copy);
    if (err) {
        free(copy);
        return err;
    }
    for (uint32_t i = 0; i < c->n_threads; i++) {
        const struct crash_thread *t = &c->threads[i];
        if (t->n_stack) /* even when another range covers it: it may be other bytes */
            clean(c, copy, t->stack, t->n_stack, t->stack_start);
        blank_vectors(c, copy, t->context);
    }
    blank_vectors(c, copy, c->exception_context);
    blank_all_homes(c, copy);
    blank(c, copy, &c->cmd_line);
    blank(c, copy, &c->abort_message);
    blank(c, copy, &c->cxx_exception);
    blank_host(c, copy);
    /* It is no longer what the process wrote. */
    memset(copy + offsetof(struct knell_md_header, checksum), 0,
        sizeof((struct knell_md_header *)0)->checksum);
    *ret = copy;
    return 0;
}
