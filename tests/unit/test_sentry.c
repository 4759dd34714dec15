#include "dump.h"
#include "test.h"

#include "uploader/event/build.h"
#include "uploader/event/otlp.h"
#include "uploader/event/scrub.h"
#include "uploader/event/sentry.h"
#include "uploader/event/session.h"
#include "uploader/event/validate.h"
#include "uploader/report/frames.h"
#include "uploader/report/journal.h"
#include "uploader/report/parse.h"
#include "uploader/report/unwind.h"

#include <errno.h>
#include <knell/types.h>
#include <stdio.h>
#include <stdlib.h>

static struct crash *walked(struct dump *d)
{
    static const struct report_unwind_options options = {.no_files = true};
    struct crash *c = NULL;
    size_t n;
    const uint8_t *bytes = dump_finish(d, &n);
    CHECK_INT(report_read(bytes, n, &c, NULL), 0);
    CHECK_INT(report_unwind(c, &options), 0);
    CHECK_INT(report_symbolize(c, NULL), 0);
    return c;
}

/* What stands at a path such as "exception.values.0.type", as JSON text. */
static const char *at(const cJSON *json, const char *path)
{
    static char out[4096];
    char copy[256], *rest = copy, *part;
    (void)snprintf(copy, sizeof copy, "%s", path);
    while (json && (part = strsep(&rest, ".")))
        json = cJSON_IsArray(json) ? cJSON_GetArrayItem(json, atoi(part))
                                   : cJSON_GetObjectItemCaseSensitive(json, part);
    if (!json)
        return NULL;
    char *text = cJSON_PrintUnformatted(json);
    (void)snprintf(out, sizeof out, "%s", text);
    cJSON_free(text);
    return out;
}

static void says_what_servers_need(void)
{
    static const struct {
        const char *path, *value;
    } cases[] = {
        {"event_id", "\"0102030405060708090a0b0c0d0e0f10\""},
        {"timestamp", "\"2026-11-21T02:41:21.085183Z\""},
        {"platform", "\"native\""},
        {"level", "\"fatal\""},
        {"release", "\"exampled@2.4.1\""},
        {"environment", "\"staging\""},
        {"server_name", NULL},
        {"exception.values.0.type", "\"SIGSEGV\""},
        {"exception.values.0.value", "\"SEGV_MAPERR: null pointer access\""},
        {"exception.values.0.thread_id", "4712"},
        {"exception.values.0.mechanism.type", "\"signalhandler\""},
        {"exception.values.0.mechanism.handled", "false"},
        {"exception.values.0.mechanism.synthetic", "false"},
        {"exception.values.0.mechanism.meta.signal.code_name", "\"SEGV_MAPERR\""},
        /* oldest first; the crashing frame is last and at the pc */
        {"exception.values.0.stacktrace.frames.0.instruction_addr", "\"0x401234\""},
        {"exception.values.0.stacktrace.frames.0.trust", "\"fp\""},
        {"exception.values.0.stacktrace.frames.1.instruction_addr", "\"0x401000\""},
        {"exception.values.0.stacktrace.frames.1.trust", "\"context\""},
        {"exception.values.0.stacktrace.frames.1.filename", "\"exampled\""},
        {"exception.values.0.stacktrace.frames.1.package", "\"/usr/bin/exampled\""},
        {"exception.values.0.stacktrace.frames.1.image_addr", "\"0x400000\""},
        {"exception.values.0.stacktrace.frames.2", NULL},
        {"exception.values.0.stacktrace.registers.rip", "\"0x0000000000401000\""},
        {"exception.values.0.stacktrace.instruction_addr_adjustment",
            "\"all_but_first\""},
        {"threads.values.0.crashed", "true"},
        {"threads.values.0.stacktrace", NULL},
        {"threads.values.1.main", "true"},
        {"threads.values.1.stacktrace.frames.0.trust", "\"scan\""},
        {"threads.values.1.stacktrace.frames.1.in_app", "false"},
        {"debug_meta.images.0.debug_id", "\"6f6c76d9-9d43-6123-54dc-281e4f82d76b\""},
        {"debug_meta.images.0.code_id", "\"d9766c6f439d236154dc281e4f82d76b214baf8a\""},
        {"debug_meta.images.0.image_size", "65536"},
        {"contexts.os.distribution_version", "\"12\""},
        {"contexts.device.arch", "\"x86_64\""},
        {"contexts.runtime.version", "\"2.36\""},
        {"contexts.app.app_memory", "12288"},
        {"contexts.trace.trace_id", "\"1102030405060708090a0b0c0d0e0f10\""},
        {"fingerprint", NULL},
    };
    struct dump *d = dump_example();
    struct crash *c = walked(d);
    cJSON *event;
    char why[128];
    CHECK_INT(sentry_event(c, NULL, &event), 0);
    CHECK_STR(event->child->string, "event_id"); /* some look for the first one */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!CHECK_STR(at(event, cases[i].path), cases[i].value))
            printf("at %s\n", cases[i].path);
    CHECK_INT(validate_event(event, why, sizeof why), 0);
    CHECK_STR(why, "");
    cJSON_Delete(event);
    crash_free(c);
    dump_free(d);
}

