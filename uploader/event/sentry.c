#include "uploader/event/sentry.h"

#include "uploader/event/fingerprint.h"
#include "uploader/event/otel_resource.h"
#include "uploader/event/scope.h"
#include "uploader/event/scrub.h"
#include "uploader/event/sentry_inner.h"
#include "uploader/report/frames.h"
#include "uploader/report/obituary.h"
#include "uploader/report/signal_words.h"
#include "uploader/report/signals.h"

#include <errno.h>
#include <knell/knell.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TAG_VALUE = 200 };

uint64_t event_time_ns(const struct crash *c, const struct event_options *o)
{
    if (c->has_signal && c->signal.time_ns)
        return c->signal.time_ns;
    if (c->item_head && c->item_head->time_ns)
        return c->item_head->time_ns;
    if (o->time_ms || c->time_s)
        return o->time_ms ? o->time_ms * 1000000 : c->time_s * 1000000000ull;
    return 1; /* a clock at its start: an event has a time, servers put their own */
}

const char *sentry_item_text(const struct crash *c, const char *key)
{
    for (uint32_t i = 0; i < c->n_item_pairs; i++) {
        const struct journal_pair *p = &c->item_pairs[i];
        if (!strcmp(p->key, key) && p->value.type == KNELL_VALUE_TEXT && *p->value.text)
            return p->value.text;
    }
    return NULL;
}

bool sentry_has_exception(const struct crash *c)
{
    return c->has_signal || !c->item_head || c->item_head->kind != KNELL_ITEM_MESSAGE;
}

/* What an item is called when it does not say so itself. */
static const char *item_type(const struct crash *c)
{
    const char *said = sentry_item_text(c, "type");
    if (said)
        return said;
    switch (c->item_head->kind) {
    case KNELL_ITEM_MESSAGE:
        return "Message";
    case KNELL_ITEM_HANG:
        return "Hang";
    case KNELL_ITEM_OBITUARY:
        return "Death";
    default:
        return "Error";
    }
}

static const char *type_of(const struct crash *c, char *buf, size_t n)
{
    if (!c->has_signal)
        return c->item_head ? item_type(c) : "Report";
    const char *name = signal_words_name(c->signal.signo);
    if (name)
        return name;
    (void)snprintf(buf, n, "signal %d", c->signal.signo);
    return buf;
}

void sentry_title(const struct crash *c, char *out, size_t n)
{
    char buf[32], function[256] = "";
    const struct crash_frame *f = crash_top_frame(c);
    const char *type = type_of(c, buf, sizeof buf);
    const char *message = c->has_signal ? NULL : sentry_item_text(c, "message");
    if (message) {
        char words[200];
        (void)text_copy(words, sizeof words, message, strlen(message));
        (void)snprintf(out, n, "%.80s: %s", type, words);
        return;
    }
    if (f && f->function)
        (void)text_copy(function, sizeof function, f->function, strlen(f->function));
    else if (f && f->module >= 0 && c->modules[f->module].path) {
        const char *base = path_base(c->modules[f->module].path);
        (void)text_copy(function, sizeof function, base, strlen(base));
    }
    if (*function)
        (void)snprintf(out, n, "%s in %s", type, function);
    else
        (void)snprintf(out, n, "%s", type);
}

/* The abort message (assert, glibc's heap checks) says more than the signal. It must not
 * hold an address: each crash would be a group of its own. */
static void value(struct build *b, cJSON *to, const struct crash *c)
{
    char words[160];
    const char *message = c->has_signal ? NULL : sentry_item_text(c, "message");
    if (message) {
        build_text(b, to, "value", message, EVENT_MAX_VALUE);
        return;
    }
    signal_text(c, words, sizeof words);
    const struct crash_text *m = &c->abort_message;
    size_t n = m->n_bytes;
    while (n && (m->text[n - 1] == '\n' || m->text[n - 1] == ' '))
        n--;
    if (n)
        build_text_n(b, to, "value", m->text, n, EVENT_MAX_VALUE);
    else
        build_text(b, to, "value", *words ? words : "no signal", sizeof words);
}

