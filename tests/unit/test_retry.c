#include "test.h"

#include "uploader/deliver/retry.h"

static const struct retry_limits limits = {.base_ms = 60000,
    .max_ms = 6 * 3600000,
    .hint_max_s = 86400,
    .hint_default_s = 60,
    .configuration_ms = 3600000};

static void waits_grow_and_are_jittered_over_their_whole_range(void)
{
    for (unsigned attempts = 0; attempts < 100; attempts++) {
        uint64_t most = limits.base_ms << (attempts < 20 ? attempts : 20);
        if (most > limits.max_ms)
            most = limits.max_ms;
        CHECK_INT(retry_backoff_ms(&limits, attempts, 0), 1);
        CHECK_INT(retry_backoff_ms(&limits, attempts, most - 1), most);
        CHECK_INT(retry_backoff_ms(&limits, attempts, most), 1);
    }
    struct retry_limits none = {0};
    CHECK_INT(retry_backoff_ms(&none, 5, 12345), 0);
}

static void each_failure_has_its_verdict(void)
{
    static const struct {
        enum answer_failure failure;
        enum retry_verdict verdict;
        bool counts;
    } rows[] = {{ANSWER_UNREACHABLE, RETRY_UNREACHABLE, false},
        {ANSWER_UNTRUSTED, RETRY_CONFIGURATION, false}, {ANSWER_LOST, RETRY_AGAIN, true},
        {ANSWER_FORBIDDEN, RETRY_FORBIDDEN, false}, {ANSWER_LOCAL, RETRY_LOCAL, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer a = {.failure = rows[i].failure, .error = "what"};
        struct retry_decision d;
        retry_decide(&a, &limits, 1700000000, 0, 7, &d);
        CHECK_INT(d.verdict, rows[i].verdict);
        CHECK_INT(d.counts, rows[i].counts);
        CHECK_STR(d.why, "what");
    }
}

static void every_status_keeps_or_settles_a_report(void)
{
    for (int status = 100; status < 600; status++) {
        struct answer a = {.failure = ANSWER_OK, .status = status};
        struct retry_decision d;
        retry_decide(&a, &limits, 1700000000, 3, 99999, &d);
        CHECK_INT(d.verdict == RETRY_SENT, status / 100 == 2);
        if (status / 100 == 5)
            CHECK_INT(d.verdict, RETRY_AGAIN);
        if (status / 100 == 3)
            CHECK_INT(d.verdict, RETRY_CONFIGURATION);
        /* No wait is for ever, none is a hot loop. */
        CHECK(d.wait_ms <= limits.max_ms * 11 / 10);
        if (d.verdict == RETRY_AGAIN)
            CHECK(d.wait_ms > 0);
        if (d.verdict == RETRY_LIMITED)
            CHECK(d.limits.seconds[HINT_ERROR] > 0);
        CHECK(d.verdict == RETRY_SENT || *d.why);
    }
}

static void an_answer_that_is_not_ours_is_no_success(void)
{
    static const struct {
        const char *body;
        bool sent;
    } rows[] = {{"{\"id\":\"x\"}", true}, {"{}", true}, {"", true}, {" \n{}", true},
        {"<html>", false}, {"Please log in", false}, {"[1]", false}, {"\x1f\x8b", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer a = {.failure = ANSWER_OK, .status = 200};
        struct retry_decision d;
        memcpy(a.body, rows[i].body, strlen(rows[i].body) + 1);
        a.n_body = strlen(rows[i].body);
        retry_decide(&a, &limits, 1, 0, 0, &d);
        CHECK_INT(d.verdict == RETRY_SENT, rows[i].sent);
    }
}

static void collectors_say_what_is_final(void)
{
    static const int again[] = {502, 503, 504};
    for (int status = 300; status < 600; status++) {
        struct answer a = {.failure = ANSWER_OK, .status = status, .otlp = true};
        struct retry_decision d;
        bool may = false;
        for (size_t i = 0; i < sizeof again / sizeof *again; i++)
            may |= status == again[i];
        retry_decide(&a, &limits, 1700000000, 3, 99999, &d);
        CHECK_INT(d.verdict == RETRY_AGAIN, may);
        CHECK_INT(d.verdict == RETRY_LIMITED, status == 429);
        CHECK(*d.why);
    }
    static const struct {
        const char *body;
        enum retry_verdict verdict;
    } rows[] = {{"{}", RETRY_SENT}, {"", RETRY_SENT},
        {"{\"partialSuccess\":{}}", RETRY_SENT},
        {"{\"partialSuccess\":{\"rejectedLogRecords\":\"0\",\"errorMessage\":\"old\"}}",
            RETRY_SENT},
        {"{\"partialSuccess\":{\"rejectedLogRecords\":\"1\"}}", RETRY_REJECTED},
        {"{ \"partialSuccess\": { \"rejectedLogRecords\" : 99999999999999999999 } }",
            RETRY_REJECTED},
        {"{\"partialSuccess\":{\"rejectedSpans\":3}}", RETRY_REJECTED},
        {"<html>", RETRY_CONFIGURATION}, {"{\"rejectedLogRecords\"", RETRY_SENT}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer a = {.failure = ANSWER_OK, .status = 200, .otlp = true};
        struct retry_decision d;
        memcpy(a.body, rows[i].body, strlen(rows[i].body) + 1);
        a.n_body = strlen(rows[i].body);
        retry_decide(&a, &limits, 1, 0, 0, &d);
        CHECK_INT(d.verdict, rows[i].verdict);
        a.otlp = false; /* an envelope's answer is not read so */
        retry_decide(&a, &limits, 1, 0, 0, &d);
        CHECK(d.verdict != RETRY_REJECTED);
    }
}

/* A 429 limits what it refused: what it names, or else what was in the request. */
static void a_limit_of_one_kind_is_none_of_another(void)
{
    enum {
        EVENT = 1 << HINT_ERROR,
        SESSION = 1 << HINT_SESSION,
        SEGMENT = 1 << HINT_TRANSACTION | 1 << HINT_SESSION | 1 << HINT_LOG,
    };
    static const struct {
        const char *limits, *after;
        unsigned kinds;
        uint64_t error, transaction, log;
        enum retry_verdict verdict;
    } rows[] = {{"3600:transaction:org", "3600", SEGMENT, 0, 3600, 0, RETRY_SENT},
        {"3600:transaction;session;log_item:org", "", SEGMENT, 0, 3600, 3600,
            RETRY_LIMITED},
        {"3600:transaction:org", "3600", EVENT, 60, 3600, 0, RETRY_LIMITED},
        {"3600:error:org", "3600", SEGMENT, 3600, 60, 60, RETRY_LIMITED},
        {"3600:error:org", "3600", EVENT, 3600, 0, 0, RETRY_LIMITED},
        {"3600:session:org", "", EVENT | SESSION, 0, 0, 0, RETRY_SENT},
        {"3600:error:org", "", EVENT | SESSION, 3600, 0, 0, RETRY_LIMITED},
        {"3600:session:org", "", SESSION, 0, 0, 0, RETRY_LIMITED},
        {"3600::org", "", EVENT | SESSION, 3600, 3600, 3600, RETRY_LIMITED},
        {"", "3600", SEGMENT, 3600, 3600, 3600, RETRY_LIMITED},
        {"", "", EVENT | SESSION, 60, 60, 60, RETRY_LIMITED}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer a = {.failure = ANSWER_OK, .status = 429, .kinds = rows[i].kinds};
        struct retry_decision d;
        memcpy(a.rate_limits, rows[i].limits, strlen(rows[i].limits) + 1);
        memcpy(a.retry_after, rows[i].after, strlen(rows[i].after) + 1);
        retry_decide(&a, &limits, 1700000000, 0, 0, &d);
        CHECK_INT(d.verdict, rows[i].verdict);
        CHECK_INT(d.limits.seconds[HINT_ERROR], rows[i].error);
        CHECK_INT(d.limits.seconds[HINT_TRANSACTION], rows[i].transaction);
        CHECK_INT(d.limits.seconds[HINT_LOG], rows[i].log);
    }
}

static void limits_are_jittered_but_not_shortened(void)
{
    static const struct {
        const char *text;
        uint64_t min_s, max_s;
    } rows[] = {{"100:error:org", 100, 110}, {"1:error:org", 1, 1},
        {"86399:error:org", 86399, 86400}, {"999999:error:org", 86400, 86400},
        {"", 60, 66}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t seen_min = UINT64_MAX, seen_max = 0;
        for (uint64_t random = 0; random < 1000; random++) {
            struct answer a = {
                .failure = ANSWER_OK, .status = 429, .kinds = 1u << HINT_ERROR};
            struct retry_decision d;
            memcpy(a.rate_limits, rows[i].text, strlen(rows[i].text) + 1);
            retry_decide(&a, &limits, 1700000000, 0, random, &d);
            uint64_t s = d.limits.seconds[HINT_ERROR];
            seen_min = s < seen_min ? s : seen_min;
            seen_max = s > seen_max ? s : seen_max;
            CHECK_INT(d.limits.seconds[HINT_LOG], *rows[i].text ? 0 : s);
        }
        CHECK_INT(seen_min, rows[i].min_s);
        CHECK_INT(seen_max, rows[i].max_s);
    }
}

TEST_MAIN(TEST(waits_grow_and_are_jittered_over_their_whole_range),
    TEST(each_failure_has_its_verdict), TEST(every_status_keeps_or_settles_a_report),
    TEST(an_answer_that_is_not_ours_is_no_success),
    TEST(a_limit_of_one_kind_is_none_of_another),
    TEST(limits_are_jittered_but_not_shortened), TEST(collectors_say_what_is_final))
