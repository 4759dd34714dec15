#include "test.h"

#include "uploader/deliver/dsn.h"

#include <errno.h>
#include <stdlib.h>

static void parses_what_is_a_destination(void)
{
    static const struct {
        const char *text, *url, *dsn, *key, *secret, *host, *label;
        bool local, tls;
    } rows[] = {
        {"https://abc@o1.ingest.example.com/42",
            "https://o1.ingest.example.com/api/42/envelope/",
            "https://abc@o1.ingest.example.com/42", "abc", NULL,
            "o1.ingest.example.com:443", "https://o1.ingest.example.com/42", false, true},
        {"http://abc:def@Example.COM:8000/a/b/c/7/",
            "http://Example.COM:8000/a/b/c/api/7/envelope/",
            "http://abc@Example.COM:8000/a/b/c/7", "abc", "def", "example.com:8000",
            "http://Example.COM:8000/a/b/c/7", false, false},
        {"http://k@127.0.0.1:9000/1", "http://127.0.0.1:9000/api/1/envelope/",
            "http://k@127.0.0.1:9000/1", "k", NULL, "127.0.0.1:9000",
            "http://127.0.0.1:9000/1", true, false},
        {"http://k@[::1]:9000/name", "http://[::1]:9000/api/name/envelope/",
            "http://k@[::1]:9000/name", "k", NULL, "[::1]:9000", "http://[::1]:9000/name",
            true, false},
        {"http://k@127.0.0.1.evil.example/1",
            "http://127.0.0.1.evil.example/api/1/envelope/",
            "http://k@127.0.0.1.evil.example/1", "k", NULL, "127.0.0.1.evil.example:80",
            "http://127.0.0.1.evil.example/1", false, false},
        {"otlp+http://localhost:4318", "http://localhost:4318/v1/logs", NULL, NULL, NULL,
            "localhost:4318", "otlp+http://localhost:4318/v1/logs", true, false},
        {"otlp+https://c.example/x/v1/logs", "https://c.example/x/v1/logs", NULL, NULL,
            NULL, "c.example:443", "otlp+https://c.example/x/v1/logs", false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct destination d = {0};
        const char *why;
        CHECK_INT(destination_parse(rows[i].text, &d, &why), 0);
        CHECK_STR(d.url, rows[i].url);
        CHECK_STR(d.dsn, rows[i].dsn);
        CHECK_STR(d.public_key, rows[i].key);
        CHECK_STR(d.secret, rows[i].secret);
        CHECK_STR(d.host, rows[i].host);
        CHECK_STR(d.label, rows[i].label);
        CHECK_INT(d.local, rows[i].local);
        CHECK_INT(d.tls, rows[i].tls);
        destination_done(&d);
    }
}

static void traces_of_a_collector(void)
{
    static const struct {
        const char *text, *url;
    } rows[] = {{"otlp+http://localhost:4318", "http://localhost:4318/v1/traces"},
        {"otlp+https://c.example/x/", "https://c.example/x/v1/traces"},
        {"otlp+https://c.example/x/v1/logs", NULL}, {"https://k@h/1", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct destination d = {0};
        const char *why;
        CHECK_INT(destination_parse(rows[i].text, &d, &why), 0);
        if (rows[i].url)
            CHECK_STR(d.traces_url, rows[i].url);
        CHECK_INT(d.traces_url != NULL, rows[i].url != NULL);
        destination_done(&d);
    }
}

static void parses_a_folder(void)
{
    struct destination d = {0};
    const char *why;
    CHECK_INT(destination_parse("file:///var/lib/a%20b", &d, &why), 0);
    CHECK_INT(d.kind, DESTINATION_DIRECTORY);
    CHECK_STR(d.dir, "/var/lib/a b");
    CHECK(!d.url);
    CHECK(d.local);
    destination_done(&d);
}

static void refuses_the_rest_and_says_why(void)
{
    static const char *const bad[] = {"", "x", "https://", "https://host/1",
        "https://@h/1", "https://k@/1", "https://k@host", "https://k@host/",
        "https://k@host:x/1", "https://k@host:123456/1", "https://k@host:/1",
        "https://k@host/1?a=b", "https://k@host/1#f", "ftp://k@host/1",
        "https://k@h\r\nX: y/1", "https://k@h /1", "https://k\"@h/1", "file://host/dir",
        "file://", "file:///", "https://k@[::1/1", "otlp+http://", "k@host/1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct destination d = {0};
        const char *why = NULL;
        CHECK_INT(destination_parse(bad[i], &d, &why), -EINVAL);
        CHECK(why && *why);
        CHECK(!d.url);
    }
    char *huge = malloc(5000);
    memset(huge, 'a', 4999);
    huge[4999] = 0;
    memcpy(huge, "http://k@h/", 11);
    struct destination d = {0};
    const char *why;
    CHECK_INT(destination_parse(huge, &d, &why), -EINVAL);
    free(huge);
}

TEST_MAIN(TEST(parses_what_is_a_destination), TEST(traces_of_a_collector),
    TEST(parses_a_folder), TEST(refuses_the_rest_and_says_why))
