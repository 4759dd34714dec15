#include "uploader/config_keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#ifndef KNELL_LIBDIR_CONFIG
#define KNELL_LIBDIR_CONFIG "/usr/lib/knell"
#endif
#ifndef KNELL_SYSCONFDIR
#define KNELL_SYSCONFDIR "/etc/knell"
#endif

enum { MAX_INCLUDES = 32, MAX_LINE = 8192, MAX_FILE_BYTES = 1 << 20, MAX_NOTES = 100 };

struct config_origin {
    char *text; /* NULL: built-in */
};

/* One run of the loader. */
struct loader {
    struct config_set *set;
    const char *root;
    int n_includes;
    bool no_memory;
};

__attribute__((format(printf, 3, 4))) static void note(
    struct loader *l, bool error, const char *format, ...)
{
    struct config_set *c = l->set;
    if (c->n_notes == MAX_NOTES)
        return;
    struct config_note *p = reallocarray(c->notes, c->n_notes + 1, sizeof *p);
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = p ? vasprintf(&text, format, args) : -1;
    va_end(args);
    if (p)
        c->notes = p;
    if (!p || n < 0) {
        l->no_memory = true;
        return;
    }
    c->notes[c->n_notes++] = (struct config_note){.text = text, .error = error};
}

static void set(struct loader *l, const char *section, const char *key, const char *value,
    const char *origin)
{
    int i = config_find_key(section, key);
    if (i < 0) {
        note(l, false, "%s: unknown key %s in [%s]", origin, key, section);
        return;
    }
    int r = config_value_set(&l->set->values, &config_keys[i], value);
    if (r == -ENOMEM)
        l->no_memory = true;
    if (r == -EINVAL)
        note(l, true, "%s: %s.%s: not a value of this kind", origin, section, key);
    if (r < 0)
        return;
    char *text = strdup(origin);
    if (!text)
        l->no_memory = true;
    free(l->set->origins[i].text);
    l->set->origins[i].text = text;
}

static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n && strchr(" \t\r\n", s[n - 1]))
        s[--n] = 0;
    return s;
}

static void read_file(struct loader *l, const char *path, bool must);

static void include(struct loader *l, const char *from, const char *value)
{
    char path[PATH_MAX];
    const char *slash = strrchr(from, '/');
    int n;
    if (*value == '/' || !slash)
        n = snprintf(path, sizeof path, "%s", value);
    else
        n = snprintf(path, sizeof path, "%.*s/%s", (int)(slash - from), from, value);
    if (n < 0 || (size_t)n >= sizeof path || ++l->n_includes > MAX_INCLUDES) {
        note(l, true, "%s: include %s: too many or too long", from, value);
        return;
    }
    read_file(l, path, true);
}

static void read_line(
    struct loader *l, char *line, char section[64], const char *path, int number)
{
    char origin[PATH_MAX + 16];
    snprintf(origin, sizeof origin, "%s:%d", path, number);
    line = trim(line);
    if (!*line || *line == '#' || *line == ';')
        return;
    size_t n = strlen(line);
    if (*line == '[' && line[n - 1] == ']' && n - 2 < 64) {
        snprintf(section, 64, "%.*s", (int)(n - 2), line + 1);
        return;
    }
    char *equals = strchr(line, '=');
    if (!equals) {
        note(l, true, "%s: neither [section] nor key = value", origin);
        return;
    }
    *equals = 0;
    const char *key = trim(line), *value = trim(equals + 1);
    if (!strcmp(key, "include"))
        include(l, path, value);
    else
        set(l, section, key, value, origin);
}

static void close_file_p(FILE **f)
{
    if (*f)
        fclose(*f);
}

static void read_file(struct loader *l, const char *path, bool must)
{
    CLEANUP(close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        if (must || errno != ENOENT)
            note(l, true, "%s: %s", path, strerrordesc_np(errno));
        return;
    }
    CLEANUP(close_file_p) FILE *f = fdopen(fd, "r");
    if (!f) {
        l->no_memory = true;
        return;
    }
    (void)take_fd(&fd);
    char line[MAX_LINE], section[64] = "";
    size_t total = 0;
    for (int number = 1; fgets(line, sizeof line, f); number++) {
        size_t n = strlen(line);
        total += n;
        if (total > MAX_FILE_BYTES || n == sizeof line - 1) {
            note(l, true, "%s:%d: line or file too long", path, number);
            return;
        }
        read_line(l, line, section, path, number);
    }
    if (ferror(f))
        note(l, true, "%s: cannot be read", path);
}

static int conf_only(const struct dirent *e)
{
    const char *dot = strrchr(e->d_name, '.');
    return e->d_name[0] != '.' && dot && !strcmp(dot, ".conf");
}

static void read_folder(struct loader *l, const char *dir)
{
    struct dirent **names = NULL;
    int n = scandir(dir, &names, conf_only, alphasort);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        int len = snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        if (len > 0 && (size_t)len < sizeof path)
            read_file(l, path, true);
        free(names[i]);
    }
    free(names);
    if (n < 0 && errno != ENOENT)
        note(l, true, "%s: %s", dir, strerrordesc_np(errno));
}

