#include "symbolize/cache.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ABANDONED_AFTER_S = 3600 };

/* Writes behind the head, a checksum for each page on the way. */
struct sink {
    int fd, err;
    uint64_t n; /* bytes behind the head */
    size_t fill;
    uint8_t page[CACHE_PAGE_BYTES];
    uint32_t *checksums;
    size_t n_checksums, max_checksums;
};

static int write_all(int fd, const void *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = write(fd, (const char *)p + done, n - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        done += (size_t)put;
    }
    return 0;
}

static void flush_page(struct sink *s)
{
    if (s->err || s->fill == 0)
        return;
    if (s->n_checksums == s->max_checksums) {
        size_t max = s->max_checksums ? 2 * s->max_checksums : 256;
        uint32_t *more = realloc(s->checksums, max * sizeof *more);
        if (!more) {
            s->err = -ENOMEM;
            return;
        }
        s->checksums = more;
        s->max_checksums = max;
    }
    s->checksums[s->n_checksums++] = cache_checksum(s->page, s->fill);
    s->err = write_all(s->fd, s->page, s->fill);
    s->fill = 0;
}

static void put(struct sink *s, const void *p, size_t n)
{
    const uint8_t *from = p;
    while (n && !s->err) {
        size_t piece = CACHE_PAGE_BYTES - s->fill;
        piece = piece < n ? piece : n;
        memcpy(s->page + s->fill, from, piece);
        s->fill += piece;
        s->n += piece;
        from += piece;
        n -= piece;
        if (s->fill == CACHE_PAGE_BYTES)
            flush_page(s);
    }
}

static void put_part(struct sink *s, struct cache_head *h, enum cache_part part,
    const void *items, uint64_t n)
{
    static const uint8_t zeros[8];
    put(s, zeros, (size_t)(-s->n & 7));
    h->parts[part].offset = s->n;
    h->parts[part].n = n;
    put(s, items, (size_t)n * cache_item_bytes(h, part));
}

/* Where every TABLE_STEP'th symbol begins. */
static void put_symbol_steps(struct sink *s, struct cache_head *h, const struct table *t)
{
    const struct table_symbol *y = t->symbols.items;
    put_part(s, h, CACHE_SYMBOL_STEPS, NULL, 0);
    for (size_t i = 0; i < t->symbols.n; i += TABLE_STEP) {
        put(s, &y[i].low, sizeof y[i].low);
        h->parts[CACHE_SYMBOL_STEPS].n++;
    }
}

static void put_places(struct sink *s, struct cache_head *h, const struct table *t)
{
    const struct table_place *p = t->places.items;
    static_assert(sizeof *p == PACKED_MAX_BYTES, "all members are columns");
    uint32_t row[PACKED_MAX_COLUMNS];
    uint8_t bytes[PACKED_MAX_BYTES];
    for (uint32_t i = 0; i < t->places.n; i++) {
        memcpy(row, &p[i], sizeof row);
        packed_widen(&h->place_widths, row, PACKED_MAX_COLUMNS);
    }
    put_part(s, h, CACHE_PLACES, NULL, 0);
    h->parts[CACHE_PLACES].n = t->places.n;
    for (uint32_t i = 0; i < t->places.n; i++) {
        memcpy(row, &p[i], sizeof row);
        put(s, bytes, packed_write(&h->place_widths, row, PACKED_MAX_COLUMNS, bytes));
    }
}

/* A walk over the edges of a table's ranges, each with its number. */
struct edges {
    const struct table *t;
    size_t i;       /* range */
    bool at_end;    /* of that range, behind which there is a gap */
    uint64_t n;     /* edges so far */
    uint64_t first; /* of these TABLE_STEP edges */
    uint32_t row[2];
};

