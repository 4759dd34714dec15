#include "test.h"

#include "uploader/deliver/hint.h"

#include <errno.h>

static void reads_retry_after(void)
{
    enum { NOW = 1700000000, MAX = 86400 };
    static const struct {
        const char *text;
        int r;
        uint64_t seconds;
    } rows[] = {{"120", 0, 120}, {" 7 ", 0, 7}, {"0", 0, 0}, {"1.5", 0, 2}, {"2.0", 0, 2},
        {"99999999999999999999999999", 0, MAX}, {"1e9", -EINVAL, 0}, {"-1", -EINVAL, 0},
        {"", -EINVAL, 0}, {"soon", -EINVAL, 0}, {"1.", -EINVAL, 0}, {"0x10", -EINVAL, 0},
        {"Tue, 14 Nov 2023 22:14:20 GMT", 0, 60}, {"Tue, 14 Nov 2023 22:13:20 GMT", 0, 0},
        {"Tuesday, 14-Nov-23 22:14:20 GMT", 0, 60}, {"Tue Nov 14 22:14:20 2023", 0, 60},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0, 0},
        {"Fri, 01 Jan 2100 00:00:00 GMT", 0, MAX},
        {"Fri, 41 Jan 2100 00:00:00 GMT", -EINVAL, 0},
        {"Fri, 01 Foo 2100 00:00:00 GMT", -EINVAL, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t s = 4711;
        if (!CHECK_INT(hint_retry_after(rows[i].text, NOW, MAX, &s), rows[i].r))
            CHECK_STR(rows[i].text, "");
        CHECK_INT(s, rows[i].r ? 4711 : rows[i].seconds);
    }
}

static void reads_rate_limits(void)
{
    static const struct {
        const char *text;
        uint64_t error, session, attachment;
    } rows[] = {{"", 0, 0, 0}, {"60::organization", 60, 60, 60},
        {"60:transaction:key, 2700:default;error;security:organization", 2700, 0, 0},
        {"10:error:key,5:error:key", 10, 0, 0}, {"30:error:key::", 30, 0, 0},
        {"30 : error ; session : key", 30, 30, 0}, {"1.2:session:key", 0, 2, 0},
        {"60:unknown:key", 0, 0, 0}, {"60:unknown;attachment:key", 0, 0, 60},
        {"x:error:key", 0, 0, 0}, {"-5:error:key", 0, 0, 0}, {"60", 60, 60, 60},
        {"999999999999:error:key", 86400, 0, 0}, {",,,:::,;;;", 0, 0, 0},
        {"60:ERROR:key", 60, 0, 0}, {"60:errors:key", 0, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct hint h;
        hint_rate_limits(rows[i].text, 86400, &h);
        bool ok = CHECK_INT(h.seconds[HINT_ERROR], rows[i].error);
        ok &= CHECK_INT(h.seconds[HINT_SESSION], rows[i].session);
        ok &= CHECK_INT(h.seconds[HINT_ATTACHMENT], rows[i].attachment);
        if (!ok)
            CHECK_STR(rows[i].text, "");
    }
}

TEST_MAIN(TEST(reads_retry_after), TEST(reads_rate_limits))
