/* A table in the symbol cache: what goes in comes out again. */
#include "symbolize/build.h"
#include "symbolize/cache.h"

#include "test.h"
#include "tmpdir.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint8_t build_id[] = {1, 2, 3, 4, 5, 6, 7, 8};

static uint32_t add_place(struct table *t, uint32_t line, uint32_t caller)
{
    uint32_t ret = TABLE_NONE;
    struct table_place p = {.function = line % 3 ? line % 3 - 1 : TABLE_NONE,
        .file = TABLE_NONE,
        .line = line,
        .column = line % 2 ? 0 : UINT32_MAX - 1,
        .caller = caller};
    CHECK_INT(table_place(t, &p, &ret), 0);
    return ret;
}

static void add_functions(struct table *t)
{
    uint32_t name, i;
    CHECK_INT(table_string(t, "_Z3onev", 7, &name), 0);
    CHECK_INT(table_function(t, &(struct table_function){.name = name}, &i), 0);
    CHECK_INT(table_string(t, "_Z3twov", 7, &name), 0);
    CHECK_INT(table_function(t, &(struct table_function){.name = name}, &i), 0);
    CHECK_INT(table_add_readable(t, 1, "two()"), 0);
}

/* Put the table into a cache and open that. */
static struct cache *through_a_file(struct table *t)
{
    const char *dir = test_tmpdir();
    struct cache *c = NULL;
    const char *what;
    struct cache_entry e = {
        .build_id = build_id, .n_build_id = sizeof build_id, .table = t};
    CHECK_INT(table_settle(t), 0);
    CHECK_INT(cache_write(dir, &e, UINT64_MAX), 0);
    CHECK_INT(cache_open(dir, build_id, sizeof build_id, &c), 0);
    if (c && !CHECK_INT(build_verify(c, &what), 0))
        CHECK_STR(what, NULL);
    test_tmpdir_done(dir);
    return c;
}

static void check_place(const struct table *t, uint64_t pc, uint32_t line)
{
    struct table_place p = {0};
    CHECK_INT(table_place_at(t, table_find(t, pc), &p), line != 0);
    CHECK_INT(p.line, line);
    if (line)
        CHECK_INT(p.column, line % 2 ? 0 : UINT32_MAX - 1);
}

/* Ranges of all distances: touching, with a gap, beyond 4 GiB within one block and
 * between two. */
enum { N_RANGES = 1000 };

static uint64_t low_of(uint64_t i)
{
    return 0x1000 + i * 16 + (i / 100 * UINT64_C(0x180000000));
}

static void check_ranges(const struct table *t)
{
    for (uint32_t i = 0; i < N_RANGES; i++) {
        uint64_t low = low_of(i), high = low + (i % 7 ? 16 : 8);
        check_place(t, low, i + 1);
        check_place(t, high - 1, i + 1);
        if (i % 7 == 0)
            check_place(t, high, 0);
    }
    check_place(t, 0, 0);
    check_place(t, 0xfff, 0);
    check_place(t, low_of(N_RANGES - 1) + 16, 0);
    check_place(t, low_of(500) - 1, 0);
    check_place(t, UINT64_MAX, 0);
}

static void ranges(void)
{
    struct table t = {0}, copy;
    add_functions(&t);
    for (uint32_t i = 0; i < N_RANGES; i++) {
        uint64_t low = low_of(i);
        CHECK_INT(table_add_range(&t, low, low + (i % 7 ? 16 : 8),
                      add_place(&t, i + 1, i % 5 ? i / 2 : TABLE_NONE)),
            0);
    }
    struct cache *c = through_a_file(&t);
    check_ranges(&t);
    if (c) {
        check_ranges(&c->table);
        cache_expect(c, N_RANGES);
        CHECK(c->table.whole);
        check_ranges(&c->table);
        if (CHECK_INT(cache_copy(c, &copy), 0)) {
            check_ranges(&copy);
            CHECK_INT(copy.ranges.n, t.ranges.n);
            CHECK_INT(copy.places.n, t.places.n);
            CHECK(!memcmp(copy.places.items, t.places.items,
                t.places.n * sizeof(struct table_place)));
            table_done(&copy);
        }
    }
    cache_free(c);
    table_done(&t);
}