static bool next_edge(struct edges *e)
{
    const struct table_range *r = e->t->ranges.items;
    if (e->i == e->t->ranges.n)
        return false;
    uint64_t low = e->at_end ? r[e->i].high : r[e->i].low;
    /* What is too far away begins the next TABLE_STEP edges; the last one is repeated up
     * to there. */
    bool begins = e->n++ % TABLE_STEP == 0;
    if (!begins && low - e->first >= UINT32_MAX)
        return true;
    e->first = begins ? low : e->first;
    e->row[0] = (uint32_t)(low - e->first);
    e->row[1] = e->at_end ? TABLE_NONE : r[e->i].place;
    bool gap =
        !e->at_end && (e->i + 1 == e->t->ranges.n || r[e->i + 1].low != r[e->i].high);
    e->i += !gap;
    e->at_end = gap;
    return true;
}

static void put_edges(struct sink *s, struct cache_head *h, const struct table *t)
{
    uint8_t bytes[PACKED_MAX_BYTES];
    for (struct edges e = {.t = t}; next_edge(&e);)
        packed_widen(&h->edge_widths, e.row, 2);
    put_part(s, h, CACHE_EDGES, NULL, 0);
    for (struct edges e = {.t = t}; next_edge(&e); h->parts[CACHE_EDGES].n++)
        put(s, bytes, packed_write(&h->edge_widths, e.row, 2, bytes));
    put_part(s, h, CACHE_EDGE_STEPS, NULL, 0);
    for (struct edges e = {.t = t}; next_edge(&e);) {
        if (e.n % TABLE_STEP != 1)
            continue;
        put(s, &e.first, sizeof e.first);
        h->parts[CACHE_EDGE_STEPS].n++;
    }
}

static int write_file(int fd, const struct cache_entry *e)
{
    uint8_t first[CACHE_PAGE_BYTES] = {0};
    const struct table *t = e->table;
    struct cache_head h = {.magic = "KNELSYM",
        .version = CACHE_VERSION,
        .first_vaddr = e->first_vaddr,
        .debug_path = TABLE_NONE,
        .complete = e->complete};
    struct sink s = {.fd = fd};
    if (e->debug_path) {
        int err =
            table_string(e->table, e->debug_path, strlen(e->debug_path), &h.debug_path);
        if (err < 0)
            return err;
    }
    h.n_build_id = (uint32_t)e->n_build_id;
    memcpy(h.build_id, e->build_id, e->n_build_id);
    s.err = write_all(fd, first, sizeof first);
    put_part(&s, &h, CACHE_TEXT, t->text, t->n_text);
    put_part(&s, &h, CACHE_FUNCTIONS, t->functions.items, t->functions.n);
    put_part(&s, &h, CACHE_FILES, t->files.items, t->files.n);
    put_part(&s, &h, CACHE_READABLE, t->readable.items, t->readable.n);
    put_places(&s, &h, t);
    put_edges(&s, &h, t);
    put_part(&s, &h, CACHE_SYMBOLS, t->symbols.items, t->symbols.n);
    put_part(&s, &h, CACHE_COVERED, t->covered.items, t->covered.n);
    put_symbol_steps(&s, &h, t);
    flush_page(&s);
    h.n_bytes = s.n;
    h.checksums_crc = cache_checksum(s.checksums, s.n_checksums * 4);
    h.head_crc = cache_checksum(&h, offsetof(struct cache_head, head_crc));
    if (!s.err)
        s.err = write_all(fd, s.checksums, s.n_checksums * 4);
    free(s.checksums);
    memcpy(first, &h, sizeof h);
    if (!s.err && pwrite(fd, first, sizeof first, 0) != (ssize_t)sizeof first)
        s.err = -EIO;
    if (!s.err && fsync(fd) < 0)
        s.err = -errno;
    return s.err;
}