/* A program that reports its own errors uses "generic", as all clients do. */
static void item_mechanism(struct build *b, cJSON *to, const struct crash *c)
{
    uint32_t kind = c->item_head ? c->item_head->kind : 0;
    cJSON *m = build_object(b, to, "mechanism");
    build_text(b, m, "type",
        kind == KNELL_ITEM_HANG       ? "hang"
        : kind == KNELL_ITEM_OBITUARY ? "obituary"
                                      : "generic",
        16);
    build_bool(b, m, "handled", kind != KNELL_ITEM_OBITUARY);
}

static void mechanism(struct build *b, cJSON *to, const struct crash *c)
{
    if (!c->has_signal) {
        item_mechanism(b, to, c);
        return;
    }
    const struct knell_signal_record *s = &c->signal;
    const struct crash_frame *top = crash_top_frame(c);
    cJSON *m = build_object(b, to, "mechanism");
    build_text(b, m, "type", "signalhandler", 16);
    build_bool(b, m, "handled", false);
    /* Tells servers to title and group by the function, not by the signal: only right
     * when there is one. */
    build_bool(b, m, "synthetic", top && top->function);
    cJSON *data = build_object(b, m, "data");
    bool kernel = s->code > 0 && s->code != SI_KERNEL;
    if (kernel && s->signo != SIGSYS)
        build_address(b, data, "relevant_address", s->address);
    if (signal_words_sent(s->code) && s->sender_pid) {
        build_number(b, data, "sender_pid", s->sender_pid);
        build_number(b, data, "sender_uid", s->sender_uid);
    }
    build_drop_empty(m, "data");
    cJSON *meta = build_object(b, m, "meta");
    cJSON *signal = build_object(b, meta, "signal");
    build_number(b, signal, "number", s->signo);
    build_number(b, signal, "code", s->code);
    build_text(b, signal, "name", signal_words_name(s->signo), 32);
    build_text(b, signal, "code_name", signal_words_code(s->signo, s->code), 32);
    if (s->error > 0) {
        cJSON *error = build_object(b, meta, "errno");
        build_number(b, error, "number", s->error);
        build_text(b, error, "name", strerrorname_np(s->error), 32);
    }
}

static void exception(
    struct build *b, cJSON *event, const struct crash *c, const struct event_options *o)
{
    char buf[32];
    cJSON *exceptions = build_object(b, event, "exception");
    cJSON *values = build_array(b, exceptions, "values");
    cJSON *one = build_object(b, values, NULL);
    build_text(b, one, "type", type_of(c, buf, sizeof buf), 128);
    value(b, one, c);
    if (c->crashed_thread >= 0)
        build_number(b, one, "thread_id", c->threads[c->crashed_thread].tid);
    mechanism(b, one, c);
    if (c->crashed_thread >= 0)
        event_stacktrace(b, one, c, &c->threads[c->crashed_thread], o);
}

/* What one searches errors by. */
static void item_tags(struct build *b, cJSON *event, const struct crash *c)
{
    static const char *const searched[] = {"domain", "operation", "code", "loop"};
    cJSON *tags = build_object(b, event, "tags");
    bool handled = c->item_head->kind != KNELL_ITEM_OBITUARY;
    build_text(b, tags, "handled", handled ? "yes" : "no", 4);
    for (size_t i = 0; i < sizeof searched / sizeof *searched; i++) {
        const char *text = sentry_item_text(c, searched[i]);
        char line[MAX_TAG_VALUE + 1];
        if (!text)
            continue;
        (void)text_copy(line, sizeof line, text, strlen(text));
        for (char *p = line; *p; p++)
            *p = *p == '\n' ? ' ' : *p; /* servers refuse tags of several lines */
        build_text(b, tags, searched[i], line, sizeof line);
    }
}

/* What was gathered of a death tells of users and hosts: digits behind "uid=" and
 * "user-" go, and the name of a core file, which core_pattern may put the host in. */
static void without_people(char *text)
{
    static const char core[] = "a core file of it lies at ";
    static const char *const before[] = {"uid=", "gid=", "user-"};
    char *slash = strncmp(text, core, sizeof core - 1) ? NULL : strrchr(text, '/');
    if (slash)
        slash[1] = 0;
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        for (char *p = text; (p = strstr(p, before[i]));) {
            p += strlen(before[i]);
            for (; *p >= '0' && *p <= '9'; p++)
                *p = 'x';
        }
    }
}