/* Every field of a frame, and when it is left out. */
static void says_what_a_frame_is(void)
{
    static const char *const lines[] = {"{", "    fall();", ""};
    const struct crash_frame whole = {.function = "ns::fall(int)",
        .symbol = "_ZN2ns4fallEi.cold",
        .file = "src/fall.cc",
        .directory = "/build",
        .line = 7,
        .column = 5,
        .function_address = 0x400ff0,
        .in_app = true,
        .status = KNELL_SYMBOL_OK,
        .context = lines,
        .n_before = 1,
        .n_context = 3};
    struct crash_frame plain = whole, inside = whole, named = whole, above = whole;
    plain.symbol = plain.function = "fall"; /* C: one name */
    inside.file = "/build/src/fall.cc";
    named.status = KNELL_SYMBOL_SYMTAB_ONLY; /* a server may know more */
    named.file = NULL;
    named.line = named.column = named.n_context = 0;
    above.function_address = 0x401001;
    above.column = 0;
    const struct {
        const struct crash_frame *frame;
        const char *field, *value;
    } rows[] = {
        {&whole, "function", "\"ns::fall(int)\""},
        {&whole, "raw_function", "\"_ZN2ns4fallEi.cold\""},
        {&whole, "symbol", "\"_ZN2ns4fallEi.cold\""},
        {&whole, "filename", "\"src/fall.cc\""},
        {&whole, "abs_path", "\"/build/src/fall.cc\""},
        {&whole, "lineno", "7"},
        {&whole, "colno", "5"},
        {&whole, "pre_context.0", "\"{\""},
        {&whole, "context_line", "\"    fall();\""},
        {&whole, "post_context.0", "\" \""},
        {&whole, "in_app", "true"},
        {&whole, "symbol_addr", "\"0x400ff0\""},
        {&whole, "instruction_addr", "\"0x401000\""},
        {&whole, "trust", "\"context\""},
        {&whole, "data", "{\"symbolicator_status\":\"symbolicated\"}"},
        {&plain, "function", "\"fall\""},
        {&plain, "raw_function", NULL},
        {&plain, "symbol", NULL},
        {&inside, "filename", "\"src/fall.cc\""},
        {&inside, "abs_path", "\"/build/src/fall.cc\""},
        {&named, "function", "\"ns::fall(int)\""},
        {&named, "filename", "\"exampled\""},
        {&named, "abs_path", NULL},
        {&named, "lineno", NULL},
        {&named, "context_line", NULL},
        {&named, "data", NULL},
        {&named, "trust", "\"context\""},
        {&above, "symbol_addr", NULL},
        {&above, "colno", NULL},
    };
    struct dump *d = dump_example();
    struct crash *c = walked(d);
    struct crash_thread *t = c->threads;
    while (t < c->threads + c->n_threads && !t->crashed)
        t++;
    if (!CHECK(t < c->threads + c->n_threads && t->n_frames == 2))
        return;
    const struct crash_frame found = t->frames[0];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct crash_frame *f = &t->frames[0];
        char path[128];
        cJSON *event;
        *f = *rows[i].frame;
        f->pc = found.pc;
        f->module = found.module;
        f->trust = found.trust;
        (void)snprintf(path, sizeof path, "exception.values.0.stacktrace.frames.1.%s",
            rows[i].field);
        CHECK_INT(sentry_event(c, NULL, &event), 0);
        if (!CHECK_STR(at(event, path), rows[i].value))
            printf("in row %zu, %s\n", i, rows[i].field);
        cJSON_Delete(event);
        const struct event_options bare = {.no_frame_hints = true};
        CHECK_INT(sentry_event(c, &bare, &event), 0);
        CHECK_STR(at(event, "exception.values.0.stacktrace.frames.1.data"), NULL);
        CHECK_STR(at(event, "exception.values.0.stacktrace.frames.1.trust"), NULL);
        cJSON_Delete(event);
    }
    t->frames[0] = found;
    crash_free(c);
    dump_free(d);
}

