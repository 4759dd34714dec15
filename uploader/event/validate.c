#include "uploader/event/validate.h"

#include "uploader/inspect/safe.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct check {
    char path[256];
    size_t n_path;
    char *why;
    size_t n_why;
    bool failed;
};

static void fail(struct check *c, const char *what)
{
    if (c->failed)
        return;
    c->failed = true;
    (void)snprintf(c->why, c->n_why, "%s: %s", c->n_path ? c->path : "event", what);
}

/* Down to @key (or element @i when it is NULL); give the answer back to leave(). */
static size_t enter(struct check *c, const char *key, int i)
{
    size_t before = c->n_path, room = sizeof c->path - before;
    int k = key ? snprintf(c->path + before, room, "%s%s", before ? "." : "", key)
                : snprintf(c->path + before, room, "[%d]", i);
    if (k > 0 && (size_t)k < room)
        c->n_path += (size_t)k;
    return before;
}

static void leave(struct check *c, size_t before)
{
    c->n_path = before;
    c->path[before] = 0;
}

static bool is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

static bool is_address(const char *s)
{
    size_t n = strlen(s);
    return n > 2 && n <= 18 && !strncmp(s, "0x", 2) &&
           strspn(s + 2, "0123456789abcdef") == n - 2;
}

static bool is_time(const char *s)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    if (strlen(s) < sizeof shape)
        return false;
    for (size_t i = 0; shape[i]; i++) {
        if (shape[i] == 'd' ? !isdigit((unsigned char)s[i]) : s[i] != shape[i])
            return false;
    }
    return s[strlen(s) - 1] == 'Z';
}

enum kind { TEXT, NUMBER, COUNT, BOOL, ADDRESS, TIME, OBJECT, LIST, ID32, LEVEL };

static const char *wrong(const cJSON *v, enum kind kind)
{
    static const char *const levels[] = {"fatal", "error", "warning", "info", "debug"};
    switch (kind) {
    case TEXT:
        return cJSON_IsString(v) ? NULL : "not a string";
    case NUMBER:
        return cJSON_IsNumber(v) ? NULL : "not a number";
    case COUNT:
        return cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble < 0x1p64 &&
                       (v->valuedouble >= 0x1p53 ||
                           v->valuedouble == (double)(long long)v->valuedouble)
                   ? NULL
                   : "not a count";
    case BOOL:
        return cJSON_IsBool(v) ? NULL : "not true or false";
    case ADDRESS:
        return cJSON_IsString(v) && is_address(v->valuestring) ? NULL : "not an address";
    case TIME:
        return cJSON_IsString(v) && is_time(v->valuestring) ? NULL : "not a time";
    case OBJECT:
        return cJSON_IsObject(v) ? NULL : "not an object";
    case LIST:
        return cJSON_IsArray(v) ? NULL : "not a list";
    case ID32:
        return cJSON_IsString(v) && is_hex(v->valuestring, 32) ? NULL : "not an id";
    case LEVEL:
        for (size_t i = 0; cJSON_IsString(v) && i < 5; i++) {
            if (!strcmp(v->valuestring, levels[i]))
                return NULL;
        }
        return "not a level";
    }
    return NULL;
}

/* The value of @key; NULL when absent (a failure if @needed) or of another kind. */
static const cJSON *want(
    struct check *c, const cJSON *o, const char *key, enum kind kind, bool needed)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!v && !needed)
        return NULL;
    size_t before = enter(c, key, 0);
    const char *what = v ? wrong(v, kind) : "absent";
    if (what)
        fail(c, what);
    leave(c, before);
    return what ? NULL : v;
}

static void text_within(struct check *c, const cJSON *o, const char *key, size_t max)
{
    const cJSON *v = want(c, o, key, TEXT, false);
    if (v && strlen(v->valuestring) > max) {
        size_t before = enter(c, key, 0);
        fail(c, "too long");
        leave(c, before);
    }
}

