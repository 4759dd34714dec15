#include "test.h"
#include "tmpdir.h"

#include "uploader/deliver/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NOW = 1700000000, DAY = 86400 };

static struct ledger *fresh(int *ret_fd)
{
    struct ledger *l = NULL;
    *ret_fd = open(test_tmpdir(), O_RDONLY | O_DIRECTORY);
    CHECK_INT(ledger_load(*ret_fd, NOW, DAY, &l), 0);
    return l;
}

static void fill(struct ledger *l)
{
    struct hint h = {.seconds = {60, 0, 30}, .any = true};
    ledger_set_limits(l, 7, &h, NOW);
    ledger_host_failed(l, "h:80", NOW + 100, true);
    ledger_host_failed(l, "i:80", 0, false);
    ledger_add_drop(l, "cache_overflow", "error", 3);
    struct ledger_signature *s = ledger_signature(l, 0xabc);
    *s = (struct ledger_signature){0xabc, NOW, 2, 9, 1, 2};
    l->day_s = NOW;
    l->day_bytes = 1234;
}

static void what_is_written_is_read(void)
{
    int fd;
    struct ledger *l = fresh(&fd), *m = NULL;
    fill(l);
    CHECK_INT(ledger_save(l, fd), 0);
    CHECK_INT(ledger_load(fd, NOW, DAY, &m), 0);
    CHECK_INT(ledger_limited_until(m, 7, HINT_ERROR), NOW + 60);
    CHECK_INT(ledger_limited_until(m, 7, HINT_SESSION), NOW + 30);
    CHECK_INT(ledger_limited_until(m, 7, HINT_TRANSACTION), 0);
    CHECK_INT(ledger_limited_until(m, 8, HINT_ERROR), 0);
    CHECK_INT(ledger_find_host(m, "h:80")->until_s, NOW + 100);
    CHECK(ledger_find_host(m, "h:80")->configuration);
    CHECK_INT(ledger_find_host(m, "i:80")->failures, 1);
    CHECK(!ledger_find_host(m, "j:80"));
    CHECK_INT(ledger_find_signature(m, 0xabc)->n_suppressed, 9);
    CHECK_INT(m->day_bytes, 1234);
    CHECK_INT(m->n_drops, 1);
    ledger_host_succeeded(m, "h:80");
    CHECK(!ledger_find_host(m, "h:80"));
    ledger_free(l);
    ledger_free(m);
    close(fd);
}

static void a_damaged_file_is_an_empty_ledger(void)
{
    int fd;
    struct ledger *l = fresh(&fd), *m = NULL;
    char *text;
    size_t n;
    fill(l);
    CHECK_INT(ledger_format(l, &text, &n), 0);
    CHECK_INT(ledger_parse(text, n, &m), 0);
    ledger_free(m);
    for (size_t i = 0; i < n; i++) {
        m = NULL;
        CHECK_INT(ledger_parse(text, i, &m), -EBADMSG);
        text[i] ^= 0x20;
        int r = ledger_parse(text, n, &m);
        /* The sum's own digits may change their case. */
        CHECK(r == -EBADMSG || i > n - 10);
        ledger_free(m);
        text[i] ^= 0x20;
    }
    free(text);
    ledger_free(l);
    close(fd);
}

static void a_clock_that_jumped_does_not_silence_us(void)
{
    int fd;
    struct ledger *l = fresh(&fd), *m = NULL;
    struct hint h = {.seconds = {1000000000}, .any = true};
    ledger_set_limits(l, 7, &h, NOW);
    ledger_host_failed(l, "h:80", NOW + 1000000000u, false);
    CHECK_INT(ledger_save(l, fd), 0);
    CHECK_INT(ledger_load(fd, NOW, DAY, &m), 0);
    CHECK_INT(ledger_limited_until(m, 7, HINT_ERROR), NOW + DAY);
    CHECK_INT(ledger_find_host(m, "h:80")->until_s, NOW + DAY);
    ledger_free(l);
    ledger_free(m);
    close(fd);
}