static void keeps_to_its_options(void)
{
    struct dump *d = dump_example();
    static const char cmd[] = "exampled\0--token\0s3cr3t\0";
    dump_stream(d, KNELL_STREAM_LINUX_CMD_LINE, cmd, sizeof cmd);
    dump_stream_text(d, KNELL_STREAM_ABORT_MESSAGE, "password=hunter2 is wrong\n");
    struct crash *c = walked(d);
    struct scrub *scrub;
    char note[16];
    CHECK_INT(scrub_new(NULL, &scrub, note, sizeof note), 0);
    struct event_options o = {.event_id = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        .send_default_pii = true,
        .no_frame_hints = true,
        .send_cmdline = true,
        .scrub = scrub,
        .max_threads = 1,
        .max_frames = 1,
        .suppressed = 3};
    cJSON *event;
    CHECK_INT(sentry_event(c, &o, &event), 0);
    CHECK_STR(at(event, "event_id"), "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"");
    CHECK_STR(at(event, "server_name"), "\"node-7\"");
    CHECK_STR(at(event, "exception.values.0.value"), "\"password=[Filtered] is wrong\"");
    CHECK_STR(
        at(event, "contexts.process.command_line"), "\"exampled --token [Filtered]\"");
    CHECK_STR(at(event, "threads.values.1"), NULL);
    CHECK_STR(at(event, "exception.values.0.stacktrace.frames.1"), NULL);
    CHECK_STR(at(event, "exception.values.0.stacktrace.frames.0.trust"), NULL);
    CHECK_STR(at(event, "contexts.knell.suppressed"), "3");
    cJSON_Delete(event);
    scrub_free(scrub);
    crash_free(c);
    dump_free(d);
}

static void makes_any_text_valid(void)
{
    static const struct {
        const char *from, *to;
        size_t room;
    } cases[] = {
        {"abc", "abc", 10},
        {"abcdefgh", "abcdefgh", 9},
        {"abcdefgh", "abcd...", 8},
        {"a\xff"
         "b",
            "a\xef\xbf\xbd"
            "b",
            20},
        {"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", "\xc3\xa4...", 7},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 20}, /* a surrogate */
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd", 20},                 /* cut off */
        {"", "", 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[32];
        size_t n = text_copy(out, cases[i].room, cases[i].from, strlen(cases[i].from));
        CHECK_STR(out, cases[i].to);
        CHECK_INT(n, strlen(out));
        CHECK(n < cases[i].room);
    }
}

static void refuses_wrong_types(void)
{
    static const struct {
        const char *patch, *why;
    } cases[] = {
        {"{\"event_id\":\"x\"}", "event_id: not an id"},
        {"{\"timestamp\":1}", "timestamp: not a time"},
        {"{\"level\":\"bad\"}", "level: not a level"},
        {"{\"tags\":{\"a\":1}}", "tags.a: not a string"},
        {"{\"tags\":[]}", "tags: not an object"},
        {"{\"user\":{\"id\":5}}", "user.id: not a string"},
        {"{\"threads\":{\"values\":[{\"id\":\"328\"}]}}",
            "threads.values[0].id: not a count"},
        {"{\"threads\":[]}", "threads: not an object"},
        {"{\"exception\":{\"values\":[{\"type\":\"x\",\"stacktrace\":{\"frames\":[]}}]}}",
            "exception.values[0].stacktrace: no frames"},
        {"{\"exception\":{\"values\":[{\"type\":\"x\",\"stacktrace\":{\"frames\":[{"
         "\"instruction_addr\":\"12\"}]}}]}}",
            "exception.values[0].stacktrace.frames[0].instruction_addr: not an address"},
        {"{\"breadcrumbs\":[]}", "breadcrumbs: not an object"},
        {"{\"extra\":{\"a\":[{\"b\":\"caf\xe9\"}]}}", "event: bytes that are no UTF-8"},
        {"{\"extra\":{\"caf\xe9\":1}}", "event: bytes that are no UTF-8"},
        {"{\"fingerprint\":[1]}", "event: a part of the fingerprint is no string"},
    };
    struct dump *d = dump_example();
    struct crash *c = walked(d);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cJSON *event, *patch = cJSON_Parse(cases[i].patch);
        char why[128];
        CHECK_INT(sentry_event(c, NULL, &event), 0);
        cJSON_DeleteItemFromObjectCaseSensitive(event, patch->child->string);
        cJSON *item = cJSON_DetachItemViaPointer(patch, patch->child);
        char key[32];
        (void)snprintf(key, sizeof key, "%s", item->string);
        cJSON_AddItemToObject(event, key, item);
        CHECK_INT(validate_event(event, why, sizeof why), -EBADMSG);
        CHECK_STR(why, cases[i].why);
        cJSON_Delete(patch);
        cJSON_Delete(event);
    }
    crash_free(c);
    dump_free(d);
}