static const char *variable(char *const *env, const char *name)
{
    size_t n = strlen(name);
    for (; env && *env; env++) {
        if (!strncmp(*env, name, n) && (*env)[n] == '=')
            return *env + n + 1;
    }
    return NULL;
}

static void read_files(struct loader *l, const struct config_sources *src)
{
    char path[PATH_MAX];
    const char *only = src->file ? src->file : variable(src->environ_, "KNELL_CONFIG");
    if (only && *only) {
        read_file(l, only, true);
        return;
    }
    snprintf(path, sizeof path, "%s" KNELL_LIBDIR_CONFIG "/knell.conf", l->root);
    read_file(l, path, false);
    snprintf(path, sizeof path, "%s" KNELL_SYSCONFDIR "/knell.conf", l->root);
    read_file(l, path, false);
    snprintf(path, sizeof path, "%s" KNELL_SYSCONFDIR "/knell.conf.d", l->root);
    read_folder(l, path);
}

/* A variable that others defined and the key it sets. */
struct standard {
    const char *variable, *section, *key;
    bool empty_counts; /* set but empty is a choice, not as good as unset */
    const char *unit;  /* what its plain number counts */
};

static void read_variables(
    struct loader *l, char *const *env, const struct standard *known, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *v = variable(env, known[i].variable);
        char text[MAX_LINE];
        if (!v || (!*v && !known[i].empty_counts))
            continue;
        int len = snprintf(text, sizeof text, "%s%s", v, known[i].unit);
        if (len > 0 && (size_t)len >= sizeof text)
            note(l, true, "%s: too long", known[i].variable);
        else
            set(l, known[i].section, known[i].key, text, known[i].variable);
    }
}

static bool names_collector(char *const *env)
{
    const char *base = variable(env, "OTEL_EXPORTER_OTLP_ENDPOINT");
    const char *logs = variable(env, "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT");
    return (base && *base) || (logs && *logs);
}

/* Whether its collector can be ours: we speak OTLP/HTTP, and its receivers for that take
 * JSON beside protobuf. */
