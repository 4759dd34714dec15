#include "crash/bucket.h"
#include "test.h"

static void allows_a_burst_then_one_per_interval(void)
{
    struct kn_buckets b = {.burst = 3, .interval_ms = 100};
    uint32_t suppressed = 99;
    for (int i = 0; i < 3; i++)
        CHECK(kn_bucket_take(&b, 5, 1000, 0, &suppressed));
    CHECK_INT(suppressed, 0);
    for (int i = 0; i < 7; i++)
        CHECK(!kn_bucket_take(&b, 5, 1000, 0, &suppressed));
    CHECK(!kn_bucket_take(&b, 5, 1099, 0, &suppressed));
    CHECK(kn_bucket_take(&b, 5, 1100, 0, &suppressed));
    CHECK_INT(suppressed, 8);
    CHECK(!kn_bucket_take(&b, 5, 1100, 0, &suppressed));
    CHECK(kn_bucket_take(&b, 5, 9999, 0, &suppressed));
    CHECK_INT(suppressed, 1);
}

static void kinds_do_not_disturb_each_other(void)
{
    struct kn_buckets b = {.burst = 1, .interval_ms = 1000};
    uint32_t n;
    CHECK(kn_bucket_take(&b, 1, 1, 0, &n));
    CHECK(!kn_bucket_take(&b, 1, 1, 0, &n));
    CHECK(kn_bucket_take(&b, 1 + KN_BUCKETS, 1, 0, &n)); /* the same place in the table */
    CHECK(!kn_bucket_take(&b, 1 + KN_BUCKETS, 1, 0, &n));
}

static void more_kinds_than_buckets_share(void)
{
    struct kn_buckets b = {.burst = 1, .interval_ms = 1000};
    uint32_t n;
    int allowed = 0;
    for (uint64_t i = 1; i <= 100 * KN_BUCKETS; i++)
        allowed += kn_bucket_take(&b, i * 2654435761u, 1, 0, &n);
    CHECK(allowed <= KN_BUCKETS);
    CHECK(kn_bucket_take(&b, 77, 5000, 0, &n)); /* idle ones are given to new kinds */
}

TEST_MAIN(TEST(allows_a_burst_then_one_per_interval),
    TEST(kinds_do_not_disturb_each_other), TEST(more_kinds_than_buckets_share))