static void nothing(void)
{
    struct table t = {0}, copy;
    struct cache *c = through_a_file(&t);
    if (c) {
        check_place(&c->table, 0, 0);
        cache_expect(c, 1);
        check_place(&c->table, 0x1000, 0);
        if (CHECK_INT(cache_copy(c, &copy), 0))
            table_done(&copy);
    }
    cache_free(c);
    table_done(&t);
}

static void readable_names(void)
{
    struct table t = {0}, copy;
    add_functions(&t);
    struct cache *c = through_a_file(&t);
    if (c) {
        CHECK_INT(table_readable_at(&c->table, 0), TABLE_NONE);
        CHECK_INT(table_readable_at(&c->table, 2), TABLE_NONE);
        CHECK_STR(table_text(&c->table, table_readable_at(&c->table, 1)), "two()");
        if (CHECK_INT(cache_copy(c, &copy), 0)) {
            CHECK_STR(table_text(&copy, table_readable_at(&copy, 1)), "two()");
            CHECK_INT(table_add_readable(&copy, 0, "one()"), 0);
            CHECK_STR(table_text(&copy, table_readable_at(&copy, 0)), "one()");
            table_done(&copy);
        }
    }
    cache_free(c);
    table_done(&t);
}

/* Each number a column may hold, beside "none". */
static void packed_numbers(void)
{
    static const uint32_t numbers[] = {0, 1, 0xfe, 0xff, 0x100, 0xfffe, 0xffff, 0x10000,
        0xfffffe, 0xffffff, 0x1000000, UINT32_MAX - 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct packed_widths w = {0};
        uint32_t row[2] = {numbers[i], 7}, got[2];
        uint8_t bytes[PACKED_MAX_BYTES + PACKED_SLACK] = {0};
        packed_widen(&w, row, 2);
        CHECK_INT(packed_write(&w, row, 2, bytes), packed_row_bytes(&w));
        struct packed p = {bytes, 1, packed_row_bytes(&w), w};
        packed_read(&p, 0, got, 2);
        CHECK_INT(got[0], numbers[i]);
        CHECK_INT(got[1], 7);
        CHECK_INT(packed_number(&p, 0, 0), numbers[i]);
        CHECK_INT(packed_number(&p, 0, 1), 7);
    }
    CHECK_INT(packed_row_bytes(&(struct packed_widths){{1, 5}}), 0);
}

/* The last string does not end: it is none, however the cache is read. */
static void open_string(void)
{
    struct table t = {0};
    uint32_t first, last;
    const char *dir = test_tmpdir();
    struct cache *c = NULL;
    struct cache_entry e = {
        .build_id = build_id, .n_build_id = sizeof build_id, .table = &t};
    CHECK_INT(table_string(&t, "first", 5, &first), 0);
    CHECK_INT(table_string(&t, "last", 4, &last), 0);
    t.text[t.n_text - 1] = 'x';
    CHECK_INT(table_settle(&t), 0);
    CHECK_INT(cache_write(dir, &e, UINT64_MAX), 0);
    for (size_t n = 0; n < 2; n++) {
        if (!CHECK_INT(cache_open(dir, build_id, sizeof build_id, &c), 0))
            break;
        if (n)
            cache_expect(c, 1000);
        CHECK_STR(table_text(&c->table, first), "first");
        CHECK_STR(table_text(&c->table, last), NULL);
        CHECK_STR(table_text(&c->table, last + 5), NULL);
        CHECK_STR(table_text(&c->table, UINT32_MAX), NULL);
        CHECK(!c->bad);
        cache_free(c);
    }
    table_done(&t);
    test_tmpdir_done(dir);
}