static void becomes_a_log_record(void)
{
    struct dump *d = dump_example();
    struct crash *c = walked(d);
    const struct otlp_process p = {.time_ns = 5, .observed_ns = 6, .pid = 4711};
    cJSON *event, *logs;
    CHECK_INT(sentry_event(c, NULL, &event), 0);
    CHECK_INT(otlp_logs(event, &p, &logs), 0);
    const char *record = "resourceLogs.0.scopeLogs.0.logRecords.0.";
    static const struct {
        const char *path, *value;
    } cases[] = {
        {"eventName", "\"app.crash\""},
        {"severityNumber", "21"},
        {"severityText", "\"FATAL\""},
        {"timeUnixNano", "\"5\""},
        {"body.stringValue", "\"SIGSEGV\""},
        {"attributes.0", "{\"key\":\"exception.type\",\"value\":{\"stringValue\":"
                         "\"SIGSEGV\"}}"},
        {"attributes.2", "{\"key\":\"exception.stacktrace\",\"value\":{\"stringValue\":"
                         "\"#0 0x401000 in ?? from /usr/bin/exampled\\n#1 0x401234 in ?? "
                         "from /usr/bin/exampled\\n\"}}"},
        {"traceId", "\"1102030405060708090a0b0c0d0e0f10\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s%s", record, cases[i].path);
        CHECK_STR(at(logs, path), cases[i].value);
    }
    CHECK_STR(at(logs, "resourceLogs.0.resource.attributes.0.value.stringValue"),
        "\"exampled\"");
    cJSON_Delete(logs);
    cJSON_Delete(event);
    crash_free(c);
    dump_free(d);
}

/* The allocator that fails once, at the n-th call. */
static long fail_at, n_calls;

static void *failing_malloc(size_t n)
{
    return ++n_calls == fail_at ? NULL : malloc(n);
}

static void survives_failing_allocations(void)
{
    cJSON_Hooks hooks = {.malloc_fn = failing_malloc, .free_fn = free};
    struct dump *d = dump_example();
    struct crash *c = walked(d);
    int err = -1;
    cJSON_InitHooks(&hooks);
    for (fail_at = 1; err && fail_at < 100000; fail_at += 1 + fail_at / 64) {
        cJSON *event = NULL;
        n_calls = 0;
        err = sentry_event(c, NULL, &event);
        CHECK(err == 0 || err == -ENOMEM);
        CHECK((err == 0) == (event != NULL));
        cJSON_Delete(event);
    }
    CHECK_INT(err, 0);
    CHECK(fail_at > 100);
    cJSON_InitHooks(NULL);
    crash_free(c);
    dump_free(d);
}

/* Whatever tells of a release calls it the same: servers refuse other shapes. */
static void a_session_has_the_events_release(void)
{
    const struct knell_journal_session s = {
        .version = 1, .status = KNELL_SESSION_OK, .started_ns = 1};
    struct session_of of = {
        .release = "team/app\\x@1", .environment = "eu/west", .time_ns = 2};
    cJSON *update = NULL;
    CHECK_INT(session_update(&s, &of, &update), 0);
    CHECK_STR(at(update, "attrs.release"), "\"team_app_x@1\"");
    CHECK_STR(at(update, "attrs.environment"), "\"eu_west\"");
    cJSON_Delete(update);
    of.release = "latest"; /* is none */
    CHECK_INT(session_update(&s, &of, &update), 0);
    CHECK(!update);
}

