#include "test.h"
#include "uploader/inspect/maps.h"

static const char text[] =
    "55d0c0a40000-55d0c0a41000 r--p 00000000 fe:00 1234      /usr/bin/exampled\n"
    "nonsense\n"
    "55d0c0a41000-55d0c0a45000 r-xp 00001000 fe:00 1234      /usr/bin/example d\n"
    "7f0000000000-7f0000001000 ---p 00000000 00:00 0 \n"
    "7f0000001000-7f0000801000 rw-p 00000000 00:00 0 \n"
    "7fff00000000-7fff00021000 rw-p 00000000 00:00 0         [stack]";

static bool find(uint64_t address, struct maps_place *ret)
{
    const struct crash_text t = {text, sizeof text - 1};
    return maps_find(&t, address, ret);
}

static void addresses_are_found(void)
{
    struct maps_place p;
    CHECK(find(0x55d0c0a41234, &p) && p.inside);
    CHECK_STR(p.at.permissions, "r-xp");
    CHECK_STR(p.at.path, "/usr/bin/example d");
    CHECK_INT(p.at.offset, 0x1000);
    CHECK(find(0x7f0000000fff, &p) && p.inside);
    CHECK_STR(p.at.path, "");
    CHECK_STR(p.at.permissions, "---p");
    CHECK(find(0x7fff00020fff, &p) && p.inside);
    CHECK_STR(p.at.path, "[stack]");
}

static void neighbours_are_named(void)
{
    struct maps_place p;
    CHECK(find(0x7fff00000000 - 8, &p) && !p.inside);
    CHECK(p.has_above && p.has_below);
    CHECK_STR(p.above.path, "[stack]");
    CHECK_INT(p.below.end, 0x7f0000801000);
    CHECK(find(0x18, &p) && !p.inside && !p.has_below && p.has_above);
    const struct crash_text none = {0};
    CHECK(!maps_find(&none, 0x18, &p));
}

TEST_MAIN(TEST(addresses_are_found), TEST(neighbours_are_named))
