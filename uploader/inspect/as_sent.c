#include "uploader/inspect/as_sent.h"

#include "uploader/deliver/frame.h"
#include "uploader/destinations.h"
#include "uploader/event/envelope.h"
#include "uploader/event_options.h"
#include "uploader/inspect/safe.h"
#include "uploader/worker/settings.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DESTINATIONS = 8 };

struct plan {
    struct config config; /* texts are the session's */
    struct destination destinations[MAX_DESTINATIONS];
    size_t n;
    struct ledger *ledger;
    struct worker_settings *settings;
};

static int make_plan(struct session *s, const struct spool *spool, struct plan *p)
{
    const struct config *config = session_config(s);
    if (!config)
        return -ENOMEM;
    p->config = *config;
    p->n = destinations_of(config, p->destinations, MAX_DESTINATIONS, NULL, NULL);
    char note[256], symbols[4096];
    p->config.debuginfod_dir =
        (char *)(uintptr_t)config_debuginfod_dir(config, spool->path, symbols);
    int err = worker_settings_new(&p->config, &p->settings, note, sizeof note);
    p->config.debuginfod_dir = NULL; /* it lies on this stack, and was copied */
    if (err)
        return err;
    if (*note)
        session_complain(s, "configuration: %s", note);
    return ledger_load(
        spool->fd, (uint64_t)(s->now_ms / 1000), UINT64_C(86400), &p->ledger);
}

static void plan_done(struct plan *p)
{
    for (size_t i = 0; i < p->n; i++)
        destination_done(&p->destinations[i]);
    ledger_free(p->ledger);
    worker_settings_free(p->settings);
}

static bool is_text(const uint8_t *p, size_t n)
{
    return n && (p[0] == '{' || p[0] == '[') && memchr(p, 0, n) == NULL;
}

/* For a person: laid out, and harmless. */
static void put_readable(struct session *s, const uint8_t *p, size_t n)
{
    cJSON *all = is_text(p, n) ? cJSON_ParseWithLength((const char *)p, n) : NULL;
    char *text = all ? cJSON_Print(all) : NULL;
    if (!text)
        (void)fprintf(
            s->out.f, s->options.json ? "{\"bytes\": %zu}\n" : "(%zu bytes)\n", n);
    for (const char *line = text; line && *line;) {
        size_t length = strcspn(line, "\n");
        /* cJSON indents with tabs. */
        size_t tabs = strspn(line, "\t");
        (void)fprintf(s->out.f, "%*s", (int)(2 * tabs), "");
        size_t from = tabs;
        for (size_t i = tabs; i <= length; i++)
            if (i == length || line[i] == '\t') {
                json_put(s->out.f, line + from, i - from);
                (void)fputc(i < length ? ' ' : '\n', s->out.f);
                from = i + 1;
            }
        line += length + (line[length] == '\n');
    }
    cJSON_free(text);
    cJSON_Delete(all);
}

static void put_items(struct session *s, const struct worker_result *w)
{
    struct envelope_view v;
    for (size_t at = 0; envelope_next(w->items, w->n_items, &at, &v) == 1;) {
        put_readable(s, v.header, v.n_header);
        put_readable(s, v.payload, v.n_payload);
    }
}

static int put_envelope(struct session *s, const struct plan *p, const struct report *r,
    const struct worker_result *w)
{
    char id[33];
    spool_event_id_format(r->name.event_id, id);
    const char *dsn = NULL;
    for (size_t i = 0; i < p->n && !dsn; i++)
        dsn = p->destinations[i].dsn;
    struct frame_head head = {
        .event_id = id, .dsn = dsn, .sent_at_ms = (uint64_t)s->now_ms};
    CLEANUP(free_p) uint8_t *bytes = NULL;
    size_t n;
    int err = frame_envelope(&head, w->items, w->n_items, 0, NULL, &bytes, &n);
    if (err)
        return err;
    if (!s->out.tty && !s->options.json) {
        (void)fwrite(bytes, 1, n, s->out.f);
        return 0;
    }
    const uint8_t *end = memchr(bytes, '\n', n);
    put_readable(s, bytes, end ? (size_t)(end - bytes) : 0);
    put_items(s, w);
    return 0;
}

static int put_result(struct session *s, const struct plan *p, const struct report *r,
    const struct worker_result *w)
{
    if (w->outcome != WORKER_READY) {
        CLEANUP(safe_done) struct safe why = {0};
        safe_put(&why, w->why);
        session_complain(s, "this report is not sent: %s", safe_text(&why));
        return -ECANCELED;
    }
    int err = w->n_items ? put_envelope(s, p, r, w) : 0;
    if (!err && w->n_otlp && (s->out.tty || s->options.json))
        put_readable(s, w->otlp, w->n_otlp);
    else if (!err && w->n_otlp)
        (void)fprintf(s->out.f, "%.*s\n", (int)w->n_otlp, (const char *)w->otlp);
    return err;
}

/* @hook  let the user's program see the event, as the uploader does */
static int make(struct session *s, const struct store *t, const struct report *r,
    const uint8_t *bytes, size_t n, bool hook, struct plan *p, struct worker_result *w)
{
    struct worker_options o;
    int err = make_plan(s, t->spools[r->spool].spool, p);
    if (err)
        return err;
    event_options_set(&p->config, &r->name, p->ledger, p->destinations, p->n, &o);
    worker_settings_apply(p->settings, &o);
    o.no_sentry &= p->n > 0 && hook;
    if (!hook)
        o.before_send = NULL;
    return worker_process(bytes, n, &o, w);
}

int as_sent_print(struct session *s, const struct store *t, struct report *r)
{
    struct plan p = {0};
    struct worker_result w = {0};
    CLEANUP(free_p) uint8_t *bytes = NULL;
    size_t n;
    int err = loader_read(t, r, &bytes, &n);
    if (!err)
        err = make(s, t, r, bytes, n, true, &p, &w);
    if (err)
        session_complain(s, "cannot make the event: %s", strerrordesc_np(-err));
    else
        err = put_result(s, &p, r, &w);
    worker_result_done(&w);
    plan_done(&p);
    return err;
}

int as_sent_event(struct session *s, const struct store *t, const struct report *r,
    const uint8_t *bytes, size_t n, uint8_t **ret, size_t *ret_n)
{
    struct plan p = {0};
    struct worker_result w = {0};
    struct envelope_view v;
    int err = make(s, t, r, bytes, n, false, &p, &w);
    if (!err)
        err = -ENODATA;
    for (size_t at = 0;
         err == -ENODATA && envelope_next(w.items, w.n_items, &at, &v) == 1;) {
        if (strcmp(v.type, "event") != 0)
            continue;
        uint8_t *copy = malloc(v.n_payload + 1);
        err = copy ? 0 : -ENOMEM;
        if (!copy)
            break;
        memcpy(copy, v.payload, v.n_payload);
        *ret = copy;
        *ret_n = v.n_payload;
    }
    worker_result_done(&w);
    plan_done(&p);
    return err;
}
