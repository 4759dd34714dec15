#include "dump.h"
#include "test.h"

#include "uploader/event/rules.h"
#include "uploader/event/sentry.h"
#include "uploader/report/frames.h"
#include "uploader/report/parse.h"
#include "uploader/report/unwind.h"

#include <stdio.h>
#include <stdlib.h>

/* A report whose frames have names, as the symbolizer would give them. */
struct named {
    struct dump *dump;
    struct crash *crash;
    cJSON *event;
};

static struct named make(void)
{
    struct named n = {.dump = dump_example()};
    static const struct report_unwind_options options = {.no_files = true};
    size_t size;
    const uint8_t *bytes = dump_finish(n.dump, &size);
    CHECK_INT(report_read(bytes, size, &n.crash, NULL), 0);
    CHECK_INT(report_unwind(n.crash, &options), 0);
    CHECK_INT(report_symbolize(n.crash, NULL), 0);
    n.crash->threads[0].frames[0].function = "parse_header";
    n.crash->threads[0].frames[1].function = "serve_client";
    CHECK_INT(sentry_event(n.crash, NULL, &n.event), 0);
    return n;
}

static void done(struct named *n)
{
    cJSON_Delete(n->event);
    crash_free(n->crash);
    dump_free(n->dump);
}

static struct rules *rules(const struct rules_text *text, const char *expected_note)
{
    struct rules *r = NULL;
    char note[128];
    CHECK_INT(rules_new(text, &r, note, sizeof note), 0);
    CHECK_STR(note, expected_note);
    return r;
}

static void ignores_by_each_field(void)
{
    static const struct {
        const char *line;
        bool hit;
    } cases[] = {
        {"signal=SIGSEGV", true},
        {"signal = SEGV", true},
        {"signal=SIGABRT", false},
        {"type=SIG*", true},
        {"message=*null pointer*", true},
        {"message=null", false},
        {"function=serve_*", true},
        {"function=main", false},
        {"module=exampled", true},
        {"module=/usr/bin/*", true},
        {"module=other", false},
        {"release=exampled@2.*", true},
        {"environment=production", false},
        {"environment=staging", true},
        {"app=exampled", true},
        {"\n\nsignal=ABRT\nsignal=SEGV\n", true},
    };
    struct named n = make();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rules_text text = {.ignore = cases[i].line};
        struct rules *r = rules(&text, "");
        const char *rule = rules_ignored(r, n.crash, n.event);
        if (!CHECK((rule != NULL) == cases[i].hit))
            printf("rule: %s\n", cases[i].line);
        rules_free(r);
    }
    CHECK(!rules_ignored(NULL, n.crash, n.event));
    done(&n);
}

static void leaves_out_what_is_no_rule(void)
{
    static const struct rules_text text = {.ignore = "colour=red\nsignal=SEGV",
        .sample = "signal=SEGV 2",
        .fingerprint = "signal=SEGV",
        .tags = "novalue"};
    struct named n = make();
    struct rules *r = rules(&text, "not a rule: colour=red");
    CHECK_STR(rules_ignored(r, n.crash, n.event), "signal=SEGV");
    CHECK(!rules_sampled_out(r, n.crash, n.event));
    rules_free(r);
    done(&n);
}

static void groups_and_tags(void)
{
    static const struct rules_text text = {
        .fingerprint = "function=nothing -> x\n"
                       "signal=SEGV -> {{ default }}, {{ function }},memory, {{nope}}",
        .tags = "team = storage\nsite=here"};
    struct named n = make();
    struct rules *r = rules(&text, "");
    CHECK_INT(rules_apply(r, n.crash, n.event), 0);
    char *text_now =
        cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(n.event, "fingerprint"));
    CHECK_STR(text_now, "[\"{{ default }}\",\"parse_header\",\"memory\",\"<unknown>\"]");
    cJSON_free(text_now);
    text_now = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(n.event, "tags"));
    CHECK_STR(text_now, "{\"team\":\"storage\",\"site\":\"here\"}");
    cJSON_free(text_now);
    rules_free(r);
    done(&n);
}

static void marks_frames(void)
{
    static const struct rules_text text = {
        .in_app_exclude = "parse_*", .in_app_include = "libc.so*"};
    struct named n = make();
    CHECK(n.crash->threads[0].frames[0].in_app);
    CHECK(!n.crash->threads[1].frames[0].in_app);
    struct rules *r = rules(&text, "");
    rules_in_app(r, n.crash);
    CHECK(!n.crash->threads[0].frames[0].in_app);
    CHECK(n.crash->threads[0].frames[1].in_app);
    CHECK(n.crash->threads[1].frames[0].in_app);
    rules_free(r);
    done(&n);
}

static void samples_the_same_way_each_time(void)
{
    static const struct rules_text half = {.sample = "signal=SEGV 0.5"};
    static const struct rules_text none = {.sample = "signal=SEGV 0"};
    struct named n = make();
    struct rules *r = rules(&half, ""), *zero = rules(&none, "");
    int out = 0;
    for (int i = 0; i < 1000; i++) {
        char id[33];
        (void)snprintf(id, sizeof id, "%032x", i);
        cJSON_ReplaceItemInObjectCaseSensitive(
            n.event, "event_id", cJSON_CreateString(id));
        const char *first = rules_sampled_out(r, n.crash, n.event);
        CHECK(rules_sampled_out(r, n.crash, n.event) == first);
        CHECK(rules_sampled_out(zero, n.crash, n.event));
        out += first != NULL;
    }
    CHECK(out > 400 && out < 600);
    rules_free(r);
    rules_free(zero);
    done(&n);
}

static void ignores_transactions(void)
{
    static const struct rules_text text = {.ignore_transactions = "GET /health*\nping"};
    struct rules *r = rules(&text, "");
    CHECK(rules_transaction_ignored(r, "GET /health/live"));
    CHECK(rules_transaction_ignored(r, "ping"));
    CHECK(!rules_transaction_ignored(r, "GET /"));
    CHECK(!rules_transaction_ignored(NULL, "ping"));
    rules_free(r);
}

TEST_MAIN(TEST(ignores_by_each_field), TEST(leaves_out_what_is_no_rule),
    TEST(groups_and_tags), TEST(marks_frames), TEST(samples_the_same_way_each_time),
    TEST(ignores_transactions))