static bool collector_is_wanted(struct loader *l, char *const *env)
{
    static const char *const names[] = {
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"};
    const char *exporter = variable(env, "OTEL_LOGS_EXPORTER"), *protocol = NULL;
    const char *silent = variable(env, "KNELL_DSN");
    silent = silent ? silent : variable(env, "SENTRY_DSN");
    for (size_t i = 0; i < 2 && !(protocol && *protocol); i++)
        protocol = variable(env, names[i]);
    if (!names_collector(env) || (exporter && *exporter && !strstr(exporter, "otlp")) ||
        (silent && !*silent))
        return false;
    if (!protocol || strcmp(protocol, "grpc") != 0)
        return true;
    note(l, false, "OTEL_EXPORTER_OTLP_PROTOCOL: grpc is not spoken: no collector");
    return false;
}

/* In rising order of precedence. What is said for the collector, a vendor's key above
 * all, is read with its address or not at all: it must not reach another one.
 * DEBUGINFOD_URLS is left alone on purpose: such a server hears which programs run here,
 * so it must be asked for. */
static void read_standard(struct loader *l, char *const *env)
{
    static const struct standard collector[] = {
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "upload", "otlp_endpoint", false, ""},
        {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "upload", "otlp_logs_url", false, ""},
        {"OTEL_EXPORTER_OTLP_HEADERS", "upload", "otlp_headers", false, ""},
        {"OTEL_EXPORTER_OTLP_LOGS_HEADERS", "upload", "otlp_headers", false, ""},
        {"OTEL_EXPORTER_OTLP_TIMEOUT", "upload", "otlp_timeout", false, "ms"},
        {"OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "upload", "otlp_timeout", false, "ms"},
        {"OTEL_EXPORTER_OTLP_COMPRESSION", "upload", "otlp_compression", false, ""},
        {"OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "upload", "otlp_compression", false, ""},
        {"OTEL_EXPORTER_OTLP_CERTIFICATE", "upload", "otlp_ca_file", false, ""},
        {"OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "upload", "otlp_ca_file", false, ""},
        {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "upload", "otlp_client_cert", false,
            ""},
        {"OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", "upload", "otlp_client_cert",
            false, ""},
        {"OTEL_EXPORTER_OTLP_CLIENT_KEY", "upload", "otlp_client_key", false, ""},
        {"OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", "upload", "otlp_client_key", false, ""},
    };
    static const struct standard known[] = {
        {"SSL_CERT_FILE", "upload", "ca_file", false, ""},
        {"SSL_CERT_DIR", "upload", "ca_path", false, ""},
        {"SENTRY_DSN", "upload", "dsn", true, ""},
        {"KNELL_DSN", "upload", "dsn", true, ""},
        {"KNELL_SPOOL", "spool", "path", false, ""},
    };
    if (collector_is_wanted(l, env))
        read_variables(l, env, collector, sizeof collector / sizeof *collector);
    read_variables(l, env, known, sizeof known / sizeof *known);
    static const char *const off[] = {"DO_NOT_TRACK", "OTEL_SDK_DISABLED"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        const char *v = variable(env, off[i]);
        if (v && (!strcmp(v, "1") || !strcasecmp(v, "true")))
            set(l, "upload", "consent", "no", off[i]);
    }
}

/* KNELL_UPLOAD_MAX_RATE sets upload.max_rate, and so on for every key. */
static void read_own(struct loader *l, char *const *env)
{
    for (size_t i = 0; i < config_n_key_table; i++) {
        char name[96];
        snprintf(
            name, sizeof name, "KNELL_%s_%s", config_keys[i].section, config_keys[i].key);
        for (char *p = name; *p; p++) {
            if (*p >= 'a' && *p <= 'z')
                *p = (char)(*p - 'a' + 'A');
        }
        const char *v = variable(env, name);
        if (v)
            set(l, config_keys[i].section, config_keys[i].key, v, name);
    }
}

static void read_overrides(struct loader *l, const char *const *overrides)
{
    for (; overrides && *overrides; overrides++) {
        char text[MAX_LINE];
        int n = snprintf(text, sizeof text, "%s", *overrides);
        char *dot = strchr(text, '.'), *equals = dot ? strchr(dot, '=') : NULL;
        if (!equals || n < 0 || (size_t)n >= sizeof text) {
            note(l, true, "command line: %.60s: not section.key=value", text);
            continue;
        }
        *dot = *equals = 0;
        set(l, text, dot + 1, equals + 1, "command line");
    }
}

static bool is_of_standard(const struct config_set *c, int i)
{
    const char *origin = c->origins[i].text;
    return origin && !strncmp(origin, "OTEL_", 5);
}

/* Nor must it when a source of ours names another collector. */
static void forget_for_others(struct config_set *c)
{
    static const char *const keys[] = {
        "otlp_headers", "otlp_ca_file", "otlp_client_cert", "otlp_client_key"};
    bool whole = c->values.otlp_logs_url && *c->values.otlp_logs_url;
    int to = config_find_key("upload", whole ? "otlp_logs_url" : "otlp_endpoint");
    for (size_t k = 0; !is_of_standard(c, to) && k < sizeof keys / sizeof *keys; k++) {
        int i = config_find_key("upload", keys[k]);
        if (!is_of_standard(c, i))
            continue;
        config_value_done(&c->values, &config_keys[i]);
        free(c->origins[i].text);
        c->origins[i].text = NULL;
    }
}

/* dsn_file, then the service manager's credential; neither is ever on a command line. */
static void read_dsn_file(struct loader *l, char *const *env)
{
    char path[PATH_MAX], text[4096];
    const char *credentials = variable(env, "CREDENTIALS_DIRECTORY");
    const char *file = l->set->values.dsn_file;
    if (l->set->values.dsn)
        return;
    if (!file || !*file) {
        if (!credentials)
            return;
        snprintf(path, sizeof path, "%s/knell.dsn", credentials);
        if (access(path, F_OK) < 0 && errno == ENOENT)
            return;
        file = path;
    }
    CLEANUP(close_p) int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0) {
        note(l, true, "%s: %s", file, strerrordesc_np(errno));
        return;
    }
    text[n] = 0;
    set(l, "upload", "dsn", trim(text), file);
}

int config_load(const struct config_sources *src, struct config_set *ret)
{
    struct config_set c = {.origins = calloc(config_n_key_table, sizeof *c.origins)};
    if (!c.origins)
        return -ENOMEM;
    struct loader l = {.set = &c, .root = src->root ? src->root : ""};
    for (size_t i = 0; i < config_n_key_table; i++) {
        const struct config_key *k = &config_keys[i];
        if (k->initial && config_value_set(&c.values, k, k->initial) < 0)
            l.no_memory = true;
    }
    read_files(&l, src);
    read_standard(&l, src->environ_);
    read_own(&l, src->environ_);
    read_overrides(&l, src->overrides);
    forget_for_others(&c);
    read_dsn_file(&l, src->environ_);
    if (l.no_memory) {
        config_done(&c);
        return -ENOMEM;
    }
    *ret = c;
    return 0;
}

void config_done(struct config_set *c)
{
    for (size_t i = 0; i < config_n_key_table; i++) {
        config_value_done(&c->values, &config_keys[i]);
        if (c->origins)
            free(c->origins[i].text);
    }
    for (size_t i = 0; i < c->n_notes; i++)
        free(c->notes[i].text);
    free(c->notes);
    free(c->origins);
    *c = (struct config_set){0};
}

size_t config_n_keys(void)
{
    return config_n_key_table;
}

void config_describe(const struct config_set *c, size_t i, struct config_line *ret)
{
    const struct config_key *k = &config_keys[i];
    *ret = (struct config_line){.section = k->section,
        .key = k->key,
        .doc = k->doc,
        .origin = c->origins[i].text ? c->origins[i].text : "built-in"};
    config_value_format(&c->values, k, ret->value, sizeof ret->value);
}
