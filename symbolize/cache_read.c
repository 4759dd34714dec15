#include "symbolize/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum {
    TOUCH_AFTER_S = 60,
    /* An address takes some five pages, which cost more one by one than many more of
     * them at once. */
    PAGES_AN_ADDRESS = 4,
    HUGE_PAGE_BYTES = 1 << 21,
    CHECKED_BYTES = 1 << 17, /* read at once and checked while they are near */
};

size_t cache_item_bytes(const struct cache_head *h, enum cache_part part)
{
    static const size_t sizes[CACHE_N_PARTS] = {
        [CACHE_TEXT] = 1,
        [CACHE_FUNCTIONS] = sizeof(struct table_function),
        [CACHE_FILES] = sizeof(struct table_file),
        [CACHE_READABLE] = sizeof(uint32_t),
        [CACHE_SYMBOLS] = sizeof(struct table_symbol),
        [CACHE_COVERED] = sizeof(struct table_covered),
        [CACHE_EDGE_STEPS] = sizeof(uint64_t),
        [CACHE_SYMBOL_STEPS] = sizeof(uint64_t),
    };
    if (part == CACHE_PLACES || part == CACHE_EDGES)
        return packed_row_bytes(
            part == CACHE_PLACES ? &h->place_widths : &h->edge_widths);
    return sizes[part];
}

uint32_t cache_checksum(const void *p, size_t n)
{
    return crc32_gzip_refl(0, p, n);
}

int cache_open_dir(const char *dir, bool make, int *ret_fd)
{
    struct stat st;
    if (make && mkdir(dir, 0700) < 0 && errno != EEXIST)
        return -errno;
    CLEANUP(close_p) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    /* Who can put files here can choose our answers. */
    if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022))
        return -EPERM;
    *ret_fd = take_fd(&fd);
    return 0;
}

static int read_at(int fd, void *out, size_t n, uint64_t at)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(fd, (char *)out + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EBADMSG;
        done += (size_t)got;
    }
    return 0;
}

static int check_head(const struct cache_head *h, uint64_t n_file)
{
    if (memcmp(h->magic, "KNELSYM", 8) != 0)
        return -EBADMSG;
    if (h->version != CACHE_VERSION)
        return -EPROTONOSUPPORT;
    if (h->head_crc != cache_checksum(h, offsetof(struct cache_head, head_crc)))
        return -EBADMSG;
    if (h->n_build_id == 0 || h->n_build_id > sizeof h->build_id ||
        h->n_bytes > CACHE_MAX_BYTES)
        return -EBADMSG;
    uint64_t pages = (h->n_bytes + CACHE_PAGE_BYTES - 1) / CACHE_PAGE_BYTES;
    if (n_file != CACHE_PAGE_BYTES + h->n_bytes + pages * 4)
        return -EBADMSG;
    for (int i = 0; i < CACHE_N_PARTS; i++) {
        uint64_t at = h->parts[i].offset, n = h->parts[i].n;
        size_t size = cache_item_bytes(h, (enum cache_part)i);
        if (at > h->n_bytes || at % 8 || n > UINT32_MAX ||
            (n && (size == 0 || n > (h->n_bytes - at) / size)))
            return -EBADMSG;
    }
    return 0;
}

static int read_checksums(struct cache *c)
{
    uint64_t pages = (c->head.n_bytes + CACHE_PAGE_BYTES - 1) / CACHE_PAGE_BYTES;
    c->checksums = malloc(pages ? (size_t)pages * 4 : 4);
    c->present = calloc((size_t)pages / 64 + 1, sizeof *c->present);
    if (!c->checksums || !c->present)
        return -ENOMEM;
    int err = read_at(
        c->fd, c->checksums, (size_t)pages * 4, CACHE_PAGE_BYTES + c->head.n_bytes);
    if (err < 0)
        return err;
    uint32_t crc = cache_checksum(c->checksums, (size_t)pages * 4);
    return crc == c->head.checksums_crc ? 0 : -EBADMSG;
}

