/* From an event to what is sent: the user's program, and OTLP. */
#include "uploader/event/envelope.h"
#include "uploader/event/otlp.h"
#include "uploader/event/validate.h"
#include "uploader/worker/drop.h"
#include "uploader/worker/hook.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void worker_drop(
    struct worker_result *ret, const char *category, const char *what, const char *why)
{
    ret->outcome = WORKER_DROPPED;
    (void)snprintf(ret->category, sizeof ret->category, "%s", category);
    (void)snprintf(ret->why, sizeof ret->why, "%s: %.200s", what, why);
    free(ret->items);
    free(ret->otlp);
    ret->items = ret->otlp = NULL;
    ret->n_items = ret->n_otlp = 0;
}

/* The items again, with another text for the event that comes first. */
static int replace_event(struct worker_result *r, const char *text, size_t behind)
{
    struct envelope e = {0};
    struct envelope_item item = {.type = "event", .content_type = "application/json"};
    int err = envelope_add(&e, &item, text, strlen(text));
    if (err)
        return err;
    size_t rest = r->n_items - behind;
    uint8_t *bytes = malloc(e.n + rest + 1);
    if (!bytes) {
        envelope_done(&e);
        return -ENOMEM;
    }
    memcpy(bytes, e.bytes, e.n);
    memcpy(bytes + e.n, r->items + behind, rest);
    free(r->items);
    r->items = bytes;
    r->n_items = e.n + rest;
    envelope_done(&e);
    return 0;
}

/* The program's answer is as little trusted as the report was; who it is may not change.
 */
static int take_answer(
    struct worker_result *r, const char *answer, size_t behind, cJSON **event)
{
    char why[200] = "no JSON";
    cJSON *now = cJSON_ParseWithOpts(answer, NULL, true);
    const cJSON *id = now ? cJSON_GetObjectItemCaseSensitive(now, "event_id") : NULL;
    bool same = cJSON_IsString(id) && !strcmp(id->valuestring, r->summary.event_id);
    if (now && !same)
        (void)snprintf(why, sizeof why, "another event_id");
    if (!now || !same || validate_event(now, why, sizeof why) < 0) {
        cJSON_Delete(now);
        worker_drop(r, "before_send", "before_send answered with no event", why);
        return 0;
    }
    cJSON_Delete(*event);
    *event = now;
    char *text = cJSON_PrintUnformatted(now);
    int err = text ? replace_event(r, text, behind) : -ENOMEM;
    cJSON_free(text);
    return err;
}

/* NULL: not the program's fault */
static const char *hook_fault(int err)
{
    switch (err) {
    case -EPROTO:
        return "it did not end with status 0";
    case -E2BIG:
        return "its answer is too long";
    case -ETIMEDOUT:
        return "it took too long";
    default:
        return NULL;
    }
}

static int ask_hook(const struct worker_options *o, struct worker_result *r,
    const struct envelope_view *v, size_t behind, cJSON **event)
{
    char *answer = NULL;
    size_t n = 0;
    int err = hook_run(o->before_send, (const char *)v->payload, v->n_payload,
        o->hook_timeout_ms, worker_max_event_bytes(o), &answer, &n);
    if (err && !hook_fault(err)) /* this machine's: it is asked again later */
        return err;
    if (err)
        worker_drop(r, "before_send", "before_send failed", hook_fault(err));
    else if (!answer || strspn(answer, " \t\r\n") == n)
        worker_drop(r, "before_send", "before_send", "answered with nothing");
    else
        err = take_answer(r, answer, behind, event);
    free(answer);
    return err == -ENOMEM ? err : 0;
}

static int make_otlp(const cJSON *event, struct worker_result *r)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct otlp_process p = {.time_ns = r->summary.time_ms * 1000000,
        .observed_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
        .pid = r->summary.pid};
    cJSON *logs;
    int err = otlp_logs(event, &p, &logs);
    if (err)
        return err;
    char *text = cJSON_PrintUnformatted(logs);
    cJSON_Delete(logs);
    r->otlp = (uint8_t *)(text ? strdup(text) : NULL);
    r->n_otlp = r->otlp ? strlen(text) : 0;
    cJSON_free(text);
    return r->otlp ? 0 : -ENOMEM;
}

int worker_complete(const struct worker_options *options, struct worker_result *r)
{
    static const struct worker_options defaults;
    const struct worker_options *o = options ? options : &defaults;
    struct envelope_view v;
    size_t behind = 0;
    if (r->outcome != WORKER_READY ||
        envelope_next(r->items, r->n_items, &behind, &v) != 1 ||
        strcmp(v.type, "event") != 0)
        return 0;
    int err = 0;
    cJSON *event = o->before_send || o->otlp
                       ? cJSON_ParseWithLength((const char *)v.payload, v.n_payload)
                       : NULL;
    if (!event && (o->before_send || o->otlp))
        return -ENOMEM; /* it is our own text */
    if (o->before_send)
        err = ask_hook(o, r, &v, behind, &event);
    if (!err && o->otlp && r->outcome == WORKER_READY)
        err = make_otlp(event, r);
    cJSON_Delete(event);
    if (o->no_sentry) {
        free(r->items);
        r->items = NULL;
        r->n_items = 0;
    }
    return err;
}
