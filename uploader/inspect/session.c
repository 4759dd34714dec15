#include "uploader/inspect/session.h"

#include "uploader/inspect/safe.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

void session_init(struct session *s, const struct options *o, int64_t now_ms)
{
    *s = (struct session){.options = *o, .now_ms = now_ms};
    s->stdin_tty = isatty(STDIN_FILENO) == 1;
    s->stderr_tty = isatty(STDERR_FILENO) == 1;
    out_init(&s->out, o->colour, o->full || o->json != JSON_FORM_NONE);
    s->out.no_pager = o->no_pager;
}

int session_done(struct session *s)
{
    knell_symbolizer_free(s->symbolizer);
    worker_settings_free(s->settings);
    if (s->has_config)
        config_done(&s->config);
    int err = out_done(&s->out);
    *s = (struct session){0};
    if (!err)
        return EXIT_OK;
    (void)fprintf(stderr, "knell: could not write: %s\n", strerrordesc_np(-err));
    return EXIT_FAILED;
}

const struct config *session_config(struct session *s)
{
    struct config_sources sources = {.file = s->options.config, .environ_ = environ};
    if (!s->has_config && config_load(&sources, &s->config) == 0)
        s->has_config = true;
    return s->has_config ? &s->config.values : NULL;
}

const struct worker_settings *session_settings(struct session *s)
{
    char note[256]; /* `knell config check` tells of it */
    const struct config *config = session_config(s);
    if (!s->settings && config &&
        worker_settings_new(config, &s->settings, note, sizeof note))
        s->settings = NULL;
    return s->settings;
}

struct knell_symbolizer *session_symbolizer(struct session *s, const char *spool)
{
    if (s->symbolizer && !strcmp(s->symbols_of, spool))
        return s->symbolizer;
    knell_symbolizer_free(s->symbolizer);
    s->symbolizer = NULL;
    const struct options *o = &s->options;
    static const char *const usual[] = {"/usr/lib/debug", NULL};
    struct worker_options configured = {0};
    worker_settings_apply(session_settings(s), &configured);
    struct knell_symbolize_options options = {.size = sizeof options};
    if (configured.symbols)
        options = *configured.symbols;
    /* The configured folders, then the one of this command. */
    const char *dirs[WORKER_MAX_FOLDERS + 2];
    size_t n = 0;
    const char *const *from = options.debug_dirs ? options.debug_dirs : usual;
    for (; *from && n < WORKER_MAX_FOLDERS; from++)
        dirs[n++] = *from;
    if (o->debug_dir)
        dirs[n++] = o->debug_dir;
    dirs[n] = NULL;
    options.debug_dirs = dirs;
    /* The folder of an imported bundle stands back: it is where fetched files are, too.
     */
    if (o->store && (o->store != s->store || !options.store_dir))
        options.store_dir = o->store;
    char room[sizeof s->fetched_dir];
    if (session_config(s))
        (void)snprintf(s->fetched_dir, sizeof s->fetched_dir, "%s",
            config_debuginfod_dir(session_config(s), spool, room));
    options.fetched_dir = s->fetched_dir;
    options.sysroot = o->sysroot;
    options.context_lines = 0; /* source.c reads what is shown */
    options.deadline_ms = 0;   /* per report there, for all of them here */
    if (knell_symbolizer_new(&options, &s->symbolizer))
        s->symbolizer = NULL;
    (void)snprintf(s->symbols_of, sizeof s->symbols_of, "%s", spool);
    return s->symbolizer;
}

void session_complain(const struct session *s, const char *format, ...)
{
    (void)s;
    va_list args;
    va_start(args, format);
    safe_line(stderr, "knell: ", format, args);
    va_end(args);
}

void session_note(const struct session *s, const char *format, ...)
{
    if (s->options.quiet)
        return;
    va_list args;
    va_start(args, format);
    safe_line(stderr, "", format, args);
    va_end(args);
}

bool session_agreed(const struct session *s, const char *format, ...)
{
    if (s->options.yes || s->options.dry_run || !s->stderr_tty || !s->stdin_tty)
        return true;
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputs(" [y/N] ", stderr);
    int answer = getchar();
    return answer == 'y' || answer == 'Y';
}

bool session_is_watched(const struct session *s)
{
    return s->stderr_tty && !s->options.quiet;
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