static struct packed rows_of(
    const struct cache *c, enum cache_part part, struct packed_widths widths)
{
    return (struct packed){.rows = c->bytes + c->head.parts[part].offset,
        .n = (size_t)c->head.parts[part].n,
        .n_row_bytes = packed_row_bytes(&widths),
        .widths = widths};
}

/* The table over the file's parts. */
static void set_table(struct cache *c)
{
    struct table *t = &c->table;
    const struct cache_head *h = &c->head;
    t->pages = c;
    t->text = (char *)c->bytes + h->parts[CACHE_TEXT].offset;
    t->n_text = (uint32_t)h->parts[CACHE_TEXT].n;
    t->functions.items = c->bytes + h->parts[CACHE_FUNCTIONS].offset;
    t->functions.n = (uint32_t)h->parts[CACHE_FUNCTIONS].n;
    t->files.items = c->bytes + h->parts[CACHE_FILES].offset;
    t->files.n = (uint32_t)h->parts[CACHE_FILES].n;
    t->readable.items = c->bytes + h->parts[CACHE_READABLE].offset;
    t->readable.n = h->parts[CACHE_READABLE].n;
    t->packed_places = rows_of(c, CACHE_PLACES, h->place_widths);
    t->edges = rows_of(c, CACHE_EDGES, h->edge_widths);
    t->symbols.items = c->bytes + h->parts[CACHE_SYMBOLS].offset;
    t->symbols.n = h->parts[CACHE_SYMBOLS].n;
    t->covered.items = c->bytes + h->parts[CACHE_COVERED].offset;
    t->covered.n = h->parts[CACHE_COVERED].n;
    t->edge_steps.items = c->bytes + h->parts[CACHE_EDGE_STEPS].offset;
    t->edge_steps.n = h->parts[CACHE_EDGE_STEPS].n;
    t->symbol_steps.items = c->bytes + h->parts[CACHE_SYMBOL_STEPS].offset;
    t->symbol_steps.n = h->parts[CACHE_SYMBOL_STEPS].n;
}

static size_t room_bytes(const struct cache *c)
{
    return (size_t)c->head.n_bytes + PACKED_SLACK;
}

/* Empty pages, from where a huge page may begin. */
static uint8_t *map_room(size_t n)
{
    size_t before = HUGE_PAGE_BYTES - 1, page = CACHE_PAGE_BYTES;
    n = (n + page - 1) & ~(page - 1);
    uint8_t *p = mmap(NULL, n + before, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    before = -(uintptr_t)p & before;
    if (before)
        (void)munmap(p, before);
    p += before;
    (void)munmap(p + n, HUGE_PAGE_BYTES - before);
    return p;
}

static int open_parts(struct cache *c)
{
    struct stat st;
    if (fstat(c->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022))
        return -EPERM;
    int err = read_at(c->fd, &c->head, sizeof c->head, 0);
    if (err == 0)
        err = check_head(&c->head, (uint64_t)st.st_size);
    if (err == 0)
        err = read_checksums(c);
    if (err < 0)
        return err;
    c->bytes = map_room(room_bytes(c));
    if (!c->bytes)
        return -ENOMEM;
    set_table(c);
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec - st.st_mtim.tv_sec > TOUCH_AFTER_S || now.tv_sec < st.st_mtim.tv_sec)
        IGNORE(futimens(c->fd, NULL), "only makes it look older than it is");
    return 0;
}

int cache_open_fd(int fd, struct cache **ret)
{
    struct cache *c = calloc(1, sizeof *c);
    if (!c) {
        (void)close(fd);
        return -ENOMEM;
    }
    c->fd = fd;
    int err = open_parts(c);
    if (err < 0) {
        cache_free(c);
        return err;
    }
    *ret = c;
    return 0;
}

