#include "uploader/event/otlp.h"

#include "uploader/event/otel_resource.h"
#include "uploader/event/otlp_values.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STACK_BYTES = 32 * 1024 };

static const cJSON *at(const cJSON *o, const char *key)
{
    return o ? cJSON_GetObjectItemCaseSensitive(o, key) : NULL;
}

static const char *text(const cJSON *o, const char *key)
{
    const cJSON *v = at(o, key);
    return cJSON_IsString(v) ? v->valuestring : NULL;
}

static void resource(struct build *b, cJSON *to, const cJSON *event, uint32_t pid)
{
    const cJSON *contexts = at(event, "contexts"), *app = at(contexts, "app");
    const cJSON *images = at(at(event, "debug_meta"), "images");
    const struct otlp_service service = {.name = text(app, "app_name"),
        .version = text(app, "app_version"),
        .environment = text(event, "environment"),
        .host = text(event, "server_name"),
        .own = otel_resource_of(event)};
    cJSON *list = otlp_resource(b, to, &service);
    otlp_text(b, list, "os.version", text(at(contexts, "os"), "version"));
    otlp_text(b, list, "host.arch", text(at(contexts, "device"), "arch"));
    if (pid)
        otlp_integer(b, list, "process.pid", pid);
    otlp_text(b, list, "process.executable.path",
        text(images ? images->child : NULL, "code_file"));
    otlp_text(b, list, "process.executable.build_id.gnu", text(app, "app_build"));
    otlp_resource_own(b, list, &service);
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
        otlp_integer(b, list, "thread.id", (int64_t)id->valuedouble);
        otlp_text(b, list, "thread.name", text(t, "name"));
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

static void attributes(
    struct build *b, cJSON *record, const cJSON *event, const cJSON *frames)
{
    const cJSON *e = exception_of(event), *tag;
    cJSON *list = build_array(b, record, "attributes");
    otlp_text(b, list, "exception.type", text(e, "type"));
    otlp_text(b, list, "exception.message", text(e, "value"));
    char *stack = frames ? stack_text(frames) : NULL;
    otlp_text_max(b, list, "exception.stacktrace", stack, MAX_STACK_BYTES);
    b->failed |= frames && !stack;
    free(stack);
    otlp_text(b, list, "app.crash.id", text(event, "event_id"));
    thread_attributes(b, list, event);
    otlp_text(b, list, "knell.signature",
        text(at(at(event, "contexts"), "knell"), "signature"));
    cJSON_ArrayForEach(tag, at(event, "tags"))
    {
        char key[80];
        (void)snprintf(key, sizeof key, "tag.%.64s", tag->string);
        if (cJSON_IsString(tag))
            otlp_text(b, list, key, tag->valuestring);
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
    otlp_scope(&b, sl);
    cJSON *record = build_object(&b, build_array(&b, sl, "logRecords"), NULL);
    otlp_nanoseconds(&b, record, "timeUnixNano", process->time_ns);
    otlp_nanoseconds(&b, record, "observedTimeUnixNano", process->observed_ns);
    otlp_severity(&b, record, text(event, "level"));
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
