#include "uploader/inspect/row.h"

#include "uploader/inspect/when.h"
#include "uploader/report/frames.h"
#include "uploader/report/signal_words.h"

#include <inttypes.h>
#include <string.h>

const char *row_signal(
    const struct report *r, const struct index_entry *e, char out[static ROW_TEXT_BYTES])
{
    const char *name = signal_words_name(r->name.signo);
    const char *code = signal_words_code(r->name.signo, e->code);
    const char *bare = code ? strchr(code, '_') : NULL;
    if (!r->name.signo || (e->kind != INDEX_KIND_CRASH && e->kind != INDEX_KIND_UNKNOWN))
        (void)snprintf(out, ROW_TEXT_BYTES, "%s",
            e->kind == INDEX_KIND_OBITUARY  ? "killed"
            : e->kind == INDEX_KIND_UNKNOWN ? "-"
                                            : index_kind_name(e->kind));
    else if (!name)
        (void)snprintf(out, ROW_TEXT_BYTES, "%u", r->name.signo);
    else if (e->code > 0 && bare)
        (void)snprintf(out, ROW_TEXT_BYTES, "%s/%s", name + 3, bare + 1);
    else
        (void)snprintf(out, ROW_TEXT_BYTES, "%s", name + 3);
    return out;
}

const char *row_state(
    const struct report *r, int64_t now_ms, char out[static ROW_TEXT_BYTES])
{
    const char *name = spool_state_name((enum spool_state)r->state);
    int64_t left_ms = (int64_t)r->name.not_before_s * 1000 - now_ms;
    char age[WHEN_BYTES];
    if (r->state == SPOOL_WAIT && left_ms > 0 && r->name.attempts)
        (void)snprintf(out, ROW_TEXT_BYTES, "%s %u (%s)", name, r->name.attempts,
            when_age(age, left_ms));
    else if (r->state == SPOOL_WAIT && left_ms > 0)
        (void)snprintf(out, ROW_TEXT_BYTES, "%s (%s)", name, when_age(age, left_ms));
    else if (r->name.attempts && r->state != SPOOL_SENT)
        (void)snprintf(out, ROW_TEXT_BYTES, "%s %u", name, r->name.attempts);
    else
        (void)snprintf(out, ROW_TEXT_BYTES, "%s", name);
    return out;
}

enum style row_state_style(uint32_t state)
{
    static const enum style styles[SPOOL_N_STATES] = {[SPOOL_NEW] = STYLE_CYAN,
        [SPOOL_WORK] = STYLE_CYAN,
        [SPOOL_WAIT] = STYLE_YELLOW,
        [SPOOL_HOLD] = STYLE_BLUE,
        [SPOOL_SENT] = STYLE_GREEN,
        [SPOOL_BAD] = STYLE_RED};
    return state < SPOOL_N_STATES ? styles[state] : STYLE_PLAIN;
}

void row_place(const struct index_entry *e, struct safe *out)
{
    safe_clear(out);
    if (e->function) {
        safe_put(out, e->function);
        if (e->file)
            safe_put(out, " ");
    } else if (!e->file && e->module) {
        safe_put(out, "?? in ");
        safe_put(out, e->module);
    }
    if (e->file) {
        safe_put(out, path_base(e->file));
        if (e->line)
            safe_format(out, ":%" PRIu32, e->line);
    }
    if (!out->n && e->cause)
        safe_put(out, e->cause);
}

const char *row_release(const struct index_entry *e, char out[static ROW_RELEASE_BYTES])
{
    enum { MIN_HASH = 32, SHORT_HASH = 12 };
    const char *release = e->release;
    size_t n = e->app ? strlen(e->app) : 0;
    if (release && n && strncmp(release, e->app, n) == 0 && release[n] == '@')
        release += n + 1;
    if (!release)
        return NULL;
    size_t n_hex = strspn(release, "0123456789abcdef");
    bool hash = n_hex >= MIN_HASH && !release[n_hex];
    (void)snprintf(out, ROW_RELEASE_BYTES, "%.*s",
        hash ? SHORT_HASH : ROW_RELEASE_BYTES - 1, release);
    return out;
}

static void tags_json(struct json *j, const struct index_entry *e)
{
    json_object(j, "tags");
    for (size_t i = 0; i < e->n_tags; i++) {
        const char *sign = strchr(e->tags[i], '=');
        CLEANUP(safe_done) struct safe key = {0};
        safe_raw(
            &key, e->tags[i], sign ? (size_t)(sign - e->tags[i]) : strlen(e->tags[i]));
        json_text(j, safe_text(&key), sign ? sign + 1 : "");
    }
    json_end_object(j);
}

static void optional_uint(struct json *j, const char *key, uint64_t v)
{
    if (v)
        json_uint(j, key, v);
    else
        json_null(j, key);
}

static void signal_json(
    struct json *j, const struct report *r, const struct index_entry *e)
{
    json_text(j, "signal", r->name.signo ? signal_words_name(r->name.signo) : NULL);
    optional_uint(j, "signal_number", r->name.signo);
    if (r->name.signo) {
        json_int(j, "code", e->code);
        json_text(j, "code_name", signal_words_code(r->name.signo, e->code));
        json_address(j, "address", e->address);
    } else {
        json_null(j, "code");
        json_null(j, "code_name");
        json_null(j, "address");
    }
}

void row_json(struct json *j, const struct store *t, const struct report *r,
    const struct index_entry *e)
{
    char id[33], time[WHEN_BYTES], sig[16];
    spool_event_id_format(r->name.event_id, id);
    (void)snprintf(sig, sizeof sig, "%012" PRIx64, r->name.signature);
    json_text(j, "event_id", id);
    json_text(j, "state", spool_state_name((enum spool_state)r->state));
    json_text(j, "time", when_iso(time, (int64_t)r->name.time_ms));
    json_text(j, "kind", e->kind ? index_kind_name(e->kind) : NULL);
    signal_json(j, r, e);
    json_text(j, "cause", e->cause);
    json_text(j, "app", e->app);
    json_text(j, "release", e->release);
    json_text(j, "environment", e->environment);
    json_text(j, "dist", e->dist);
    json_text(j, "server_name", e->server);
    optional_uint(j, "pid", e->pid);
    optional_uint(j, "tid", e->tid);
    json_text(j, "thread", e->thread);
    json_text(j, "executable", e->executable);
    json_text(j, "function", e->function);
    json_text(j, "file", e->file);
    optional_uint(j, "line", e->line);
    json_text(j, "module", e->module);
    optional_uint(j, "uptime_ms", e->uptime_ms);
    optional_uint(j, "threads", e->n_threads);
    optional_uint(j, "bytes", e->report_bytes);
    json_text(j, "signature", sig);
    json_uint(j, "attempts", r->name.attempts);
    /* In hold/ it only says why a report is there. */
    json_text(j, "not_before",
        r->state == SPOOL_WAIT && r->name.not_before_s
            ? when_iso(time, (int64_t)r->name.not_before_s * 1000)
            : NULL);
    tags_json(j, e);
    json_text(j, "spool", t->spools[r->spool].spool->path);
}