int cache_open(
    const char *dir, const uint8_t *build_id, size_t n_build_id, struct cache **ret)
{
    char name[2 * ELF_FILE_MAX_BUILD_ID + sizeof ".ksym"];
    if (n_build_id == 0 || n_build_id > ELF_FILE_MAX_BUILD_ID)
        return -ENOENT;
    CLEANUP(close_p) int dir_fd = -1;
    int err = cache_open_dir(dir, false, &dir_fd);
    if (err < 0)
        return err;
    for (size_t i = 0; i < n_build_id; i++)
        (void)snprintf(name + 2 * i, 3, "%02x", build_id[i]);
    memcpy(name + 2 * n_build_id, ".ksym", sizeof ".ksym");
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    struct cache *c;
    err = cache_open_fd(fd, &c);
    if (err < 0)
        return err;
    if (c->head.n_build_id != n_build_id ||
        memcmp(c->head.build_id, build_id, n_build_id) != 0) {
        cache_free(c);
        return -EBADMSG;
    }
    *ret = c;
    return 0;
}

void cache_close_file(struct cache *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
}

void cache_free(struct cache *c)
{
    if (!c)
        return;
    if (c->bytes)
        (void)munmap(c->bytes, room_bytes(c));
    free(c->checksums);
    free(c->present);
    cache_close_file(c);
    free(c);
}

/* Check the page's bytes, which were read. */
static bool take_page(struct cache *c, uint64_t page)
{
    uint64_t at = page * CACHE_PAGE_BYTES, left = c->head.n_bytes - at;
    size_t n = left < CACHE_PAGE_BYTES ? (size_t)left : CACHE_PAGE_BYTES;
    if (cache_checksum(c->bytes + at, n) != c->checksums[page]) {
        memset(c->bytes + at, 0, n);
        c->bad = true;
        return false;
    }
    c->present[page / 64] |= UINT64_C(1) << (page % 64);
    return true;
}

static bool need_page(struct cache *c, uint64_t page)
{
    if ((c->present[page / 64] >> (page % 64)) & 1)
        return true;
    uint64_t at = page * CACHE_PAGE_BYTES, left = c->head.n_bytes - at;
    size_t n = left < CACHE_PAGE_BYTES ? (size_t)left : CACHE_PAGE_BYTES;
    if (read_at(c->fd, c->bytes + at, n, CACHE_PAGE_BYTES + at) < 0) {
        c->bad = true;
        return false;
    }
    return take_page(c, page);
}

void cache_expect(struct cache *c, size_t n_addresses)
{
    uint64_t pages = (c->head.n_bytes + CACHE_PAGE_BYTES - 1) / CACHE_PAGE_BYTES;
    if (pages / PAGES_AN_ADDRESS > n_addresses)
        return;
    IGNORE(madvise(c->bytes, room_bytes(c), MADV_HUGEPAGE), "only slower");
    IGNORE(madvise(c->bytes, room_bytes(c), MADV_POPULATE_WRITE), "the same");
    for (uint64_t page = 0; page < pages && !c->bad;) {
        uint64_t at = page * CACHE_PAGE_BYTES, left = c->head.n_bytes - at;
        size_t n = left < CHECKED_BYTES ? (size_t)left : CHECKED_BYTES;
        c->bad = read_at(c->fd, c->bytes + at, n, CACHE_PAGE_BYTES + at) < 0;
        for (uint64_t end = page + CHECKED_BYTES / CACHE_PAGE_BYTES;
             page < end && page < pages && !c->bad; page++)
            (void)take_page(c, page);
    }
    const struct table *t = &c->table;
    c->table.whole = !c->bad && (!t->n_text || !t->text[t->n_text - 1]);
}

bool cache_need(struct cache *c, const void *p, size_t n)
{
    uint64_t at = (uint64_t)((const uint8_t *)p - c->bytes);
    if (c->bad || at > c->head.n_bytes || n > c->head.n_bytes - at)
        return false;
    if (n == 0)
        return true;
    for (uint64_t page = at / CACHE_PAGE_BYTES; page <= (at + n - 1) / CACHE_PAGE_BYTES;
         page++) {
        if (!need_page(c, page))
            return false;
    }
    return true;
}

/* Strings of the copy keep their places, so that every index stays right. */
int cache_copy(struct cache *c, struct table *ret)
{
    if (!cache_need(c, c->bytes, (size_t)c->head.n_bytes))
        return -EBADMSG;
    const struct table *from = &c->table;
    if (from->n_text && from->text[from->n_text - 1] != 0)
        return -EBADMSG;
    return table_copy(from, ret);
}