static void evidence(
    struct build *b, cJSON *extra, const struct journal_pair *p, bool with_people)
{
    char text[OBITUARY_TEXT_BYTES];
    const struct journal_value v = {.type = KNELL_VALUE_TEXT, .text = text};
    (void)snprintf(text, sizeof text, "%s", p->value.text);
    if (!with_people)
        without_people(text);
    scope_value(b, extra, p->key, &v);
}

/* Message, or exception with the rest of what the item says as extra. */
static void item(
    struct build *b, cJSON *event, const struct crash *c, const struct event_options *o)
{
    static const char *const known[] = {"type", "message"};
    const char *message = sentry_item_text(c, "message");
    if (c->item_head->kind == KNELL_ITEM_MESSAGE) {
        cJSON *entry = build_object(b, event, "logentry");
        build_text(b, entry, "formatted", message ? message : "message", EVENT_MAX_VALUE);
    } else {
        exception(b, event, c, o);
    }
    cJSON *extra = build_object(b, event, "extra");
    for (uint32_t i = 0; i < c->n_item_pairs; i++) {
        const struct journal_pair *p = &c->item_pairs[i];
        if (!strcmp(p->key, known[0]) || !strcmp(p->key, known[1]))
            continue;
        if (c->item_head->kind == KNELL_ITEM_OBITUARY &&
            p->value.type == KNELL_VALUE_TEXT)
            evidence(b, extra, p, o->send_default_pii);
        else
            scope_value(b, extra, p->key, &p->value);
    }
    item_tags(b, event, c);
    if (c->item_head->n_suppressed)
        build_number(b, extra, "knell.suppressed", c->item_head->n_suppressed);
    build_drop_empty(event, "extra");
}

/* A signal is fatal; what the program says about itself has the level it says, else its
 * scope's. */
static const char *level_of(const struct crash *c)
{
    if (c->has_signal || !c->item_head)
        return "fatal";
    const char *level = scope_level(c->item_head->level);
    for (uint32_t i = 0; !level && c->said && i < c->said->n_facts; i++) {
        const struct journal_fact *f = &c->said->facts[i];
        if (f->type == KNELL_ENTRY_LEVEL)
            level = scope_level((uint32_t)f->value.integer);
    }
    return level ? level : "error";
}

static void sdk(struct build *b, cJSON *event)
{
    cJSON *to = build_object(b, event, "sdk");
    build_text(b, to, "name", "knell", 16);
    build_text(b, to, "version", KNELL_VERSION, 32);
    cJSON *packages = build_array(b, to, "packages");
    cJSON *one = build_object(b, packages, NULL);
    build_text(b, one, "name", "github:knell/knell", 32);
    build_text(b, one, "version", KNELL_VERSION, 32);
    cJSON *integrations = build_array(b, to, "integrations");
    build_text(b, integrations, NULL, "signal", 16);
}

