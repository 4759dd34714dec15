#include "crash/trace_header.h"
#include "test.h"

#include <errno.h>

#define TRACE "0123456789abcdef0123456789ABCDEF"
#define SPAN "fedcba9876543210"

static void sentry_trace(void)
{
    static const struct {
        const char *text;
        int result, sampled;
    } cases[] = {
        {TRACE "-" SPAN "-1", 0, KN_SAMPLED_YES},
        {TRACE "-" SPAN "-0", 0, KN_SAMPLED_NO},
        {TRACE "-" SPAN, 0, KN_SAMPLED_UNDECIDED},
        {" \t" TRACE "-" SPAN "-1 ", 0, KN_SAMPLED_YES},
        {TRACE "-" SPAN "-2", -EINVAL, 0},
        {TRACE "-" SPAN "-1x", -EINVAL, 0},
        {TRACE "-fedcba98765432", -EINVAL, 0},
        {TRACE SPAN, -EINVAL, 0},
        {"00000000000000000000000000000000-" SPAN, -EINVAL, 0},
        {TRACE "-0000000000000000", -EINVAL, 0},
        {"", -EINVAL, 0},
        {NULL, -EINVAL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kn_trace_parent p = {.sampled = 7};
        CHECK_INT(kn_sentry_trace_parse(cases[i].text, &p), cases[i].result);
        if (cases[i].result) {
            CHECK_INT(p.sampled, 7);
            continue;
        }
        char hex[33];
        kn_hex(p.trace_id, 16, hex);
        CHECK_STR(hex, "0123456789abcdef0123456789abcdef");
        kn_hex(p.span_id, 8, hex);
        CHECK_STR(hex, SPAN);
        CHECK_INT(p.sampled, cases[i].sampled);
    }
}

static void traceparent(void)
{
    static const struct {
        const char *text;
        int result, sampled;
    } cases[] = {
        {"00-" TRACE "-" SPAN "-01", 0, KN_SAMPLED_YES},
        {"00-" TRACE "-" SPAN "-00", 0, KN_SAMPLED_NO},
        {"00-" TRACE "-" SPAN "-02", 0, KN_SAMPLED_NO},
        {"00-" TRACE "-" SPAN "-01-more", -EINVAL, 0},
        {"cc-" TRACE "-" SPAN "-01-more", 0, KN_SAMPLED_YES},
        {"ff-" TRACE "-" SPAN "-01", -EINVAL, 0},
        {"00-" TRACE "-" SPAN "-0", -EINVAL, 0},
        {"0-" TRACE "-" SPAN "-01", -EINVAL, 0},
        {"00-" TRACE "-0000000000000000-01", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"00", -EINVAL, 0},
        {NULL, -EINVAL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct kn_trace_parent p = {.sampled = 7};
        CHECK_INT(kn_traceparent_parse(cases[i].text, &p), cases[i].result);
        CHECK_INT(p.sampled, cases[i].result ? 7 : cases[i].sampled);
    }
}

static void baggage(void)
{
    char out[64];
    CHECK_INT(
        kn_baggage_filter("other=1,sentry-a=1;p=2, sentry-b=x%20y ,z=3", out, 64), 29);
    CHECK_STR(out, "sentry-a=1;p=2,sentry-b=x%20y");
    CHECK_INT(kn_baggage_filter(NULL, out, 64), 0);
    CHECK_STR(out, "");
    CHECK_INT(kn_baggage_filter("sentry-a=1\r\nEvil: yes,sentry-b=2", out, 64), 10);
    CHECK_STR(out, "sentry-a=1");
    CHECK_INT(kn_baggage_filter("sentry-long=0123456789,sentry-b=2", out, 12), 10);
    CHECK_STR(out, "sentry-b=2");
    size_t n = kn_baggage_add(out, sizeof out, 0, "k", "a b\xc3\xa9,=");
    CHECK_STR(out, "k=a%20b%C3%A9%2C%3D");
    CHECK_INT(kn_baggage_add(out, 24, n, "more", "0123456789"), n);
    CHECK_STR(out, "k=a%20b%C3%A9%2C%3D");
}

TEST_MAIN(TEST(sentry_trace), TEST(traceparent), TEST(baggage))
