/* A symbol cache file. Checksums are made right first, else nothing gets behind them. */
#include "fuzz.h"
#include "symbolize/answer.h"
#include "symbolize/build.h"
#include "symbolize/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <zlib.h>

/* Put the right checksums where the head says that they are. */
static void repair(uint8_t *p, size_t n)
{
    struct cache_head h;
    if (n < CACHE_PAGE_BYTES)
        return;
    memcpy(&h, p, sizeof h);
    if (h.n_bytes > n - CACHE_PAGE_BYTES)
        return;
    uint64_t pages = (h.n_bytes + CACHE_PAGE_BYTES - 1) / CACHE_PAGE_BYTES;
    if (n - CACHE_PAGE_BYTES - h.n_bytes < pages * 4)
        return;
    uint8_t *sums = p + CACHE_PAGE_BYTES + h.n_bytes;
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t at = i * CACHE_PAGE_BYTES, left = h.n_bytes - at;
        uint32_t sum = (uint32_t)crc32(0, p + CACHE_PAGE_BYTES + at,
            (uInt)(left < CACHE_PAGE_BYTES ? left : CACHE_PAGE_BYTES));
        memcpy(sums + i * 4, &sum, 4);
    }
    h.checksums_crc = (uint32_t)crc32(0, sums, (uInt)(pages * 4));
    h.head_crc =
        (uint32_t)crc32(0, (const Bytef *)&h, offsetof(struct cache_head, head_crc));
    memcpy(p, &h, sizeof h);
}

static void ask(struct cache *c)
{
    struct store out = {0};
    struct sources sources = {.out = &out};
    struct answers a = {.table = &c->table,
        .out = &out,
        .max_frames = 128,
        .demangle = true,
        .sources = &sources};
    int err = answers_init(&a);
    for (uint64_t pc = 0x1000; err == 0 && pc < 0x1400; pc += 16) {
        struct knell_symbol_result r;
        (void)table_covers(&c->table, pc);
        err = answer(&a, pc, &r);
    }
    answers_done(&a);
    store_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    int fd = memfd_create("cache", MFD_CLOEXEC);
    struct cache *c;
    const char *what;
    if (!copy || fd < 0)
        abort();
    memcpy(copy, data, n);
    repair(copy, n);
    if (fchmod(fd, 0600) < 0 || write(fd, copy, n) != (ssize_t)n)
        abort();
    free(copy);
    if (cache_open_fd(fd, &c) < 0)
        return 0;
    ask(c);
    struct table t;
    if (cache_copy(c, &t) == 0)
        table_done(&t);
    (void)!build_verify(c, &what);
    cache_free(c);
    return 0;
}