static void identity(
    struct build *b, cJSON *event, const struct crash *c, const struct event_options *o)
{
    const struct knell_journal_head *j = c->journal;
    char dist[65];
    if (!j)
        return;
    scope_release(b, event, "release", j->release);
    scope_environment(
        b, event, "environment", *j->environment ? j->environment : "production");
    (void)snprintf(dist, sizeof dist, "%.64s", j->dist);
    for (char *p = dist; *p; p++) {
        bool word = (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ||
                    (*p >= 'a' && *p <= 'z') || *p == '.' || *p == '_' || *p == '-';
        *p = word ? *p : '_';
    }
    build_text(b, event, "dist", dist, sizeof dist);
    if (o->send_default_pii)
        build_text(b, event, "server_name", j->server_name, 256);
}

static void event_id(
    struct build *b, cJSON *event, const struct crash *c, const struct event_options *o)
{
    char id[33];
    uint8_t raw[16] = {0};
    if (*o->event_id) {
        build_text(b, event, "event_id", o->event_id, 32);
        return;
    }
    if (c->journal) {
        memcpy(raw, c->journal->event_id, sizeof raw);
    } else { /* of the same bytes always the same */
        uint64_t h[2] = {0xcbf29ce484222325, 0x84222325cbf29ce4};
        for (size_t i = 0; i < c->n_bytes; i++)
            h[i % 2] = (h[i % 2] ^ c->bytes[i]) * 0x100000001b3;
        memcpy(raw, h, sizeof raw);
    }
    for (int i = 0; i < 16; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", raw[i]);
    build_text(b, event, "event_id", id, 32);
}

static void fingerprint(
    struct build *b, cJSON *event, const struct crash *c, const struct event_options *o)
{
    const char *parts[FINGERPRINT_MAX_PARTS];
    uint32_t n = o->fingerprint ? fingerprint_parts(c, parts) : 0;
    if (!n)
        return;
    cJSON *list = build_array(b, event, "fingerprint");
    for (uint32_t i = 0; i < n; i++)
        build_text(b, list, NULL, parts[i], EVENT_MAX_NAME);
}

/* argv with blanks between. */
static void command_line(struct build *b, cJSON *event, const struct crash *c)
{
    char line[4096];
    uint32_t n =
        c->cmd_line.n_bytes < sizeof line ? c->cmd_line.n_bytes : sizeof line - 1;
    if (!n)
        return;
    memcpy(line, c->cmd_line.text, n);
    while (n && !line[n - 1])
        n--;
    for (uint32_t i = 0; i < n; i++)
        line[i] = line[i] ? line[i] : ' ';
    cJSON *process =
        build_object(b, cJSON_GetObjectItemCaseSensitive(event, "contexts"), "process");
    build_text_n(b, process, "command_line", line, n, sizeof line);
}

static cJSON *at(cJSON *object, const char *key)
{
    return object ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

/* Before the scope that the program set is in the event. What an error or a message says
 * is the program's own as well: then frames, modules and contexts alone were gathered. */
static int scrub_gathered(const struct scrub *scrub, cJSON *event, const struct crash *c)
{
    static const char *const gathered[] = {"threads", "debug_meta", "contexts"};
    if (!scrub)
        return 0;
    cJSON *values = at(at(event, "exception"), "values");
    cJSON *first = values ? values->child : NULL, *value = at(first, "value");
    bool said = c->item_head && !c->has_signal;
    bool by_program = said && c->item_head->kind != KNELL_ITEM_OBITUARY;
    int err = by_program ? 0 : scrub_homes(event);
    for (size_t i = 0; !err && by_program && i < sizeof gathered / sizeof *gathered; i++)
        err = scrub_homes(at(event, gathered[i]));
    if (!err && by_program)
        err = scrub_homes(at(first, "stacktrace"));
    if (!err && said && !by_program)
        err = scrub_json(scrub, at(event, "extra"));
    if (!err && !by_program && cJSON_IsString(value)) {
        char *clean;
        err = scrub_text(scrub, value->valuestring, &clean);
        if (!err && !cJSON_SetValuestring(value, clean))
            err = -ENOMEM;
        if (!err)
            free(clean);
    }
    if (!err)
        err = scrub_json(scrub, cJSON_GetObjectItemCaseSensitive(event, "contexts"));
    return err;
}

int sentry_event(const struct crash *c, const struct event_options *options, cJSON **ret)
{
    static const struct event_options defaults;
    const struct event_options *o = options ? options : &defaults;
    struct build b = {0};
    cJSON *event = cJSON_CreateObject();
    if (!event)
        return -ENOMEM;
    event_id(&b, event, c, o);
    build_time(&b, event, "timestamp", event_time_ns(c, o));
    build_text(&b, event, "platform", "native", 16);
    build_text(&b, event, "level", level_of(c), 8);
    build_text(&b, event, "logger", "knell", 16);
    identity(&b, event, c, o);
    sdk(&b, event);
    if (c->item_head && !c->has_signal)
        item(&b, event, c, o);
    else
        exception(&b, event, c, o);
    event_threads(&b, event, c, o);
    event_modules(&b, event, c);
    event_contexts(&b, event, c, o);
    if (o->send_cmdline)
        command_line(&b, event, c);
    if (!b.failed && scrub_gathered(o->scrub, event, c) < 0)
        b.failed = true;
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(event, "event_id");
    scope_trace(&b, cJSON_GetObjectItemCaseSensitive(event, "contexts"), c->said,
        id ? id->valuestring : "");
    scope_to_event(&b, event, c->said);
    if (!b.failed && otel_resource_clean(event, o->send_default_pii, o->scrub) < 0)
        b.failed = true;
    if (!build_has(event, "fingerprint"))
        fingerprint(&b, event, c, o);
    if (b.failed) {
        cJSON_Delete(event);
        return -ENOMEM;
    }
    *ret = event;
    return 0;
}
