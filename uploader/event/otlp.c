#include "uploader/event/otlp.h"

#include "uploader/event/build.h"

#include <errno.h>
#include <knell/knell.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STACK_BYTES = 32 * 1024, MAX_VALUE = 8192, SEVERITY_FATAL = 21 };

static const cJSON *at(const cJSON *o, const char *key)
{
    return o ? cJSON_GetObjectItemCaseSensitive(o, key) : NULL;
}

static const char *text(const cJSON *o, const char *key)
{
    const cJSON *v = at(o, key);
    return cJSON_IsString(v) ? v->valuestring : NULL;
}

static cJSON *value_of(struct build *b, cJSON *list, const char *key)
{
    cJSON *one = build_object(b, list, NULL);
    build_text(b, one, "key", key, 256);
    return build_object(b, one, "value");
}

static void add_text(struct build *b, cJSON *list, const char *key, const char *value)
{
    if (value && *value)
        build_text(b, value_of(b, list, key), "stringValue", value, MAX_VALUE);
}

/* 64-bit integers are strings in protobuf's JSON. */
static void add_number(struct build *b, cJSON *list, const char *key, uint64_t value)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    build_text(b, value_of(b, list, key), "intValue", digits, sizeof digits);
}

static void resource(struct build *b, cJSON *to, const cJSON *event, uint32_t pid)
{
    const cJSON *contexts = at(event, "contexts"), *app = at(contexts, "app");
    const cJSON *images = at(at(event, "debug_meta"), "images");
    cJSON *o = build_object(b, to, "resource");
    cJSON *list = build_array(b, o, "attributes");
    const char *name = text(app, "app_name"), *environment = text(event, "environment");
    add_text(b, list, "service.name", name ? name : "unknown_service");
    add_text(b, list, "service.version", text(app, "app_version"));
    add_text(b, list, "deployment.environment.name", environment);
    add_text(b, list, "deployment.environment", environment); /* the older name */
    add_text(b, list, "host.name", text(event, "server_name"));
    add_text(b, list, "os.type", "linux");
    add_text(b, list, "os.version", text(at(contexts, "os"), "version"));
    add_text(b, list, "host.arch", text(at(contexts, "device"), "arch"));
    if (pid)
        add_number(b, list, "process.pid", pid);
    add_text(b, list, "process.executable.path",
        text(images ? images->child : NULL, "code_file"));
    add_text(b, list, "process.executable.build_id.gnu", text(app, "app_build"));
    add_text(b, list, "telemetry.sdk.name", "knell");
    add_text(b, list, "telemetry.sdk.language", "cpp");
    add_text(b, list, "telemetry.sdk.version", KNELL_VERSION);
}

/* The exception, or for a message none. */
static const cJSON *exception_of(const cJSON *event)
{
    const cJSON *values = at(at(event, "exception"), "values");
    return values ? values->child : NULL;
}

static const cJSON *last(const cJSON *list)
{
    int n = list ? cJSON_GetArraySize(list) : 0;
    return n ? cJSON_GetArrayItem(list, n - 1) : NULL;
}

/* As a debugger prints it, newest first. */
static char *stack_text(const cJSON *frames)
{
    char *out = malloc(MAX_STACK_BYTES);
    size_t used = 0;
    int number = 0;
    if (!out)
        return NULL;
    out[0] = 0;
    for (const cJSON *f = last(frames); f; f = f->prev) {
        const char *function = text(f, "function"), *file = text(f, "filename");
        const cJSON *line = at(f, "lineno");
        char place[300] = "", row[700];
        if (cJSON_IsNumber(line))
            (void)snprintf(
                place, sizeof place, " at %.200s:%d", file ? file : "?", line->valueint);
        else if (text(f, "package"))
            (void)snprintf(place, sizeof place, " from %.250s", text(f, "package"));
        const char *address = text(f, "instruction_addr");
        int n = snprintf(row, sizeof row, "#%d %.20s in %.256s%s\n", number++,
            address ? address : "?", function ? function : "??", place);
        if (n < 0 || used + (size_t)n >= MAX_STACK_BYTES)
            break;
        memcpy(out + used, row, (size_t)n + 1);
        used += (size_t)n;
        if (f == frames->child)
            break;
    }
    return out;
}

static const char *top_function(const cJSON *frames)
{
    const char *any = NULL;
    for (const cJSON *f = last(frames); f; f = f->prev) {
        const char *function = text(f, "function");
        if (function && cJSON_IsTrue(at(f, "in_app")))
            return function;
        if (function && !any)
            any = function;
        if (f == frames->child)
            break;
    }
    return any;
}