int cache_write(const char *dir, const struct cache_entry *e, uint64_t max_bytes)
{
    char name[2 * ELF_FILE_MAX_BUILD_ID + sizeof ".ksym"], temporary[64];
    CLEANUP(close_p) int dir_fd = -1;
    if (e->n_build_id == 0 || e->n_build_id > ELF_FILE_MAX_BUILD_ID)
        return -EINVAL;
    int err = cache_open_dir(dir, true, &dir_fd);
    if (err < 0)
        return err;
    for (size_t i = 0; i < e->n_build_id; i++)
        (void)snprintf(name + 2 * i, 3, "%02x", e->build_id[i]);
    memcpy(name + 2 * e->n_build_id, ".ksym", sizeof ".ksym");
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)snprintf(temporary, sizeof temporary, ".%ld.%lld%09ld.tmp", (long)getpid(),
        (long long)now.tv_sec, now.tv_nsec);
    CLEANUP(close_p)
    int fd = openat(
        dir_fd, temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    err = write_file(fd, e);
    if (err == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
        err = -errno;
    if (err < 0) {
        (void)unlinkat(dir_fd, temporary, 0);
        return err;
    }
    struct cache_usage usage;
    IGNORE(cache_trim(dir, max_bytes, &usage), "the next writer tries again");
    return 0;
}

struct old_file {
    char name[256];
    struct timespec used;
    uint64_t n_bytes;
};

static int by_use(const void *a, const void *b)
{
    const struct old_file *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), k = strlen(suffix);
    return n > k && !strcmp(name + n - k, suffix);
}

/* Look at one name of the folder: 1 and @f for a cache file, 0 for anything else. */
static int look(int dir_fd, const char *name, time_t now, struct old_file *f)
{
    struct stat st;
    size_t n = strlen(name);
    if (n >= sizeof f->name || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(st.st_mode))
        return 0;
    if (name[0] == '.' && has_suffix(name, ".tmp")) {
        if (now - st.st_mtim.tv_sec > ABANDONED_AFTER_S)
            (void)unlinkat(dir_fd, name, 0);
        return 0;
    }
    if (!has_suffix(name, ".ksym"))
        return 0;
    memcpy(f->name, name, n + 1);
    f->used = st.st_mtim;
    f->n_bytes = (uint64_t)st.st_size;
    return 1;
}

static int list(int dir_fd, struct old_file **ret, size_t *ret_n)
{
    size_t n = 0, max = 0;
    struct old_file *files = NULL;
    int copy = dup(dir_fd);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d) {
        int err = -errno;
        if (copy >= 0)
            (void)close(copy);
        return err;
    }
    time_t now = time(NULL);
    int err = 0;
    for (struct dirent *e; err == 0 && (e = readdir(d));) {
        if (n == max) {
            max = max ? 2 * max : 64;
            struct old_file *more = realloc(files, max * sizeof *more);
            err = more ? 0 : -ENOMEM;
            files = more ? more : files;
        }
        if (err == 0)
            n += (size_t)look(dir_fd, e->d_name, now, &files[n]);
    }
    (void)closedir(d);
    *ret = files;
    *ret_n = n;
    return err;
}

int cache_trim(const char *dir, uint64_t max_bytes, struct cache_usage *ret)
{
    CLEANUP(close_p) int dir_fd = -1;
    CLEANUP(free_p) struct old_file *files = NULL;
    struct cache_usage u = {0};
    size_t n = 0;
    int err = cache_open_dir(dir, false, &dir_fd);
    if (err == 0)
        err = list(dir_fd, &files, &n);
    if (err < 0)
        return err;
    if (n)
        qsort(files, n, sizeof *files, by_use);
    for (size_t i = 0; i < n; i++)
        u.n_bytes += files[i].n_bytes;
    u.n_files = n;
    for (size_t i = 0; i < n && u.n_bytes > max_bytes; i++) {
        if (unlinkat(dir_fd, files[i].name, 0) < 0 && errno != ENOENT)
            continue;
        u.n_bytes -= files[i].n_bytes;
        u.n_files--;
        u.n_removed++;
        u.n_removed_bytes += files[i].n_bytes;
    }
    *ret = u;
    return 0;
}
