#include "test.h"

#include "uploader/spool/name.h"

#include <errno.h>

#define EVENT "00112233445566778899aabbccddeeff"
#define NAME "1763673247123-8f3a1c2e55d0-" EVENT "-s11.a02.n1763680000.dmp"

static void report_name_goes_round(void)
{
    struct spool_name n;
    CHECK_INT(strlen(NAME), KNELL_SPOOL_NAME_BYTES);
    CHECK_INT(spool_name_parse(NAME, &n), 0);
    CHECK_INT(n.time_ms, 1763673247123);
    CHECK_INT(n.signature, 0x8f3a1c2e55d0);
    CHECK_INT(n.event_id[0], 0x00);
    CHECK_INT(n.event_id[15], 0xff);
    CHECK_INT(n.signo, 11);
    CHECK_INT(n.attempts, 2);
    CHECK_INT(n.not_before_s, 1763680000);
    char out[KNELL_SPOOL_NAME_BYTES + 1];
    spool_name_format(&n, out);
    CHECK_STR(out, NAME);
}

static void every_damaged_report_name_is_refused(void)
{
    struct spool_name n;
    char text[KNELL_SPOOL_NAME_BYTES + 1];
    for (size_t i = 0; i < KNELL_SPOOL_NAME_BYTES; i++) {
        memcpy(text, NAME, sizeof text);
        text[i] = 0;
        CHECK_INT(spool_name_parse(text, &n), -EINVAL);
        static const char bad[] = "/ \n\x01\xffG-.AF";
        for (size_t k = 0; k < sizeof bad - 1; k++) {
            memcpy(text, NAME, sizeof text);
            if (text[i] == bad[k])
                continue;
            text[i] = bad[k];
            CHECK_INT(spool_name_parse(text, &n), -EINVAL);
        }
    }
    CHECK_INT(spool_name_parse(NAME "x", &n), -EINVAL);
    CHECK_INT(spool_name_parse("", &n), -EINVAL);
}

static void fields_beyond_their_width_are_clamped(void)
{
    struct spool_name big = {.time_ms = UINT64_MAX,
        .signature = UINT64_MAX,
        .not_before_s = UINT64_MAX,
        .signo = 255,
        .attempts = 255};
    char out[KNELL_SPOOL_NAME_BYTES + 1];
    spool_name_format(&big, out);
    CHECK_INT(strlen(out), KNELL_SPOOL_NAME_BYTES);
    struct spool_name n;
    CHECK_INT(spool_name_parse(out, &n), 0);
    CHECK_INT(n.attempts, 99);
    CHECK_INT(n.signature, 0xffffffffffff);
}

static void live_name_goes_round(void)
{
    static const char *const good[] = {
        "ef126bac-4711-123456-" EVENT ".dmp",
        "ef126bac-1-0-" EVENT ".jnl",
        "00000000-2147483647-9223372036854775807-" EVENT ".dmp",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct spool_live_name n;
        char out[SPOOL_LIVE_NAME_BYTES + 1];
        CHECK_INT(spool_live_name_parse(good[i], &n), 0);
        CHECK_INT(n.journal, i == 1);
        spool_live_name_format(&n, out);
        CHECK_STR(out, good[i]);
    }
}

static void other_live_names_are_refused(void)
{
    static const char *const bad[] = {
        "",
        "ef126bac-4711-123456-" EVENT,
        "ef126bac-4711-123456-" EVENT ".dmp.",
        "ef126bac-4711-123456-" EVENT ".txt",
        "EF126BAC-4711-123456-" EVENT ".dmp",
        "ef126bac-0-123456-" EVENT ".dmp",
        "ef126bac-04711-123456-" EVENT ".dmp",
        "ef126bac--1-123456-" EVENT ".dmp",
        "ef126bac-4294967295-123456-" EVENT ".dmp",
        "ef126bac-4711-12345678901234567890-" EVENT ".dmp",
        "ef126bac-4711--" EVENT ".dmp",
        "../../etc/passwd",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct spool_live_name n;
        CHECK_INT(spool_live_name_parse(bad[i], &n), -EINVAL);
    }
}

TEST_MAIN(TEST(report_name_goes_round), TEST(every_damaged_report_name_is_refused),
    TEST(fields_beyond_their_width_are_clamped), TEST(live_name_goes_round),
    TEST(other_live_names_are_refused))
