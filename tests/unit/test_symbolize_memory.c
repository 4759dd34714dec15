/* Every allocation of a look-up fails once: the answer degrades, nothing breaks. */
#include "symbolize/elf_file.h"
#include "test.h"

#include <errno.h>
#include <knell/symbolize.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INTERPOSE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define INTERPOSE 0
#else
#define INTERPOSE 1
#endif
#else
#define INTERPOSE 1
#endif

static long countdown = -1; /* allocations until one fails; -1: none does */

#if INTERPOSE
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static bool fails(void)
{
    return countdown >= 0 && countdown-- == 0;
}

void *malloc(size_t n)
{
    if (fails()) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    if (fails()) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    if (fails()) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(p, n);
}
#endif

static char self[PATH_MAX];

static int find_base(struct dl_phdr_info *info, size_t n, void *ctx)
{
    (void)n;
    *(uint64_t *)ctx = info->dlpi_addr;
    return 1;
}

/* One look-up whose @nth allocation fails: whether all of them were reached. */
static bool look_up(const struct elf_file *own, uint64_t pc, long nth)
{
    struct knell_symbol_module m = {.path = self,
        .build_id = own->build_id,
        .n_build_id = own->n_build_id,
        .base = own->first_vaddr};
    struct knell_symbol_query q[2] = {{.pc = pc}, {.pc = pc + 1}};
    struct knell_symbol_result r[2];
    struct knell_symbolize_options o = {.size = sizeof o, .context_lines = 1};
    struct knell_symbolizer *s;
    countdown = nth;
    int err = knell_symbolizer_new(&o, &s);
    if (err == 0)
        err = knell_symbolize(s, &m, 1, q, 2, r);
    else
        s = NULL;
    bool untouched = countdown >= 0;
    countdown = -1;
    CHECK(err == 0 || err == -ENOMEM);
    if (err == 0 && untouched) {
        CHECK_INT(r[0].status, KNELL_SYMBOL_OK);
        CHECK_STR(r[0].frames[0].function, "main");
    }
    if (err == 0) {
        for (uint32_t i = 0; i < r[0].n_frames; i++)
            CHECK(!r[0].frames[i].function || *r[0].frames[i].function);
    }
    knell_symbolizer_free(s);
    return untouched;
}

int main(int argc, char **argv);

static void every_allocation_fails_once(void)
{
    struct elf_file own;
    uint64_t bias = 0;
    if (!INTERPOSE) {
        test_skip("the sanitizer owns malloc");
        return;
    }
    (void)dl_iterate_phdr(find_base, &bias);
    if (!CHECK_INT(elf_file_open(self, &own), 0))
        return;
    long n = 0;
    while (n < 100000 && !look_up(&own, (uint64_t)(uintptr_t)&main - bias, n))
        n++;
    CHECK(n > 20 && n < 100000);
    elf_file_done(&own);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {TEST(every_allocation_fails_once)};
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return 1;
    return test_run(tests, sizeof tests / sizeof *tests, argc, argv);
}
