#include "uploader/inspect/past.h"

#include "uploader/inspect/when.h"

#include "uploader/spool/history.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static void take_text(const cJSON *all, const char *key, char *out, size_t n)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(all, key);
    (void)snprintf(out, n, "%s", cJSON_IsString(v) ? v->valuestring : "");
}

static bool parse(const char *text, size_t n, struct past_line *ret)
{
    cJSON *all = cJSON_ParseWithLength(text, n);
    if (!cJSON_IsObject(all)) {
        cJSON_Delete(all);
        return false;
    }
    *ret = (struct past_line){0};
    uint8_t id[SPOOL_EVENT_ID_BYTES];
    take_text(all, "event_id", ret->event_id, sizeof ret->event_id);
    if (strlen(ret->event_id) != 32 || spool_event_id_parse(ret->event_id, id))
        ret->event_id[0] = 0;
    take_text(all, "what", ret->what, sizeof ret->what);
    take_text(all, "to", ret->to, sizeof ret->to);
    take_text(all, "why", ret->why, sizeof ret->why);
    const cJSON *time = cJSON_GetObjectItemCaseSensitive(all, "time_ms");
    if (cJSON_IsNumber(time) && time->valuedouble >= 0 && time->valuedouble < 1e15)
        ret->time_ms = (uint64_t)time->valuedouble;
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(all, "status");
    if (cJSON_IsNumber(status))
        ret->status = status->valueint;
    cJSON_Delete(all);
    return true;
}

static int each_in(const struct spool *s, const char *file,
    int (*visit)(void *ctx, const struct past_line *line), void *ctx)
{
    CLEANUP(close_p)
    int fd = openat(s->fd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return -EPERM;
    CLEANUP(free_p) uint8_t *bytes = NULL;
    size_t n;
    int err = spool_read_all(fd, 4 * HISTORY_MAX_BYTES, &bytes, &n);
    const char *p = (const char *)bytes, *end = p + (err ? 0 : n);
    while (!err && p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop)
            break; /* being written */
        struct past_line line;
        if (parse(p, (size_t)(stop - p), &line))
            err = visit(ctx, &line);
        p = stop + 1;
    }
    return err;
}

int past_each(const struct spool *s,
    int (*visit)(void *ctx, const struct past_line *line), void *ctx)
{
    int err = each_in(s, "log.1", visit, ctx);
    return err ? err : each_in(s, "log", visit, ctx);
}

static enum style style_of(const char *what)
{
    if (strcmp(what, "sent") == 0)
        return STYLE_GREEN;
    if (strcmp(what, "quarantined") == 0 || strcmp(what, "rejected") == 0)
        return STYLE_RED;
    return strcmp(what, "deferred") == 0 ? STYLE_YELLOW : STYLE_PLAIN;
}

void past_print(const struct out *o, const struct past_line *line, bool utc, bool with_id)
{
    char time[WHEN_BYTES];
    (void)fprintf(o->f, "%s  ", when_format(time, (int64_t)line->time_ms, utc, false));
    if (with_id)
        (void)fprintf(
            o->f, "%s%-8.8s%s  ", out_style(o, STYLE_BOLD), line->event_id, out_plain(o));
    out_text(o, style_of(line->what), line->what);
    if (line->to[0]) {
        (void)fputs(" to ", o->f);
        out_text(o, STYLE_PLAIN, line->to);
    }
    if (line->status)
        (void)fprintf(o->f, ", HTTP %d", line->status);
    if (line->why[0]) {
        (void)fputs(": ", o->f);
        out_text(o, STYLE_PLAIN, line->why);
    }
    (void)fputc('\n', o->f);
}

void past_json(struct json *j, const struct past_line *line, bool with_id)
{
    char time[WHEN_BYTES];
    json_text(j, "time", when_iso(time, (int64_t)line->time_ms));
    if (with_id)
        json_text(j, "event_id", line->event_id[0] ? line->event_id : NULL);
    json_text(j, "what", line->what);
    json_text(j, "to", line->to[0] ? line->to : NULL);
    if (line->status)
        json_int(j, "status", line->status);
    else
        json_null(j, "status");
    json_text(j, "why", line->why[0] ? line->why : NULL);
}
