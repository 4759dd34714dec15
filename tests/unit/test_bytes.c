#include "test.h"

#include "symbolize/bytes.h"

static void reads_in_order(void)
{
    static const uint8_t data[] = {1, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0};
    struct bytes b = bytes_of(data, sizeof data);
    CHECK_INT(bytes_u8(&b, "a"), 1);
    CHECK_INT(bytes_u16(&b, "b"), 2);
    CHECK_INT(bytes_u32(&b, "c"), 3);
    CHECK_INT(bytes_u64(&b, "d"), 4);
    CHECK_INT(b.err, 0);
}

static void first_failure_sticks(void)
{
    static const uint8_t data[] = {1, 2, 3};
    struct bytes b = bytes_of(data, sizeof data);
    (void)bytes_u16(&b, "fits");
    CHECK_INT(bytes_u32(&b, "too much"), 0);
    CHECK_INT(bytes_u8(&b, "later"), 0);
    CHECK_INT(b.err, -EBADMSG);
    CHECK_STR(b.what, "too much");
    CHECK_INT(b.err_at, 2);
}

static void sub_refuses_overflow(void)
{
    static const uint8_t data[8];
    struct bytes b = bytes_of(data, sizeof data);
    CHECK_INT(bytes_sub(&b, 4, 4, "x").err, 0);
    CHECK_INT(bytes_sub(&b, 4, 5, "x").err, -EBADMSG);
    CHECK_INT(bytes_sub(&b, UINT64_MAX, 2, "x").err, -EBADMSG);
    CHECK_INT(bytes_sub(&b, 2, UINT64_MAX, "x").err, -EBADMSG);
    bytes_seek(&b, 9, "seek");
    CHECK_INT(b.err, -EBADMSG);
}

TEST_MAIN(TEST(reads_in_order), TEST(first_failure_sticks), TEST(sub_refuses_overflow))
