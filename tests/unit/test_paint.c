/* Ranges over ranges, against the slow and obvious way. */
#include "symbolize/paint.h"

#include "test.h"

#include <stdlib.h>

enum { SPAN = 64, NOTHING = 255 };

static unsigned state = 1;

static unsigned random_below(unsigned n)
{
    state = state * 1103515245u + 12345u;
    return (state >> 16) % n;
}

static void same_as_the_slow_way(void)
{
    for (int round = 0; round < 2000; round++) {
        uint8_t slow[SPAN], fast[SPAN];
        struct paints l = {0};
        memset(slow, NOTHING, sizeof slow);
        memset(fast, NOTHING, sizeof fast);
        for (uint32_t i = 0, n = random_below(12); i < n; i++) {
            unsigned low = random_below(SPAN), high = low + random_below(SPAN - low + 1);
            CHECK_INT(paints_add(&l, low, high, i), 0);
            for (unsigned k = low; k < high; k++)
                slow[k] = (uint8_t)i;
        }
        CHECK_INT(paints_flatten(&l), 0);
        for (size_t i = 0; i < l.n; i++) {
            CHECK(l.p[i].low < l.p[i].high && (!i || l.p[i].low >= l.p[i - 1].high));
            for (uint64_t k = l.p[i].low; k < l.p[i].high; k++)
                fast[k] = (uint8_t)l.p[i].id;
        }
        CHECK_INT(memcmp(slow, fast, sizeof slow), 0);
        free(l.p);
    }
}

static void highest_address(void)
{
    struct paints l = {0};
    CHECK_INT(paints_add(&l, 0, UINT64_MAX, 1), 0);
    CHECK_INT(paints_add(&l, UINT64_MAX - 1, UINT64_MAX, 2), 0);
    CHECK_INT(paints_add(&l, 5, 5, 3), 0);
    CHECK_INT(paints_flatten(&l), 0);
    if (CHECK_INT(l.n, 2)) {
        CHECK_INT(l.p[0].id, 1);
        CHECK_INT(l.p[1].id, 2);
    }
    free(l.p);
}

TEST_MAIN(TEST(same_as_the_slow_way), TEST(highest_address))
