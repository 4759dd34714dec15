#include "uploader/event/session.h"

#include "uploader/event/build.h"
#include "uploader/event/scope.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *status_name(enum knell_session_status status)
{
    switch (status) {
    case KNELL_SESSION_OK:
        return "ok";
    case KNELL_SESSION_EXITED:
        return "exited";
    case KNELL_SESSION_CRASHED:
        return "crashed";
    case KNELL_SESSION_ABNORMAL:
        return "abnormal";
    case KNELL_SESSION_NONE:
        break;
    }
    return NULL;
}

static void session_id(struct build *b, cJSON *to, const uint8_t id[16])
{
    char hex[33], text[64];
    scope_hex(id, 16, hex);
    (void)snprintf(text, sizeof text, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
        hex + 16, hex + 20);
    build_text(b, to, "sid", text, sizeof text);
}

int session_update(
    const struct knell_journal_session *s, const struct session_of *of, cJSON **ret)
{
    enum knell_session_status status =
        of->status ? of->status : (enum knell_session_status)s->status;
    const char *name = status_name(status);
    uint64_t end = s->ended_ns ? s->ended_ns : of->time_ns;
    struct build b = {0};
    char user[sizeof s->user];
    *ret = NULL;
    if (!s->version || !name || !of->release || !*of->release)
        return 0;
    cJSON *to = cJSON_CreateObject();
    if (!to)
        return -ENOMEM;
    session_id(&b, to, s->id);
    (void)text_copy(user, sizeof user, s->user, strnlen(s->user, sizeof s->user));
    build_text(&b, to, "did", user, sizeof user);
    build_bool(&b, to, "init", !s->init_written);
    build_time(&b, to, "started", s->started_ns);
    build_time(&b, to, "timestamp", end);
    build_text(&b, to, "status", name, 16);
    build_number(&b, to, "errors", (double)s->errors + of->more_errors);
    build_number(&b, to, "seq", (double)s->sequence + (of->status ? 1 : 0));
    if (end > s->started_ns && s->started_ns)
        build_number(
            &b, to, "duration", (double)((end - s->started_ns) / 1000000) / 1000);
    cJSON *attrs = build_object(&b, to, "attrs");
    scope_release(&b, attrs, "release", of->release);
    scope_environment(&b, attrs, "environment",
        of->environment && *of->environment ? of->environment : "production");
    if (b.failed || !build_has(attrs, "release")) {
        cJSON_Delete(to);
        return b.failed ? -ENOMEM : 0;
    }
    *ret = to;
    return 0;
}