/* What a table says of all addresses that matter, in one number. */
static uint64_t said(const struct table *t)
{
    uint64_t h = 0;
    for (uint64_t pc = 0xff0; pc < 0x1000 + 20 * 16; pc += 4) {
        struct table_place p = {0};
        const struct table_function *f;
        const char *name = NULL;
        if (table_place_at(t, table_find(t, pc), &p) &&
            (f = table_function_at(t, p.function)))
            name = table_text(t, f->name);
        const struct table_symbol *y = table_find_symbol(t, pc, NULL);
        const char *symbol = y ? table_text(t, y->name) : NULL;
        h = (h ^ p.line ^ (uint64_t)p.column << 32) * 1099511628211u;
        h = (h ^ p.caller ^ (uint64_t)table_covers(t, pc) << 40) * 1099511628211u;
        for (const char *c = name ? name : "-"; *c; c++)
            h = (h ^ (uint8_t)*c) * 1099511628211u;
        for (const char *c = symbol ? symbol : "-"; *c; c++)
            h = (h ^ (uint8_t)*c) * 1099511628211u;
    }
    return h;
}

static struct cache *opened(int fd)
{
    struct cache *c = NULL;
    int copy = dup(fd);
    CHECK(copy >= 0);
    return copy < 0 || cache_open_fd(copy, &c) < 0 ? NULL : c;
}

/* Each bit of a cache flipped, and the file cut at each byte: it is refused, found bad on
 * the way, or says what it said. */
static void no_bit_lies(void)
{
    static uint8_t bytes[1 << 16];
    struct table t = {0};
    const char *dir = test_tmpdir();
    char path[512];
    uint32_t name;
    add_functions(&t);
    for (uint32_t i = 0; i < 20; i++) {
        CHECK_INT(table_add_range(&t, low_of(i), low_of(i) + 12,
                      add_place(&t, i + 1, i % 5 ? i / 2 : TABLE_NONE)),
            0);
    }
    CHECK_INT(table_string(&t, "symbol", 6, &name), 0);
    CHECK_INT(table_add_symbol(&t,
                  &(struct table_symbol){
                      .low = 0x1010, .high = 0x1030, .name = name, .file = TABLE_NONE}),
        0);
    CHECK_INT(table_add_covered(&t, 0x1000, 0x1100), 0);
    CHECK_INT(table_settle(&t), 0);
    struct cache_entry e = {
        .build_id = build_id, .n_build_id = sizeof build_id, .table = &t};
    CHECK_INT(cache_write(dir, &e, UINT64_MAX), 0);
    (void)snprintf(path, sizeof path, "%s/0102030405060708.ksym", dir);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, bytes, sizeof bytes, 0);
    struct cache *c = opened(fd);
    if (!CHECK(c && n > CACHE_PAGE_BYTES && n < (ssize_t)sizeof bytes))
        return;
    const uint64_t right = said(&c->table);
    CHECK(said(&t) == right);
    cache_free(c);
    size_t refused = 0, bad = 0, step;
    for (off_t at = 0; at < n; at += (off_t)step) {
        /* Behind the head there is nothing in its page. */
        bool nothing = at >= (off_t)sizeof(struct cache_head) && at < CACHE_PAGE_BYTES;
        step = nothing && at + 61 < CACHE_PAGE_BYTES ? 61 : 1;
        for (unsigned bit = 0; bit < 8; bit++) {
            uint8_t wrong = bytes[at] ^ (uint8_t)(1u << bit);
            CHECK_INT(pwrite(fd, &wrong, 1, at), 1);
            c = opened(fd);
            if (c && said(&c->table) != right && !c->bad)
                CHECK_INT(at, -1);
            refused += !c;
            bad += c && c->bad;
            cache_free(c);
        }
        CHECK_INT(pwrite(fd, bytes + at, 1, at), 1);
    }
    CHECK(refused > 8 * offsetof(struct cache_head, head_crc) && bad > 1000);
    for (off_t cut = n - 1; cut >= 0; cut -= cut > CACHE_PAGE_BYTES ? 1 : 61) {
        CHECK_INT(ftruncate(fd, cut), 0);
        c = opened(fd);
        CHECK(!c);
        cache_free(c);
    }
    (void)close(fd);
    table_done(&t);
    test_tmpdir_done(dir);
}

TEST_MAIN(TEST(ranges), TEST(nothing), TEST(readable_names), TEST(packed_numbers),
    TEST(open_string), TEST(no_bit_lies))
