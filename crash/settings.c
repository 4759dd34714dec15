#include "crash/settings.h"

#include "crash/otel.h"

#include <errno.h>
#include <knell/minidump.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

void kn_copy_text(char *out, size_t n, const char *text)
{
    size_t len = text ? strnlen(text, n) : 0;
    if (len >= n) {
        len = n - 1;
        while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    if (len)
        memcpy(out, text, len);
    memset(out + len, 0, n - len);
}

/* Whether the kernel ran us under the name that argv[0] says: a link to a binary that is
 * several programs, as redis-server is to redis-check-rdb. Anybody may choose argv[0],
 * the file that execve(2) opened only who ran it. */
static bool is_called(const char *name)
{
    char comm[16] = "";
    return prctl(PR_GET_NAME, comm) == 0 && name[0] &&
           strncmp(comm, name, sizeof comm - 1) == 0;
}

/**
 * The program's file name, for the default of app.
 *
 * Context: normal.
 */
static void program_name(char *out, size_t n)
{
    char path[KN_PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (!getauxval(AT_SECURE) && is_called(program_invocation_short_name)) {
        kn_copy_text(out, n, program_invocation_short_name);
    } else if (len > 0) {
        path[len] = 0;
        const char *slash = strrchr(path, '/');
        kn_copy_text(out, n, slash ? slash + 1 : path);
    } else {
        kn_copy_text(out, n, program_invocation_short_name);
    }
    if (!out[0])
        kn_copy_text(out, n, "unknown");
}

/* A set-user-ID program does not let its caller choose where it writes. */
static const char *from_environment(const char *name)
{
    return getauxval(AT_SECURE) ? NULL : getenv(name);
}

static const char *first_of(const char *given, const char *const *names, size_t n_names)
{
    if (given)
        return given;
    for (size_t i = 0; i < n_names; i++) {
        const char *value = from_environment(names[i]);
        if (value && value[0])
            return value;
    }
    return NULL;
}
#define FIRST_OF(given, ...)                                                             \
    first_of(given, (const char *const[]){__VA_ARGS__},                                  \
        sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static bool switched(enum knell_switch given, const char *name, bool otherwise)
{
    if (given != KNELL_DEFAULT)
        return given == KNELL_ON;
    const char *value = name ? from_environment(name) : NULL;
    if (!value || !value[0])
        return otherwise;
    return strcmp(value, "0") != 0;
}

/* An app names a folder: no separators, no hidden or special names. */
static void clean_app(char *app)
{
    for (char *p = app; *p; p++) {
        if (*p == '/' || (unsigned char)*p < 0x20)
            *p = '_';
    }
    if (app[0] == '.')
        app[0] = '_';
}

static void choose_dsn(struct kn_settings *s, const char *given)
{
    /* An empty variable is a choice here (send nothing), unlike everywhere else. */
    const char *dsn = given;
    if (!dsn)
        dsn = from_environment("KNELL_DSN");
    if (!dsn)
        dsn = from_environment("SENTRY_DSN");
    s->has_dsn = dsn != NULL;
    kn_copy_text(s->dsn, sizeof s->dsn, dsn);
}

static void choose_release(struct kn_settings *s, const char *given)
{
    char name[64], version[128];
    const char *release = FIRST_OF(given, "SENTRY_RELEASE");
    if (!release && kn_otel_attribute(
                        s->otel_attributes, "service.version", version, sizeof version)) {
        bool whole = strchr(version, '@') != NULL;
        if (s->otel_service[0])
            kn_copy_text(name, sizeof name, s->otel_service);
        else if (!kn_otel_attribute(
                     s->otel_attributes, "service.name", name, sizeof name))
            kn_copy_text(name, sizeof name, s->app);
        (void)snprintf(s->release, sizeof s->release, "%s%s%s", whole ? "" : name,
            whole ? "" : "@", version);
        return;
    }
    kn_copy_text(s->release, sizeof s->release,
        FIRST_OF(release, "GIT_SHA", "HEROKU_SLUG_COMMIT", "SOURCE_VERSION",
            "VERCEL_GIT_COMMIT_SHA", "RENDER_GIT_COMMIT"));
}

static void choose_environment(struct kn_settings *s, const char *given)
{
    const char *list = s->otel_attributes;
    char *out = s->environment;
    given = FIRST_OF(given, "SENTRY_ENVIRONMENT");
    if (given)
        kn_copy_text(out, sizeof s->environment, given);
    else if (!kn_otel_attribute(
                 list, "deployment.environment.name", out, sizeof s->environment) &&
             !kn_otel_attribute(
                 list, "deployment.environment", out, sizeof s->environment))
        kn_copy_text(out, sizeof s->environment, "production");
}

int kn_settings_init(struct kn_settings *s, const struct knell_options *given)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    if (given) {
        if (given->size < offsetof(struct knell_options, release))
            return -EINVAL;
        size_t n = given->size < sizeof o ? given->size : sizeof o;
        memcpy(&o, given, n);
    }
    *s = (struct kn_settings){0};
    if (o.app && o.app[0])
        kn_copy_text(s->app, sizeof s->app, o.app);
    else
        program_name(s->app, sizeof s->app);
    clean_app(s->app);
    kn_copy_text(s->otel_attributes, sizeof s->otel_attributes,
        from_environment("OTEL_RESOURCE_ATTRIBUTES"));
    kn_copy_text(
        s->otel_service, sizeof s->otel_service, from_environment("OTEL_SERVICE_NAME"));
    choose_release(s, o.release);
    choose_environment(s, o.environment);
    kn_copy_text(s->dist, sizeof s->dist, FIRST_OF(o.dist, "SENTRY_DIST"));
    kn_copy_text(s->spool_dir, sizeof s->spool_dir, FIRST_OF(o.spool_dir, "KNELL_SPOOL"));
    kn_copy_text(s->uploader, sizeof s->uploader, FIRST_OF(o.uploader, "KNELL_UPLOADER"));
    choose_dsn(s, o.dsn);
    s->start_uploader = switched(o.start_uploader, "KNELL_START_UPLOADER", true);
    s->allow_setuid = switched(o.allow_setuid, NULL, false);
    s->debug = switched(o.debug, "KNELL_DEBUG", false);
    s->sanitize = switched(o.sanitize, "KNELL_SANITIZE", false);
    s->max_threads = o.max_threads ? o.max_threads : KN_MAX_THREADS_DEFAULT;
    if (s->max_threads > KNELL_MAX_THREADS) /* no reader takes a report of more */
        s->max_threads = KNELL_MAX_THREADS;
    s->deadline_ms = o.deadline_ms ? o.deadline_ms : KN_DEADLINE_MS_DEFAULT;
    kn_told_init(&s->told, &o, from_environment, s->dsn);
    return 0;
}
