#include "symbolize/section.h"

#include "symbolize/budget.h"
#include "symbolize/elf_file.h"
#include "symbolize/unpack.h"

#include <elf.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    PAGE = SECTION_PAGE_BYTES,
    STEP_BYTES = 1 << 18, /* unpacked between two looks at the deadline */
    IN_ORDER = 3,         /* reads, each behind the one before: front to back */
    AHEAD_PAGES = 8,      /* are then read at once */
    /* Deflate cannot do better than 1 to 1032, zstd than a block of 128 KiB in 4 bytes: a
     * larger promise is a lie. */
    MAX_DEFLATE_RATIO = 1040,
    MAX_ZSTD_RATIO = 1 << 15,
};
#define MAX_SECTION_BYTES (UINT64_C(1) << 36)

struct packing {
    enum unpack_kind kind;
    uint64_t n_head, n_unpacked;
};

static int compression_header(const struct elf_file *f, const struct elf_section *s,
    struct packing *p, uint32_t *ret_type)
{
    if (f->is_64) {
        Elf64_Chdr h;
        p->n_head = sizeof h;
        if (s->n_bytes < sizeof h || elf_file_read(f, s->offset, &h, sizeof h) < 0)
            return -EBADMSG;
        *ret_type = h.ch_type;
        p->n_unpacked = h.ch_size;
        return 0;
    }
    Elf32_Chdr h;
    p->n_head = sizeof h;
    if (s->n_bytes < sizeof h || elf_file_read(f, s->offset, &h, sizeof h) < 0)
        return -EBADMSG;
    *ret_type = h.ch_type;
    p->n_unpacked = h.ch_size;
    return 0;
}

/* How the section is packed: 1 and @p filled, 0 when it is not, or an error. */
static int packing_of(
    const struct elf_file *f, const struct elf_section *s, struct packing *p)
{
    if (s->flags & SHF_COMPRESSED) {
        uint32_t type;
        int err = compression_header(f, s, p, &type);
        if (err < 0)
            return err;
        if (type != ELFCOMPRESS_ZLIB && type != 2 /* ELFCOMPRESS_ZSTD */)
            return -EPROTONOSUPPORT;
        p->kind = type == ELFCOMPRESS_ZLIB ? UNPACK_ZLIB : UNPACK_ZSTD;
    } else if (!strncmp(s->name, ".zdebug", 7)) {
        uint8_t h[12]; /* "ZLIB", then the size, big-endian */
        if (s->n_bytes < sizeof h || elf_file_read(f, s->offset, h, sizeof h) < 0 ||
            memcmp(h, "ZLIB", 4) != 0)
            return -EBADMSG;
        p->kind = UNPACK_ZLIB;
        p->n_head = sizeof h;
        for (int i = 4; i < 12; i++)
            p->n_unpacked = p->n_unpacked << 8 | h[i];
    } else {
        return 0;
    }
    return 1;
}

