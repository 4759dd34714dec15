#include "test.h"

#include "uploader/report/arena.h"

static void gives_zeroed_aligned_memory(void)
{
    struct arena *a = arena_new(1 << 20);
    for (size_t i = 1; i < 200; i++) {
        unsigned char *p = arena_array(a, i, 3);
        CHECK(p && (uintptr_t)p % 16 == 0);
        for (size_t k = 0; p && k < i * 3; k++)
            CHECK(!p[k]);
        if (p)
            memset(p, 0xff, i * 3);
    }
    arena_free(a);
}

static void keeps_its_bound(void)
{
    struct arena *a = arena_new(1008);
    CHECK(arena_array(a, 10, 100));
    CHECK(!arena_array(a, 1, 1));
    CHECK(!arena_array(a, SIZE_MAX, 2));
    CHECK(!arena_array(a, SIZE_MAX / 2, 2));
    arena_free(a);
    arena_free(NULL);
}

/* What alignment takes is memory as well: a report of many small texts keeps the bound.
 */
static void counts_what_it_takes(void)
{
    enum { BOUND = 1 << 20 };
    struct arena *a = arena_new(BOUND);
    size_t n = 0;
    const char *first = arena_array(a, 1, 1), *second = arena_array(a, 1, 1);
    size_t each = (size_t)(second - first);
    CHECK(each >= 1 && each <= 64);
    while (n < BOUND && arena_array(a, 1, 1))
        n++;
    CHECK((n + 2) * each <= BOUND);
    CHECK((n + 3) * each > BOUND);
    arena_free(a);
}

static void copies_text(void)
{
    struct arena *a = arena_new(1000);
    CHECK_STR(arena_text(a, "hello", 4), "hell");
    CHECK_STR(arena_text(a, NULL, 0), "");
    arena_free(a);
}

TEST_MAIN(TEST(gives_zeroed_aligned_memory), TEST(keeps_its_bound),
    TEST(counts_what_it_takes), TEST(copies_text))
