/**
 * The bytes of one section, as far as somebody asked for them: read with pread or
 * unpacked (zlib, .zdebug, zstd) into private memory, page by page, within a budget. A
 * file that shrinks or lies about sizes gives an error, never a signal.
 */
#pragma once
#include "symbolize/bytes.h"
#include "symbolize/cleanup.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget;
struct elf_file;
struct elf_section;
struct unpacker;

struct section {
    const uint8_t *bytes; /* room for n; only what section_need() confirmed is there */
    uint64_t n;
    uint64_t *present; /* one bit a page; NULL: everything is there (image in memory) */
    struct unpacker *unpacker; /* NULL: stored as is */
    bool streamed;             /* unpacked bytes that nobody asked for are not kept */
    pthread_mutex_t lock;      /* of all below, when a prefetcher works on it too */
    const struct elf_file *file;
    uint64_t offset; /* in the file */
    struct budget *budget;
    uint64_t counted;    /* bytes taken from the budget */
    uint64_t next_page;  /* behind the last read of a stored section */
    unsigned n_in_order; /* reads of it that began there */
};

/**
 * @file, @budget  must outlive the section
 * @ret            release with section_done(), which accepts a zeroed one
 * Errors: -EBADMSG the section lies outside the file or its header makes no sense;
 * -E2BIG, also when there is no room for it in the address space; -EPROTONOSUPPORT
 * unknown compression; -ENOMEM.
 */
int section_open(const struct elf_file *file, const struct elf_section *from,
    struct budget *budget, struct section *ret) MUST_CHECK;
void section_done(struct section *s);

/**
 * Make [at, at + n) readable through s->bytes.
 * Errors: -EBADMSG outside the section, a short file, a broken stream; -E2BIG the budget;
 * -ETIME the deadline; -EIO and the like from pread.
 */
int section_need_slow(struct section *s, uint64_t at, uint64_t n) MUST_CHECK;

enum { SECTION_PAGE_BYTES = 4096, SECTION_MAX_STRING_BYTES = 1 << 16 };

static inline bool section_page_present(const struct section *s, uint64_t page)
{
    /* Pairs with the release in mark_present(): the bytes come before the bit. */
    return (__atomic_load_n(&s->present[page / 64], __ATOMIC_ACQUIRE) >> (page % 64)) & 1;
}

MUST_CHECK static inline int section_need(struct section *s, uint64_t at, uint64_t n)
{
    if (at <= s->n && n <= s->n - at && (!s->present || n == 0))
        return 0;
    uint64_t page = at / SECTION_PAGE_BYTES;
    if (at < s->n && n <= SECTION_PAGE_BYTES - at % SECTION_PAGE_BYTES &&
        n <= s->n - at && section_page_present(s, page))
        return 0;
    return section_need_slow(s, at, n);
}

/* The NUL-terminated string at @at, up to SECTION_MAX_STRING_BYTES: 0 and @ret into
 * s->bytes, or an error as above. */
int section_string(struct section *s, uint64_t at, const char **ret) MUST_CHECK;

/* A reader of [at, at + n); failed with the error when that cannot be had. */
struct bytes section_reader(struct section *s, uint64_t at, uint64_t n);

/* Unpack some of what is not there yet, from the front, for whoever asks later: 1 when
 * there is more to do, 0 at the end, or an error. Context: any thread. */
int section_prefetch(struct section *s) MUST_CHECK;

/* Give back the memory of whole pages inside [from, to); what is asked for again is read
 * or unpacked again. */
void section_drop(struct section *s, uint64_t from, uint64_t to);
