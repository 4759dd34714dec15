/* Pieces of the page: nothing captured becomes markup, and charts are what was counted.
 */
#include "uploader/inspect/html.h"

#include "test.h"

#include <stdlib.h>

static char *text;
static size_t n_text;

static FILE *begin(void)
{
    free(text);
    text = NULL;
    FILE *f = open_memstream(&text, &n_text);
    if (!f)
        abort();
    return f;
}

static const char *escaped(const char *s)
{
    FILE *f = begin();
    html_text(f, s);
    (void)fclose(f);
    return text;
}

static void text_stays_text(void)
{
    CHECK_STR(escaped(NULL), "");
    CHECK_STR(escaped("plain \u00fc"), "plain \u00fc");
    CHECK_STR(escaped("<script>alert('1' & \"2\")</script>"),
        "&lt;script&gt;alert(&#39;1&#39; &amp; &quot;2&quot;)&lt;/script&gt;");
    CHECK_STR(escaped("\033[2J\x07"), "\\x1b[2J\\x07");
    CHECK_STR(escaped("\xff<"), "\\xff&lt;");
    CHECK_STR(escaped("&#39;"), "&amp;#39;");
    CHECK(!strstr(escaped("\u202e]]>-->"), "\u202e"));
    CHECK(!strchr(escaped("]]>-->"), '>'));
}

static unsigned count(const char *what)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

static void chart(const uint32_t *counts, size_t n_series, size_t n_buckets)
{
    static const char *const names[] = {"a<b", "b", "c", "d", "e", "f", "g", "h"};
    const struct html_chart c = {.counts = counts,
        .n_series = n_series,
        .n_buckets = n_buckets,
        .from_ms = 1795212847000,
        .bucket_ms = 60000,
        .utc = true,
        .names = names,
        .label = "a \"label\"",
        .height = 100};
    FILE *f = begin();
    html_chart(f, &c);
    (void)fclose(f);
}

static void bars_are_what_was_counted(void)
{
    static const uint32_t two[] = {0, 3, 0, 1, 1, 0};
    chart(two, 2, 3);
    CHECK_INT(count("<rect "), 3);
    CHECK(strstr(text, "3 \u00d7 a&lt;b, 2026-"));
    CHECK(strstr(text, "aria-label=\"a &quot;label&quot;\""));
    CHECK(strstr(text, "highest: 4"));
    /* The tallest pile is as tall as the picture: 3 and 1 of 4. */
    CHECK(strstr(text, "y=\"25.0\" width=\"199.0\" height=\"75.0\""));
    CHECK(strstr(text, "y=\"0.0\" width=\"199.0\" height=\"25.0\""));
    CHECK_INT(count("<svg"), count("</svg>"));
}

static void nothing_and_much_can_be_drawn(void)
{
    static const uint32_t none[3], eight[] = {1, 1, 1, 1, 1, 1, 1, UINT32_MAX / 2};
    chart(none, 1, 3);
    CHECK_INT(count("<rect "), 0);
    CHECK(!strstr(text, "nan") && !strstr(text, "inf"));
    chart(eight, 8, 1);
    CHECK_INT(count("<rect "), 8);
    CHECK_INT(count("class=\"s6\""), 2); /* colours end at six, the rest share one */
    CHECK(!strstr(text, "\"-"));
}

static void a_page_needs_nobody(void)
{
    FILE *f = begin();
    html_begin(f, "</title><script>");
    html_end(f);
    (void)fclose(f);
    CHECK_INT(count("<title>"), 1);
    CHECK_INT(count("</title>"), 1);
    CHECK(strstr(text, "default-src 'none'"));
    CHECK(!strstr(text, "<script") && !strstr(text, "http:") && !strstr(text, "https:"));
    CHECK(!strstr(text, "url(") && !strstr(text, "@import"));
    CHECK(strstr(text, "prefers-color-scheme:dark") && strstr(text, "@media print"));
    CHECK_INT(count("{"), count("}"));
}

TEST_MAIN(TEST(text_stays_text), TEST(bars_are_what_was_counted),
    TEST(nothing_and_much_can_be_drawn), TEST(a_page_needs_nobody))