static void frame(struct check *c, const cJSON *f)
{
    static const char *const texts[] = {"function", "raw_function", "symbol", "filename",
        "abs_path", "package", "context_line"};
    static const char *const addresses[] = {
        "instruction_addr", "symbol_addr", "image_addr"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        (void)want(c, f, texts[i], TEXT, false);
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        (void)want(c, f, addresses[i], ADDRESS, false);
    (void)want(c, f, "lineno", COUNT, false);
    (void)want(c, f, "colno", COUNT, false);
    (void)want(c, f, "in_app", BOOL, false);
    if (!cJSON_HasObjectItem(f, "function") && !cJSON_HasObjectItem(f, "filename") &&
        !cJSON_HasObjectItem(f, "instruction_addr"))
        fail(c, "neither function, file nor address");
}

/* Every element of the list at @key is an object for @one to look at. */
static int each(struct check *c, const cJSON *o, const char *key,
    void (*one)(struct check *, const cJSON *), bool needed)
{
    const cJSON *list = want(c, o, key, LIST, needed), *v;
    size_t before = enter(c, key, 0);
    int n = 0;
    cJSON_ArrayForEach(v, list)
    {
        size_t here = enter(c, NULL, n++);
        if (!cJSON_IsObject(v))
            fail(c, "not an object");
        else
            one(c, v);
        leave(c, here);
        if (c->failed)
            break;
    }
    leave(c, before);
    return n;
}

static void stacktrace(struct check *c, const cJSON *o)
{
    const cJSON *stack = want(c, o, "stacktrace", OBJECT, false);
    if (!stack)
        return;
    size_t before = enter(c, "stacktrace", 0);
    if (each(c, stack, "frames", frame, true) == 0)
        fail(c, "no frames");
    const cJSON *registers = want(c, stack, "registers", OBJECT, false), *r;
    cJSON_ArrayForEach(r, registers)
    {
        if (wrong(r, ADDRESS))
            fail(c, "a register is no address");
    }
    leave(c, before);
}

static void exception(struct check *c, const cJSON *o)
{
    const cJSON *m = want(c, o, "mechanism", OBJECT, false);
    (void)want(c, o, "type", TEXT, true);
    text_within(c, o, "value", 8192);
    (void)want(c, o, "thread_id", COUNT, false);
    if (m) {
        size_t before = enter(c, "mechanism", 0);
        (void)want(c, m, "type", TEXT, true);
        (void)want(c, m, "handled", BOOL, false);
        (void)want(c, m, "synthetic", BOOL, false);
        leave(c, before);
    }
    stacktrace(c, o);
}

static void thread(struct check *c, const cJSON *o)
{
    (void)want(c, o, "id", COUNT, true);
    (void)want(c, o, "name", TEXT, false);
    (void)want(c, o, "crashed", BOOL, false);
    (void)want(c, o, "current", BOOL, false);
    stacktrace(c, o);
}

static void image(struct check *c, const cJSON *o)
{
    (void)want(c, o, "type", TEXT, true);
    (void)want(c, o, "debug_id", TEXT, true);
    (void)want(c, o, "code_file", TEXT, true);
    (void)want(c, o, "image_addr", ADDRESS, false);
    (void)want(c, o, "image_size", COUNT, false);
}

static void crumb(struct check *c, const cJSON *o)
{
    (void)want(c, o, "timestamp", TIME, false);
    (void)want(c, o, "level", LEVEL, false);
    (void)want(c, o, "message", TEXT, false);
    (void)want(c, o, "category", TEXT, false);
    (void)want(c, o, "data", OBJECT, false);
}

static void values(struct check *c, const cJSON *event, const char *key, const char *list,
    void (*one)(struct check *, const cJSON *))
{
    const cJSON *o = want(c, event, key, OBJECT, false);
    if (!o)
        return;
    size_t before = enter(c, key, 0);
    (void)each(c, o, list, one, true);
    leave(c, before);
}

static void tags(struct check *c, const cJSON *event)
{
    const cJSON *all = want(c, event, "tags", OBJECT, false), *t;
    size_t before = enter(c, "tags", 0);
    cJSON_ArrayForEach(t, all)
    {
        size_t here = enter(c, t->string, 0);
        if (!cJSON_IsString(t))
            fail(c, "not a string");
        else if (strlen(t->valuestring) > 200 || strchr(t->valuestring, '\n'))
            fail(c, "too long or more than one line");
        leave(c, here);
    }
    leave(c, before);
}

static void one_crashed(struct check *c, const cJSON *event)
{
    const cJSON *threads = cJSON_GetObjectItemCaseSensitive(event, "threads"), *t;
    int n = 0;
    cJSON_ArrayForEach(t, cJSON_GetObjectItemCaseSensitive(threads, "values")) n +=
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(t, "crashed"));
    if (n > 1)
        fail(c, "more than one crashed thread");
}

static bool is_utf8(const char *text)
{
    uint32_t c;
    for (size_t k, n = text ? strlen(text) : 0; n; text += k, n -= k) {
        k = safe_decode(text, n, &c);
        if (!k)
            return false;
    }
    return true;
}

/* Names and texts; a parser has bounded how deep. */
static bool all_utf8(const cJSON *item)
{
    const cJSON *one;
    bool sound = is_utf8(item->string) && is_utf8(item->valuestring);
    cJSON_ArrayForEach(one, item) sound = sound && all_utf8(one);
    return sound;
}

int validate_event(const cJSON *event, char *why, size_t n_why)
{
    struct check c = {.why = why, .n_why = n_why};
    why[0] = 0;
    if (!cJSON_IsObject(event)) {
        fail(&c, "not an object");
        return -EBADMSG;
    }
    if (!all_utf8(event))
        fail(&c, "bytes that are no UTF-8");
    (void)want(&c, event, "event_id", ID32, true);
    (void)want(&c, event, "timestamp", TIME, true);
    (void)want(&c, event, "platform", TEXT, true);
    (void)want(&c, event, "level", LEVEL, false);
    text_within(&c, event, "release", 200);
    text_within(&c, event, "environment", 64);
    text_within(&c, event, "dist", 64);
    text_within(&c, event, "server_name", 256);
    text_within(&c, event, "transaction", 200);
    tags(&c, event);
    const cJSON *user = want(&c, event, "user", OBJECT, false);
    if (user) {
        size_t before = enter(&c, "user", 0);
        static const char *const texts[] = {
            "id", "email", "username", "ip_address", "name", "segment"};
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            (void)want(&c, user, texts[i], TEXT, false);
        (void)want(&c, user, "data", OBJECT, false);
        leave(&c, before);
    }
    (void)want(&c, event, "extra", OBJECT, false);
    const cJSON *contexts = want(&c, event, "contexts", OBJECT, false), *one;
    cJSON_ArrayForEach(one, contexts)
    {
        if (!cJSON_IsObject(one))
            fail(&c, "a context is no object");
    }
    const cJSON *prints = want(&c, event, "fingerprint", LIST, false);
    cJSON_ArrayForEach(one, prints)
    {
        if (!cJSON_IsString(one))
            fail(&c, "a part of the fingerprint is no string");
    }
    values(&c, event, "exception", "values", exception);
    values(&c, event, "threads", "values", thread);
    values(&c, event, "debug_meta", "images", image);
    values(&c, event, "breadcrumbs", "values", crumb);
    one_crashed(&c, event);
    return c.failed ? -EBADMSG : 0;
}