static void throttles_three_an_hour_then_one(void)
{
    int fd;
    struct ledger *l = fresh(&fd);
    struct config_rate r = {.count = 3, .per_ms = 3600000};
    for (int i = 0; i < 3; i++)
        CHECK_INT(ledger_throttle(l, 1, &r, NOW + 10 * (uint64_t)i), 0);
    CHECK_INT(ledger_throttle(l, 1, &r, NOW + 40), NOW + 3600);
    CHECK_INT(ledger_throttle(l, 2, &r, NOW + 40), 0); /* another bug */
    CHECK_INT(ledger_throttle(l, 1, &r, NOW + 3600), 0);
    CHECK(ledger_throttle(l, 1, &r, NOW + 3601) > 0);
    CHECK_INT(ledger_throttle(l, 1, &r, NOW + 20 * 3600), 0);
    CHECK_INT(ledger_throttle(l, 1, &r, NOW + 20 * 3600 + 1), 0);
    CHECK_INT(ledger_throttle(l, 1, &r, NOW - 1000000), 0); /* clock went back */
    ledger_free(l);
    close(fd);
}

static void a_clock_is_steady_until_it_jumps(void)
{
    int fd;
    struct ledger *l = fresh(&fd);
    CHECK_INT(ledger_steady_s(l, NOW), 0);
    for (uint64_t d = 1; d <= 40; d++)
        CHECK_INT(ledger_steady_s(l, NOW + d * DAY), d * DAY);
    CHECK_INT(ledger_steady_s(l, NOW + 4000ull * DAY), 0);
    CHECK_INT(ledger_steady_s(l, NOW + 4001ull * DAY), DAY);
    CHECK_INT(ledger_steady_s(l, NOW), 0);
    ledger_free(l);
    close(fd);
}

static void all_tables_are_bounded(void)
{
    int fd;
    struct ledger *l = fresh(&fd);
    for (uint64_t i = 0; i < 6000; i++) {
        struct hint h = {.seconds = {10}, .any = true};
        char host[32], reason[32];
        snprintf(host, sizeof host, "h%llu", (unsigned long long)i);
        snprintf(reason, sizeof reason, "r%llu", (unsigned long long)i);
        ledger_set_limits(l, i, &h, NOW);
        ledger_host_failed(l, host, NOW, false);
        ledger_add_drop(l, reason, "error", 1);
        struct ledger_signature *s = ledger_signature(l, i * 0x9e3779b97f4aull);
        CHECK(s != NULL);
        s->last_ms = i;
    }
    CHECK_INT(l->n_signatures, LEDGER_MAX_SIGNATURES);
    CHECK(!ledger_find_signature(l, 0)); /* the one seen longest ago made room */
    CHECK(ledger_find_signature(l, 5999 * 0x9e3779b97f4aull));
    for (size_t i = 1; i < l->n_signatures; i++)
        CHECK(l->signatures[i - 1].signature < l->signatures[i].signature);
    CHECK_INT(ledger_save(l, fd), 0);
    ledger_free(l);
    close(fd);
}

static void tells_of_drops_once(void)
{
    int fd;
    struct ledger *l = fresh(&fd);
    CHECK(!ledger_client_report(l->drops, l->n_drops, NOW));
    ledger_add_drop(l, "ratelimit_backoff", "error", 2);
    ledger_add_drop(l, "ratelimit_backoff", "error", 3);
    char *item = ledger_client_report(l->drops, l->n_drops, NOW);
    CHECK_STR(item,
        "{\"type\":\"client_report\",\"length\":108}\n{\"timestamp\":1700000000,"
        "\"discarded_events\":[{\"reason\":\"ratelimit_backoff\",\"category\":\"error\","
        "\"quantity\":5}]}\n");
    struct ledger_drop told = l->drops[0];
    ledger_add_drop(l, "ratelimit_backoff", "error", 1); /* meanwhile */
    ledger_drops_told(l, &told, 1);
    CHECK_INT(l->drops[0].n, 1);
    ledger_drops_told(l, &told, 1);
    CHECK_INT(l->n_drops, 0);
    free(item);
    ledger_free(l);
    close(fd);
}

TEST_MAIN(TEST(what_is_written_is_read), TEST(a_damaged_file_is_an_empty_ledger),
    TEST(a_clock_that_jumped_does_not_silence_us), TEST(throttles_three_an_hour_then_one),
    TEST(a_clock_is_steady_until_it_jumps), TEST(all_tables_are_bounded),
    TEST(tells_of_drops_once))
