/* Names for people. */
#include "symbolize/demangle.h"

#include "test.h"

#include <stdlib.h>

static void check(const char *name, const char *expected)
{
    struct store s = {0};
    CHECK_STR(demangle(&s, name, true), expected);
    store_done(&s);
}

static void names(void)
{
    check("main", "main");
    check("", "");
    check("_start", "_start");
    check("_Z", "_Z");
    check("_ZN1a1bEi", "a::b(int)");
    check("_ZN1a1bEi.cold", "a::b(int)");
    check("work.constprop.0", "work");
    check("work.isra.0.part.1.cold", "work");
    check(".cold", ".cold");
    check("work.cold.1", "work");
    check("work.localalias", "work");
    check("work.llvm.1234567890123", "work");
    check("main.coldStart", "main.coldStart");
    check("main.coldStart.cold", "main.coldStart");
    check("net.resolverConfig", "net.resolverConfig");
    check("main.part.Add", "main.part.Add");
    check("_ZN12_GLOBAL__N_14readEv", "(anonymous namespace)::read()");
    check("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE",
        "core::fmt::Write::write_fmt");
    check("_RNvCs1234_7mycrate3foo", "mycrate::foo");
    check("foo@plt", "foo@plt");
}

static void off_keeps_the_raw_name(void)
{
    struct store s = {0};
    CHECK_STR(demangle(&s, "_ZN1a1bEi.cold", false), "_ZN1a1bEi");
    store_done(&s);
}

/* Back references that double with each step: 2^30 pieces if followed. */
static void names_that_explode(void)
{
    char name[512] = "_Z1fN1a1bE";
    for (int i = 0; i < 30; i++)
        strcat(name, "St4pairIS_S_E");
    struct store s = {0};
    const char *out = demangle(&s, name, true);
    CHECK(out && strlen(out) < 100000);
    char deep[8000];
    memset(deep, 'P', sizeof deep - 1);
    memcpy(deep, "_Z1f", 4);
    deep[sizeof deep - 2] = 'i';
    deep[sizeof deep - 1] = 0;
    CHECK(demangle(&s, deep, true) != NULL);
    store_done(&s);
}

TEST_MAIN(TEST(names), TEST(off_keeps_the_raw_name), TEST(names_that_explode))