static int reserve(struct section *s)
{
    size_t n = (size_t)s->n;
    s->present = calloc(n / PAGE / 64 + 1, sizeof *s->present);
    if (!s->present)
        return -ENOMEM;
    /* Reserved, not used: pages cost memory when they are written. */
    void *p = mmap(NULL, n ? n : 1, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return -E2BIG; /* the section asks for more than there are addresses */
    s->bytes = p;
    return 0;
}

int section_open(const struct elf_file *file, const struct elf_section *from,
    struct budget *budget, struct section *ret)
{
    if (from->type == SHT_NOBITS || from->offset > file->n_bytes ||
        from->n_bytes > file->n_bytes - from->offset)
        return -EBADMSG;
    struct packing p = {0};
    int packed = packing_of(file, from, &p);
    if (packed < 0)
        return packed;
    struct section s = {.file = file,
        .budget = budget,
        .offset = from->offset,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .n = packed ? p.n_unpacked : from->n_bytes};
    if (s.n > MAX_SECTION_BYTES)
        return -E2BIG;
    uint64_t ratio = p.kind == UNPACK_ZLIB ? MAX_DEFLATE_RATIO : MAX_ZSTD_RATIO;
    if (packed && s.n / ratio > from->n_bytes - p.n_head)
        return -EBADMSG;
    if (file->image && !packed) {
        s.bytes = file->image + s.offset;
        *ret = s;
        return 0;
    }
    int err = reserve(&s);
    if (err == 0 && packed)
        err = unpacker_new(file, p.kind, s.offset + p.n_head, from->n_bytes - p.n_head,
            (uint8_t *)(uintptr_t)s.bytes, s.n, &s.unpacker);
    if (err < 0) {
        section_done(&s);
        return err;
    }
    *ret = s;
    return 0;
}

void section_done(struct section *s)
{
    unpacker_free(s->unpacker);
    if (s->present) {
        if (s->bytes)
            (void)munmap((void *)(uintptr_t)s->bytes, s->n ? (size_t)s->n : 1);
        budget_give(s->budget, s->counted);
    }
    free(s->present);
    *s = (struct section){0};
}

static void set_present(struct section *s, uint64_t page)
{
    (void)__atomic_or_fetch(
        &s->present[page / 64], UINT64_C(1) << (page % 64), __ATOMIC_RELEASE);
}

/* Count the pages [first, end) that are not there yet. */
static int count(struct section *s, uint64_t first, uint64_t end)
{
    uint64_t n = 0;
    for (uint64_t page = first; page < end; page++)
        n += !section_page_present(s, page);
    int err = budget_take(s->budget, n * PAGE);
    if (err == 0)
        s->counted += n * PAGE;
    return err;
}

static void mark_present(struct section *s, uint64_t first, uint64_t end)
{
    for (uint64_t page = first; page < end; page++)
        set_present(s, page);
}

/* Read the missing pages among [first, end), each run of them at once. */
static int fill_stored(struct section *s, uint64_t first, uint64_t end)
{
    while (first < end) {
        if (section_page_present(s, first)) {
            first++;
            continue;
        }
        uint64_t stop = first + 1;
        s->n_in_order = first == s->next_page ? s->n_in_order + 1 : 0;
        uint64_t ahead = s->n_in_order < IN_ORDER ? end : stop + AHEAD_PAGES;
        if (ahead > (s->n + PAGE - 1) / PAGE)
            ahead = (s->n + PAGE - 1) / PAGE;
        while (stop < ahead && !section_page_present(s, stop))
            stop++;
        uint64_t at = first * PAGE, to = stop * PAGE < s->n ? stop * PAGE : s->n;
        int err = count(s, first, stop);
        if (err == 0)
            err = elf_file_read(s->file, s->offset + at,
                (uint8_t *)(uintptr_t)s->bytes + at, (size_t)(to - at));
        if (err < 0)
            return err;
        mark_present(s, first, stop);
        s->next_page = first = stop;
    }
    return 0;
}

/* Pass over what lies before @first and is not asked for. */
static int skip_gap(struct section *s, uint64_t first)
{
    uint64_t filled = unpacker_filled(s->unpacker);
    while (filled < first * PAGE) {
        uint64_t to =
            filled + STEP_BYTES < first * PAGE ? filled + STEP_BYTES : first * PAGE;
        int err = budget_time(s->budget);
        if (err == 0)
            err = unpacker_run(s->unpacker, to, false);
        if (err < 0)
            return err;
        filled = to;
    }
    return 0;
}

/* Unpack the next piece, to @until at most, and keep it. */
static int unpack_step(struct section *s, uint64_t until)
{
    uint64_t filled = unpacker_filled(s->unpacker);
    uint64_t to = filled + STEP_BYTES < until ? filled + STEP_BYTES : until;
    /* After a rewind the first page is only written from its middle on. */
    uint64_t from_page = (filled + PAGE - 1) / PAGE, to_page = (to + PAGE - 1) / PAGE;
    int err = budget_time(s->budget);
    if (err == 0)
        err = count(s, from_page, to_page);
    if (err == 0)
        err = unpacker_run(s->unpacker, to, true);
    if (err == 0)
        mark_present(s, from_page, to_page);
    return err;
}

/* Unpack on until page @end - 1 is there; from further back when some of
 * [first, end) was dropped or passed over. */
static int fill_packed(struct section *s, uint64_t first, uint64_t end)
{
    uint64_t filled = unpacker_filled(s->unpacker);
    while (first < end && section_page_present(s, first))
        first++;
    if (first * PAGE < filled) {
        int err = unpacker_rewind(s->unpacker, first * PAGE);
        if (err < 0)
            return err;
    }
    int err = s->streamed ? skip_gap(s, first) : 0;
    uint64_t until = end * PAGE < s->n ? end * PAGE : s->n;
    while (err == 0 && unpacker_filled(s->unpacker) < until)
        err = unpack_step(s, until);
    return err;
}

int section_prefetch(struct section *s)
{
    if (!s->unpacker || s->streamed)
        return 0;
    (void)pthread_mutex_lock(&s->lock);
    int err = unpacker_filled(s->unpacker) < s->n ? unpack_step(s, s->n) : 0;
    bool more = err == 0 && unpacker_filled(s->unpacker) < s->n;
    (void)pthread_mutex_unlock(&s->lock);
    return err < 0 ? err : more;
}

int section_need_slow(struct section *s, uint64_t at, uint64_t n)
{
    if (at > s->n || n > s->n - at)
        return -EBADMSG;
    if (!s->present || n == 0)
        return 0;
    uint64_t first = at / PAGE, end = (at + n + PAGE - 1) / PAGE;
    bool all = true;
    for (uint64_t page = first; all && page < end; page++)
        all = section_page_present(s, page);
    if (all)
        return 0;
    (void)pthread_mutex_lock(&s->lock);
    int err = s->unpacker ? fill_packed(s, first, end) : fill_stored(s, first, end);
    (void)pthread_mutex_unlock(&s->lock);
    /* Whoever asked may go on without; that something is missing must not be lost. */
    if (err < 0 && s->budget->lost == 0)
        s->budget->lost = err;
    return err;
}

int section_string(struct section *s, uint64_t at, const char **ret)
{
    for (uint64_t from = at;;) {
        uint64_t to = (from / PAGE + 1) * PAGE;
        to = to < s->n ? to : s->n;
        /* No NUL before the end, or so far away that one string of many names would be
         * work without end. */
        if (from >= to || from - at > SECTION_MAX_STRING_BYTES)
            return -EBADMSG;
        int err = section_need(s, from, to - from);
        if (err < 0)
            return err;
        if (memchr(s->bytes + from, 0, (size_t)(to - from)))
            break;
        from = to;
    }
    *ret = (const char *)s->bytes + at;
    return 0;
}

struct bytes section_reader(struct section *s, uint64_t at, uint64_t n)
{
    int err = section_need(s, at, n);
    if (err < 0)
        return (struct bytes){.err = err, .what = "section"};
    return bytes_of(s->bytes + at, (size_t)n);
}

void section_drop(struct section *s, uint64_t from, uint64_t to)
{
    uint64_t first = (from + PAGE - 1) / PAGE, end = to / PAGE, n = 0;
    if (!s->present || first >= end || to > s->n)
        return;
    for (uint64_t page = first; page < end; page++) {
        n += section_page_present(s, page);
        s->present[page / 64] &= ~(UINT64_C(1) << (page % 64));
    }
    (void)madvise((void *)(uintptr_t)(s->bytes + first * PAGE),
        (size_t)((end - first) * PAGE), MADV_DONTNEED);
    budget_give(s->budget, n * PAGE);
    s->counted -= n * PAGE;
}
