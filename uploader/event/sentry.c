#include "uploader/event/sentry.h"

#include "uploader/event/fingerprint.h"
#include "uploader/event/sentry_inner.h"
#include "uploader/inspect/signal_words.h"
#include "uploader/report/frames.h"
#include "uploader/report/signals.h"

#include <errno.h>
#include <knell/knell.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

uint64_t event_time_ns(const struct crash *c, const struct event_options *o)
{
    if (c->has_signal && c->signal.time_ns)
        return c->signal.time_ns;
    return o->time_ms ? o->time_ms * 1000000 : c->time_s * 1000000000ull;
}

static const char *type_of(const struct crash *c, char *buf, size_t n)
{
    const char *name = c->has_signal ? signal_words_name(c->signal.signo) : "Report";
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

static void mechanism(struct build *b, cJSON *to, const struct crash *c)
{
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

/* Receivers refuse an event for a release or environment of another shape. */
static void shaped(struct build *b, cJSON *event, const char *key, const char *text,
    size_t max, const char *forbidden)
{
    char out[256];
    (void)text_copy(out, max + 1 < sizeof out ? max + 1 : sizeof out, text, strlen(text));
    for (char *p = out; *p; p++) {
        if (strchr(forbidden, *p) || (unsigned char)*p < 0x20)
            *p = '_';
    }
    if (strcmp(out, ".") != 0 && strcmp(out, "..") != 0 && strcmp(out, "latest") != 0 &&
        strcmp(out, "none") != 0)
        build_text(b, event, key, out, sizeof out);
}

static void identity(
    struct build *b, cJSON *event, const struct crash *c, const struct event_options *o)
{
    const struct knell_journal_head *j = c->journal;
    char dist[65];
    if (!j)
        return;
    shaped(b, event, "release", j->release, EVENT_MAX_RELEASE, "/\\");
    shaped(b, event, "environment", *j->environment ? j->environment : "production",
        EVENT_MAX_ENVIRONMENT, "/");
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
    build_text(&b, event, "level", "fatal", 8);
    build_text(&b, event, "logger", "knell", 16);
    identity(&b, event, c, o);
    sdk(&b, event);
    exception(&b, event, c, o);
    event_threads(&b, event, c, o);
    event_modules(&b, event, c);
    event_contexts(&b, event, c, o);
    fingerprint(&b, event, c, o);
    if (b.failed) {
        cJSON_Delete(event);
        return -ENOMEM;
    }
    *ret = event;
    return 0;
}
