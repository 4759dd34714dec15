#include "uploader/inspect/session.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

void session_init(struct session *s, const struct options *o, int64_t now_ms)
{
    *s = (struct session){.options = *o, .now_ms = now_ms};
    out_init(&s->out, o->colour, o->full || o->json != JSON_FORM_NONE);
}

int session_done(struct session *s)
{
    knell_symbolizer_free(s->symbolizer);
    int err = out_done(&s->out);
    *s = (struct session){0};
    if (!err)
        return EXIT_OK;
    (void)fprintf(stderr, "knell: could not write: %s\n", strerrordesc_np(-err));
    return EXIT_FAILED;
}

struct knell_symbolizer *session_symbolizer(struct session *s)
{
    if (s->symbolizer)
        return s->symbolizer;
    const struct options *o = &s->options;
    const char *dirs[] = {"/usr/lib/debug", o->debug_dir, NULL};
    struct knell_symbolize_options options = {
        .size = sizeof options,
        .debug_dirs = dirs,
        .store_dir = o->store,
        .sysroot = o->sysroot,
    };
    if (knell_symbolizer_new(&options, &s->symbolizer))
        s->symbolizer = NULL;
    return s->symbolizer;
}

void session_complain(const struct session *s, const char *format, ...)
{
    (void)s;
    va_list args;
    va_start(args, format);
    (void)fputs("knell: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputs("\n", stderr);
    va_end(args);
}

void session_note(const struct session *s, const char *format, ...)
{
    if (s->options.quiet)
        return;
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    (void)fputs("\n", stderr);
    va_end(args);
}

struct json session_json_line(const struct session *s)
{
    struct json j = {.f = s->out.f, .pretty = s->options.json == JSON_FORM_PRETTY};
    json_object(&j, NULL);
    return j;
}

struct json session_json(const struct session *s)
{
    struct json j = session_json_line(s);
    json_int(&j, "schema", JSON_SCHEMA);
    json_text(&j, "command", command_specs[s->options.command].name);
    return j;
}

int session_exit_code(int err)
{
    switch (err) {
    case 0:
        return EXIT_OK;
    case -ENOENT:
    case -ENOTDIR:
    case -EACCES:
    case -EPERM:
    case -EXDEV:
    case -ELOOP:
        return EXIT_UNREADABLE;
    case -ENODATA:
        return EXIT_NO_MATCH;
    case -EBUSY:
        return EXIT_BUSY;
    case -EBADMSG:
    case -EPROTONOSUPPORT:
        return EXIT_CORRUPT;
    case -EINVAL:
        return EXIT_USAGE;
    default:
        return EXIT_FAILED;
    }
}