static void thread_attributes(struct build *b, cJSON *list, const cJSON *event)
{
    const cJSON *t;
    cJSON_ArrayForEach(t, at(at(event, "threads"), "values"))
    {
        const cJSON *id = at(t, "id");
        if (!cJSON_IsTrue(at(t, "current")) || !cJSON_IsNumber(id))
            continue;
        add_number(b, list, "thread.id", (uint64_t)id->valuedouble);
        add_text(b, list, "thread.name", text(t, "name"));
        return;
    }
}

/* The body groups in some receivers: signal and function, nothing that changes. */
static void body(struct build *b, cJSON *record, const cJSON *event, const cJSON *frames)
{
    char words[600];
    const char *type = text(exception_of(event), "type"), *in = top_function(frames);
    const char *message = text(at(event, "logentry"), "formatted");
    if (!type)
        (void)snprintf(words, sizeof words, "%.500s", message ? message : "report");
    else
        (void)snprintf(
            words, sizeof words, "%.200s%s%.256s", type, in ? " in " : "", in ? in : "");
    build_text(b, build_object(b, record, "body"), "stringValue", words, sizeof words);
}

static void nanoseconds(struct build *b, cJSON *to, const char *key, uint64_t ns)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)ns);
    build_text(b, to, key, digits, sizeof digits);
}

static void severity(struct build *b, cJSON *record, const cJSON *event)
{
    static const struct {
        const char *level, *word;
        int number;
    } levels[] = {{"fatal", "FATAL", SEVERITY_FATAL}, {"error", "ERROR", 17},
        {"warning", "WARN", 13}, {"info", "INFO", 9}, {"debug", "DEBUG", 5}};
    const char *level = text(event, "level");
    size_t k = 0;
    for (size_t i = 0; level && i < sizeof levels / sizeof *levels; i++)
        k = strcmp(level, levels[i].level) ? k : i;
    build_number(b, record, "severityNumber", levels[k].number);
    build_text(b, record, "severityText", levels[k].word, 16);
}

static void attributes(
    struct build *b, cJSON *record, const cJSON *event, const cJSON *frames)
{
    const cJSON *e = exception_of(event), *tag;
    cJSON *list = build_array(b, record, "attributes");
    add_text(b, list, "exception.type", text(e, "type"));
    add_text(b, list, "exception.message", text(e, "value"));
    char *stack = frames ? stack_text(frames) : NULL;
    if (stack && *stack)
        build_text(b, value_of(b, list, "exception.stacktrace"), "stringValue", stack,
            MAX_STACK_BYTES);
    b->failed |= frames && !stack;
    free(stack);
    add_text(b, list, "app.crash.id", text(event, "event_id"));
    thread_attributes(b, list, event);
    add_text(b, list, "knell.signature",
        text(at(at(event, "contexts"), "knell"), "signature"));
    cJSON_ArrayForEach(tag, at(event, "tags"))
    {
        char key[80];
        (void)snprintf(key, sizeof key, "tag.%.64s", tag->string);
        if (cJSON_IsString(tag))
            add_text(b, list, key, tag->valuestring);
    }
}

int otlp_logs(const cJSON *event, const struct otlp_process *process, cJSON **ret)
{
    struct build b = {0};
    cJSON *root = cJSON_CreateObject();
    const cJSON *frames = at(at(exception_of(event), "stacktrace"), "frames");
    const cJSON *trace = at(at(event, "contexts"), "trace");
    if (!root)
        return -ENOMEM;
    cJSON *rl = build_object(&b, build_array(&b, root, "resourceLogs"), NULL);
    resource(&b, rl, event, process->pid);
    cJSON *sl = build_object(&b, build_array(&b, rl, "scopeLogs"), NULL);
    cJSON *scope = build_object(&b, sl, "scope");
    build_text(&b, scope, "name", "knell", 16);
    build_text(&b, scope, "version", KNELL_VERSION, 16);
    cJSON *record = build_object(&b, build_array(&b, sl, "logRecords"), NULL);
    nanoseconds(&b, record, "timeUnixNano", process->time_ns);
    nanoseconds(&b, record, "observedTimeUnixNano", process->observed_ns);
    severity(&b, record, event);
    build_text(&b, record, "eventName", "app.crash", 16);
    body(&b, record, event, frames);
    attributes(&b, record, event, frames);
    if (text(trace, "trace_id") && text(trace, "span_id")) {
        build_text(&b, record, "traceId", text(trace, "trace_id"), 32);
        build_text(&b, record, "spanId", text(trace, "span_id"), 16);
    }
    if (b.failed) {
        cJSON_Delete(root);
        return -ENOMEM;
    }
    *ret = root;
    return 0;
}