/* The example, as if the program or the uploader had said it. @n  pairs of text */
static cJSON *event_of_item(
    uint32_t kind, const char *const pairs[][2], uint32_t n, const struct scrub *scrub)
{
    const struct knell_item_head head = {.kind = kind, .level = KNELL_LEVEL_ERROR};
    struct journal_pair all[8];
    for (uint32_t i = 0; i < n; i++)
        all[i] = (struct journal_pair){
            .key = pairs[i][0], .value = {.type = KNELL_VALUE_TEXT, .text = pairs[i][1]}};
    const struct event_options o = {.scrub = scrub};
    struct dump *d = dump_example();
    size_t size;
    const uint8_t *bytes = dump_finish(d, &size);
    struct crash *c = NULL;
    cJSON *event = NULL;
    char why[256];
    CHECK_INT(report_read(bytes, size, &c, NULL), 0);
    CHECK_INT(report_unwind(c, &(struct report_unwind_options){.no_files = true}), 0);
    CHECK_INT(report_symbolize(c, NULL), 0);
    c->has_signal = false;
    c->item_head = &head;
    c->item_pairs = all;
    c->n_item_pairs = n;
    for (uint32_t i = 0; i < c->threads[0].n_frames; i++)
        c->threads[0].frames[i].kind = KNELL_FRAME_RETURN; /* knell's own are cut off */
    CHECK_INT(sentry_event(c, &o, &event), 0);
    CHECK_INT(validate_event(event, why, sizeof why), 0);
    crash_free(c);
    dump_free(d);
    return event;
}

static void what_the_program_said_stays_as_it_is(void)
{
    static const char *const pairs[][2] = {{"type", "QueryFailed"},
        {"message", "processor: stalled"}, {"operation", "SELECT 1\nFROM t"},
        {"path", "/home/ann/x"}, {"Path", "another"}};
    struct scrub *scrub;
    char note[64] = "";
    CHECK_INT(scrub_new(NULL, &scrub, note, sizeof note), 0);
    cJSON *event = event_of_item(KNELL_ITEM_ERROR, pairs, 5, scrub);
    CHECK_STR(at(event, "exception.values.0.value"), "\"processor: stalled\"");
    CHECK_STR(at(event, "tags.operation"), "\"SELECT 1 FROM t\"");
    CHECK_STR(at(event, "extra.path"), "\"/home/ann/x\"");
    CHECK_STR(at(event, "extra.Path"), "\"another\"");
    CHECK_STR(at(event, "exception.values.0.stacktrace.instruction_addr_adjustment"),
        "\"all\"");
    cJSON_Delete(event);
    scrub_free(scrub);
}

static void an_obituary_names_no_people(void)
{
    static const char *const pairs[][2] = {{"type", "SIGSEGV"}, {"message", "died"},
        {"evidence 1", "the kernel's log: audit: type=1701 auid=1000 uid=1000 gid=99 "
                       "exe=\"/home/ann/bin/d\" sig=11"},
        {"evidence 2", "a core file of it lies at /cores/web1.d.42"},
        {"evidence 3", "the cgroup /user.slice/user-1000.slice counts no OOM kill"}};
    struct scrub *scrub;
    char note[64] = "";
    CHECK_INT(scrub_new(NULL, &scrub, note, sizeof note), 0);
    cJSON *event = event_of_item(KNELL_ITEM_OBITUARY, pairs, 5, scrub);
    char *text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(event, "extra"));
    CHECK(text && strstr(text, "sig=11") && strstr(text, "/cores/"));
    CHECK(text && !strstr(text, "ann") && !strstr(text, "web1") && !strstr(text, "1000"));
    free(text);
    cJSON_Delete(event);
    scrub_free(scrub);
}

TEST_MAIN(TEST(what_the_program_said_stays_as_it_is), TEST(an_obituary_names_no_people),
    TEST(says_what_servers_need), TEST(says_what_a_frame_is), TEST(keeps_to_its_options),
    TEST(makes_any_text_valid), TEST(refuses_wrong_types), TEST(becomes_a_log_record),
    TEST(survives_failing_allocations), TEST(a_session_has_the_events_release))
