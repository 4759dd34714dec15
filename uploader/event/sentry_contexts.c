#include "uploader/event/sentry_inner.h"

#include "uploader/event/fingerprint.h"
#include "uploader/report/frames.h"
#include "uploader/report/notes.h"
#include "uploader/report/parse.h"
#include "uploader/report/unwind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void hex(const uint8_t *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", p[i]);
    out[2 * n] = 0;
}

/* debug_id of a build-id: its first 16 bytes as a GUID with swapped fields. @out 37. */
static void sentry_debug_id(const uint8_t *build_id, size_t n, char out[static 37])
{
    uint8_t id[16] = {0};
    memcpy(id, build_id, n < sizeof id ? n : sizeof id);
    (void)snprintf(out, 37,
        "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", id[3],
        id[2], id[1], id[0], id[5], id[4], id[7], id[6], id[8], id[9], id[10], id[11],
        id[12], id[13], id[14], id[15]);
}

static const char *event_arch(const struct crash *c)
{
    if (!c->arch)
        return NULL;
    return c->arch == KNELL_MINIDUMP_ARCH_ARM64 ? "arm64" : "x86_64";
}

void event_modules(struct build *b, cJSON *event, const struct crash *c)
{
    cJSON *meta = build_object(b, event, "debug_meta");
    cJSON *images = build_array(b, meta, "images");
    for (uint32_t i = 0; i < c->n_modules; i++) {
        const struct crash_module *m = &c->modules[i];
        char id[37], code_id[2 * KNELL_MAX_BUILD_ID_BYTES + 1];
        if (!m->n_build_id || !m->path || !*m->path)
            continue;
        sentry_debug_id(m->build_id, m->n_build_id, id);
        hex(m->build_id, m->n_build_id, code_id);
        cJSON *one = build_object(b, images, NULL);
        build_text(b, one, "type", "elf", 8);
        build_text(b, one, "code_file", m->path, EVENT_MAX_PATH);
        build_text(b, one, "code_id", code_id, sizeof code_id);
        build_text(b, one, "debug_id", id, sizeof id);
        build_address(b, one, "image_addr", m->base);
        build_number(b, one, "image_size", (double)m->size);
        build_text(b, one, "arch", event_arch(c), 16);
    }
    if (images && !images->child)
        cJSON_DeleteItemFromObjectCaseSensitive(event, "debug_meta");
}

static cJSON *context(struct build *b, cJSON *contexts, const char *type)
{
    cJSON *to = build_object(b, contexts, type);
    build_text(b, to, "type", type, 32);
    return to;
}

static void line_of(struct build *b, cJSON *to, const char *key,
    const struct crash_text *text, const char *name)
{
    char value[256];
    if (crash_text_value(text, name, '=', value, sizeof value))
        build_text(b, to, key, value, sizeof value);
}

static void os(struct build *b, cJSON *contexts, const struct crash *c)
{
    cJSON *to = context(b, contexts, "os");
    build_text(b, to, "name", "Linux", 8);
    if (c->journal)
        build_text(b, to, "version", c->journal->kernel, 128);
    build_text(b, to, "kernel_version", c->os_description, EVENT_MAX_NAME);
    line_of(b, to, "distribution_name", &c->os_release, "ID");
    line_of(b, to, "distribution_version", &c->os_release, "VERSION_ID");
    line_of(b, to, "distribution_pretty_name", &c->os_release, "PRETTY_NAME");
}

static void device(struct build *b, cJSON *contexts, const struct crash *c)
{
    cJSON *to = context(b, contexts, "device");
    build_text(b, to, "arch", event_arch(c), 16);
    if (c->n_cpus)
        build_number(b, to, "processor_count", c->n_cpus);
}

/* "glibc 2.36" in two. */
static void runtime(struct build *b, cJSON *contexts, const struct crash *c)
{
    const char *libc = c->journal ? c->journal->libc : "";
    const char *space = strchr(libc, ' ');
    if (!*libc)
        return;
    cJSON *to = context(b, contexts, "runtime");
    build_text_n(b, to, "name", libc, space ? (size_t)(space - libc) : strlen(libc), 64);
    if (space)
        build_text(b, to, "version", space + 1, 64);
}

static void app(struct build *b, cJSON *contexts, const struct crash *c)
{
    const struct knell_journal_head *j = c->journal;
    char value[64], id[2 * KNELL_MAX_BUILD_ID_BYTES + 1];
    cJSON *to = context(b, contexts, "app");
    if (j) {
        const char *at = strchr(j->release, '@');
        build_text(b, to, "app_name", j->app, 64);
        build_text(b, to, "app_version", at ? at + 1 : j->release, EVENT_MAX_RELEASE);
        build_time(b, to, "app_start_time", j->start_realtime_ns);
    }
    if (c->n_modules && c->modules[0].n_build_id) {
        hex(c->modules[0].build_id, c->modules[0].n_build_id, id);
        build_text(b, to, "app_build", id, sizeof id);
    }
    if (crash_text_value(&c->proc_status, "VmRSS", ':', value, sizeof value))
        build_number(b, to, "app_memory", strtod(value, NULL) * 1024); /* it is in kB */
}

