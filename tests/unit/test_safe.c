#include "test.h"
#include "uploader/inspect/safe.h"

static const char *safe_of(const char *s, size_t n)
{
    static struct safe b;
    safe_clear(&b);
    safe_put_n(&b, s, n);
    return safe_text(&b);
}
#define SAFE(literal) safe_of(literal, sizeof literal - 1)

static void terminal_escapes_become_text(void)
{
    CHECK_STR(SAFE("plain text\\path"), "plain text\\path");
    CHECK_STR(SAFE("\033]0;owned\007"), "\\x1b]0;owned\\x07");
    CHECK_STR(SAFE("\033[2J\033[H"), "\\x1b[2J\\x1b[H");
    CHECK_STR(SAFE("a\nb\tc\rd"), "a\\nb\\tc\\x0dd");
    CHECK_STR(SAFE("nul\0byte"), "nul\\x00byte");
    CHECK_STR(SAFE("\x7f"), "\\x7f");
    /* CSI as one C1 character, in UTF-8 and as a bare byte */
    CHECK_STR(SAFE("\xc2\x9b"
                   "31m"),
        "\\u{9b}31m");
    CHECK_STR(SAFE("\x9b"
                   "31m"),
        "\\x9b31m");
}

static void what_reorders_or_hides_becomes_text(void)
{
    CHECK_STR(SAFE("a\u202eb"), "a\\u{202e}b");
    CHECK_STR(SAFE("a\u2066b"), "a\\u{2066}b");
    CHECK_STR(SAFE("a\u200bb"), "a\\u{200b}b");
    CHECK_STR(SAFE("\ufeff"), "\\u{feff}");
    CHECK_STR(SAFE("\u2028"), "\\u{2028}");
}

static void only_valid_utf8_passes(void)
{
    CHECK_STR(SAFE("gr\u00fc\u00df \u65e5\u672c \U0001f600"),
        "gr\u00fc\u00df \u65e5\u672c \U0001f600");
    CHECK_STR(SAFE("\xff\xfe"), "\\xff\\xfe");
    CHECK_STR(SAFE("\xc0\xaf"), "\\xc0\\xaf");          /* overlong / */
    CHECK_STR(SAFE("\xe0\x80\xaf"), "\\xe0\\x80\\xaf"); /* overlong, three bytes */
    CHECK_STR(SAFE("\xed\xa0\x80"), "\\xed\\xa0\\x80"); /* surrogate */
    CHECK_STR(SAFE("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"); /* over 10FFFF */
    CHECK_STR(SAFE("cut \xe6\x97"), "cut \\xe6\\x97");
}

static void columns_and_cuts(void)
{
    CHECK_INT(safe_columns("abc"), 3);
    CHECK_INT(safe_columns("\u65e5\u672c"), 4);
    CHECK_INT(safe_columns("e\u0301"), 1);
    CHECK_INT(safe_cut("abcdef", 3), 3);
    CHECK_INT(safe_cut("\u65e5\u672c", 3), 3);
    CHECK_INT(safe_cut("abc", 10), 3);
}

static void buffers_grow(void)
{
    struct safe b = {0};
    CHECK_STR(safe_text(&b), "");
    for (int i = 0; i < 1000; i++)
        safe_format(&b, "%d,", i);
    CHECK_INT(b.n, 10 * 2 + 90 * 3 + 900 * 4);
    CHECK(!b.failed);
    safe_clear(&b);
    CHECK_STR(safe_text(&b), "");
    safe_done(&b);
    safe_done(&b);
}

TEST_MAIN(TEST(terminal_escapes_become_text), TEST(what_reorders_or_hides_becomes_text),
    TEST(only_valid_utf8_passes), TEST(columns_and_cuts), TEST(buffers_grow))
