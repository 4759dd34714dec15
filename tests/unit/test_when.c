#include "test.h"
#include "uploader/inspect/when.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Friday 2026-11-20 22:14:07.123 UTC */
static const int64_t NOW = INT64_C(1795212847123);

static int64_t parsed(const char *s)
{
    int64_t ms = -1;
    return when_parse(s, NOW, true, &ms) ? -1 : ms;
}

static void points_in_time(void)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"now", INT64_C(1795212847123)},
        {"today", INT64_C(1795132800000)},
        {"yesterday", INT64_C(1795046400000)},
        {"Tomorrow", INT64_C(1795219200000)},
        {"friday", INT64_C(1795132800000)},
        {"thu", INT64_C(1795046400000)},
        {"sat", INT64_C(1794614400000)},
        {"2026-11-20", INT64_C(1795132800000)},
        {"2026-11-20 22:14", INT64_C(1795212840000)},
        {"2026-11-20 22:14:07", INT64_C(1795212847000)},
        {"2026-11-20T22:14:07.5Z", INT64_C(1795212847500)},
        {"2026-11-20T22:14:07+01:00", INT64_C(1795209247000)},
        {"2026-11-20 22:14:07 UTC", INT64_C(1795212847000)},
        {"22:14", INT64_C(1795212840000)},
        {"22:14:07", INT64_C(1795212847000)},
        {"@1795212847", INT64_C(1795212847000)},
        {"-2h", INT64_C(1795205647123)},
        {"2h", INT64_C(1795205647123)},
        {"2 hours ago", INT64_C(1795205647123)},
        {"1d 12h ago", INT64_C(1795083247123)},
        {"+5min", INT64_C(1795213147123)},
        {"1.5h ago", INT64_C(1795207447123)},
        {"-1m", INT64_C(1795212787123)},
        {"-1M", INT64_C(1792583047123)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!CHECK_INT(parsed(cases[i].text), cases[i].ms))
            (void)fprintf(stderr, "    for \"%s\"\n", cases[i].text);
}

static void nonsense_is_refused(void)
{
    static const char *const cases[] = {"", "soon", "2026-13-01", "2026-11-20 25:00",
        "25:61", "@", "@x", "@nan", "-", "-2h ago", "2 parsecs ago", "2026-11-20x", "12",
        "ago", "99999999999999999999y", "-2H", "2 Hours ago"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!CHECK_INT(parsed(cases[i]), -1))
            (void)fprintf(stderr, "    for \"%s\"\n", cases[i]);
}

static void spans(void)
{
    int64_t ms = -1;
    CHECK_INT(when_parse_span("90", &ms), 0);
    CHECK_INT(ms, 90000);
    CHECK_INT(when_parse_span("1w 2d", &ms), 0);
    CHECK_INT(ms, INT64_C(777600000));
    CHECK_INT(when_parse_span("6m", &ms), 0);
    CHECK_INT(ms, INT64_C(360000));
    CHECK_INT(when_parse_span("6M", &ms), 0);
    CHECK_INT(ms, INT64_C(15778800000));
    CHECK_INT(when_parse_span("6H", &ms), -EINVAL);
    CHECK_INT(when_parse_span("6MS", &ms), -EINVAL);
    CHECK_INT(when_parse_span("250ms", &ms), 0);
    CHECK(when_parse_span("", &ms) < 0);
    CHECK(when_parse_span("x", &ms) < 0);
    CHECK(when_parse_span("-5", &ms) < 0);
    CHECK(when_parse_span("9e99y", &ms) < 0);
    CHECK_INT(ms, 250);
}

static void forms(void)
{
    char t[WHEN_BYTES];
    CHECK_STR(when_format(t, NOW, true, false), "2026-11-20 22:14:07");
    CHECK_STR(when_format(t, NOW, true, true), "2026-11-20 22:14:07.123 UTC");
    CHECK_STR(when_iso(t, NOW), "2026-11-20T22:14:07.123Z");
    CHECK_STR(when_iso(t, 0), "1970-01-01T00:00:00.000Z");
    CHECK_STR(when_format(t, INT64_MAX, true, false), "@9223372036854775");
    CHECK_STR(when_age(t, 0), "0s");
    CHECK_STR(when_age(t, 119000), "119s");
    CHECK_STR(when_age(t, 240000), "4m");
    CHECK_STR(when_age(t, INT64_C(86400000) * 5), "5d");
    CHECK_STR(when_age(t, INT64_C(86400000) * 9999), "27y");
    CHECK_STR(when_age(t, -240000), "+4m");
    CHECK_STR(when_age(t, INT64_MIN), "+292271023y");
    CHECK_STR(when_span(t, 35), "35ms");
    CHECK_STR(when_span(t, 1234), "1.2s");
    CHECK_STR(when_span(t, 860000), "14min 20s");
    CHECK_STR(when_span(t, INT64_C(266400000)), "3d 2h");
    CHECK_STR(when_span(t, INT64_C(3600000)), "1h");
}

static void local_time_follows_tz(void)
{
    (void)setenv("TZ", "CET-1", 1);
    tzset();
    char t[WHEN_BYTES];
    int64_t ms = 0;
    CHECK_STR(when_format(t, NOW, false, true), "2026-11-20 23:14:07.123 CET");
    CHECK_INT(when_parse("2026-11-20 23:14:07", NOW, false, &ms), 0);
    CHECK_INT(ms, INT64_C(1795212847000));
}

TEST_MAIN(TEST(points_in_time), TEST(nonsense_is_refused), TEST(spans), TEST(forms),
    TEST(local_time_follows_tz))