static void damages(struct build *b, cJSON *to, const struct crash *c)
{
    if (!c->n_damages)
        return;
    cJSON *list = build_array(b, to, "damaged");
    for (uint32_t i = 0; i < c->n_damages && i < CRASH_MAX_DAMAGES; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "%s at %llu", c->damages[i].what,
            (unsigned long long)c->damages[i].offset);
        build_text(b, list, NULL, text, sizeof text);
    }
}

static void notes(struct build *b, cJSON *to, const struct crash *c)
{
    enum { MAX_SHOWN = 32 };
    if (!c->n_notes)
        return;
    cJSON *list = build_array(b, to, "capture_notes");
    for (uint32_t i = 0; i < c->n_notes && i < MAX_SHOWN; i++) {
        char text[96];
        notes_text(&c->notes[i], text, sizeof text);
        build_text(b, list, NULL, text, sizeof text);
    }
}

/* The lines KEY=VALUE that the handler wrote down: limits, open files, the fault. */
static void facts(struct build *b, cJSON *to, const struct crash *c)
{
    enum { MAX_FACTS = 64, MAX_KEY = 64 };
    const char *p = c->facts.text, *end = p ? p + c->facts.n_bytes : p;
    cJSON *all = build_object(b, to, "facts");
    for (int i = 0; p < end && i < MAX_FACTS; i++) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        if (!eol)
            eol = end;
        const char *equals = memchr(p, '=', (size_t)(eol - p));
        char key[MAX_KEY + 1];
        size_t n = equals ? (size_t)(equals - p) : 0;
        if (n && n <= MAX_KEY) {
            memcpy(key, p, n);
            key[n] = 0;
            bool plain =
                strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "0123456789_.-") == n;
            if (plain && all && !build_has(all, key))
                build_text_n(b, all, key, equals + 1, (size_t)(eol - equals - 1), 256);
        }
        p = eol + 1;
    }
    build_drop_empty(to, "facts");
}

/* How the crashed thread's frames were found, and what stood in the way. */
/* to[key][module] = word */
static void module_word(struct build *b, cJSON *to, const char *key,
    const struct crash_module *m, const char *word)
{
    cJSON *modules = cJSON_GetObjectItemCaseSensitive(to, key);
    if (!modules)
        modules = build_object(b, to, key);
    if (modules && !build_has(modules, path_base(m->path)))
        build_text(b, modules, path_base(m->path), word, 64);
}

/* Why the frames of a module have no names, or no lines. */
static void symbols(struct build *b, cJSON *to, const struct crash *c)
{
    for (uint32_t i = 0; i < c->n_modules; i++) {
        const struct crash_module *m = &c->modules[i];
        if (!m->asked || m->status == KNELL_SYMBOL_OK)
            continue;
        if (m->status != KNELL_SYMBOL_SYMTAB_ONLY)
            module_word(
                b, to, "modules_without_symbols", m, knell_symbol_status_name(m->status));
        if (m->debug_status != KNELL_SYMBOL_OK)
            module_word(b, to, "modules_without_debug_info", m,
                knell_symbol_status_name(m->debug_status));
        if (m->fetched)
            module_word(b, to, "debuginfod", m, wish_answer_name(m->fetched));
    }
}

static void knell(struct build *b, cJSON *contexts, const struct crash *c,
    const struct event_options *o)
{
    char signature[FINGERPRINT_SIGNATURE_BYTES];
    cJSON *to = context(b, contexts, "knell");
    fingerprint_signature(c, signature);
    build_text(b, to, "signature", signature, sizeof signature);
    build_time(b, to, "crashed_at", event_time_ns(c, o));
    build_number(b, to, "threads", c->n_threads);
    if (c->crashed_thread >= 0) {
        const struct crash_thread *t = &c->threads[c->crashed_thread];
        enum crash_trust least = CRASH_TRUST_CONTEXT;
        uint32_t n_skipped = 0;
        for (uint32_t i = 0; i < t->n_frames; i++) {
            least = t->frames[i].trust > least ? t->frames[i].trust : least;
            n_skipped += t->frames[i].n_skipped;
        }
        build_text(b, to, "unwinder", crash_trust_name(least), 16);
        if (n_skipped)
            build_number(b, to, "frames_left_out", n_skipped);
        if (t->truncated)
            build_bool(b, to, "stack_truncated", true);
    }
    symbols(b, to, c);
    cJSON *lines = o->attachment_notes && *o->attachment_notes
                       ? build_array(b, to, "attachments")
                       : NULL;
    for (size_t i = 0; lines && o->attachment_notes[i]; i++)
        build_text(b, lines, NULL, o->attachment_notes[i], 256);
    if (o->trimmed)
        build_bool(b, to, "trimmed", true);
    if (o->suppressed)
        build_number(b, to, "suppressed", (double)o->suppressed);
    build_time(b, to, "first_seen", o->first_seen_ms * 1000000);
    build_time(b, to, "last_seen", o->last_seen_ms * 1000000);
    facts(b, to, c);
    damages(b, to, c);
    notes(b, to, c);
}

void event_contexts(
    struct build *b, cJSON *event, const struct crash *c, const struct event_options *o)
{
    cJSON *contexts = build_object(b, event, "contexts");
    os(b, contexts, c);
    device(b, contexts, c);
    runtime(b, contexts, c);
    app(b, contexts, c);
    knell(b, contexts, c, o);
}
