#include "uploader/deliver/dsn.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MAX_DSN_BYTES = 2048 };

/* A piece of the text, not NUL-terminated. */
struct span {
    const char *at;
    size_t n;
};

struct url {
    struct span scheme, key, secret, host, port,
        path; /* path begins with '/' or is empty */
};

static int fail(const char **why, const char *what)
{
    *why = what;
    return -EINVAL;
}

static bool plain(const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p <= 0x20 || *p >= 0x7f || *p == '"' || *p == '\\')
            return false;
    }
    return strlen(text) <= MAX_DSN_BYTES;
}

static struct span until(struct span s, const char *stop)
{
    size_t n = 0;
    while (n < s.n && !strchr(stop, s.at[n]))
        n++;
    return (struct span){s.at, n};
}

static struct span after(struct span s, size_t n)
{
    return (struct span){s.at + n, s.n - n};
}

static int split(const char *text, struct url *ret, const char **why)
{
    struct url u = {0};
    const char *mark = strstr(text, "://");
    if (!mark)
        return fail(why, "no scheme://");
    u.scheme = (struct span){text, (size_t)(mark - text)};
    struct span rest = {mark + 3, strlen(mark + 3)};
    struct span authority = until(rest, "/?#");
    u.path = after(rest, authority.n);
    if (memchr(u.path.at, '?', u.path.n) || memchr(u.path.at, '#', u.path.n))
        return fail(why, "a query or fragment");
    const char *sign = memrchr(authority.at, '@', authority.n);
    if (sign) {
        struct span user = {authority.at, (size_t)(sign - authority.at)};
        u.key = until(user, ":");
        if (u.key.n < user.n)
            u.secret = after(user, u.key.n + 1);
        authority = after(authority, user.n + 1);
    }
    if (authority.n && *authority.at == '[') {
        u.host = until(authority, "]");
        if (u.host.n == authority.n)
            return fail(why, "'[' without ']'");
        u.host.n++;
    } else {
        u.host = until(authority, ":");
    }
    struct span port = after(authority, u.host.n);
    if (port.n) {
        u.port = after(port, 1);
        for (size_t i = 0; i < u.port.n; i++) {
            if (!isdigit((unsigned char)u.port.at[i]))
                return fail(why, "a port that is no number");
        }
        if (*port.at != ':' || !u.port.n || u.port.n > 5)
            return fail(why, "a port that is no number");
    }
    *ret = u;
    return 0;
}

static bool is_scheme(struct span s, const char *name)
{
    return s.n == strlen(name) && !strncasecmp(s.at, name, s.n);
}

static bool is_loopback(struct span host)
{
    static const char *const names[] = {"localhost", "[::1]", "127.0.0.1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (host.n == strlen(names[i]) && !strncasecmp(host.at, names[i], host.n))
            return true;
    }
    /* 127.0.0.0/8, but not a name that begins like it. */
    if (host.n < 7 || strncmp(host.at, "127.", 4) != 0)
        return false;
    for (size_t i = 0; i < host.n; i++) {
        if (!isdigit((unsigned char)host.at[i]) && host.at[i] != '.')
            return false;
    }
    return true;
}

/* FNV-1a */
static uint64_t hash(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    return h;
}

static int set_host(struct destination *d, const struct url *u)
{
    if (asprintf(&d->host, "%.*s:%.*s", (int)u->host.n, u->host.at,
            u->port.n ? (int)u->port.n : (d->tls ? 3 : 2),
            u->port.n ? u->port.at : (d->tls ? "443" : "80")) < 0) {
        d->host = NULL;
        return -ENOMEM;
    }
    for (char *p = d->host; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    d->local = is_loopback(u->host);
    return 0;
}

/* asprintf() leaves its result undefined on failure; this leaves NULL. */
__attribute__((format(printf, 2, 3))) static int print(
    char **ret, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vasprintf(ret, format, args);
    va_end(args);
    if (n < 0)
        *ret = NULL;
    return n < 0 ? -ENOMEM : 0;
}

static int sentry(struct destination *d, const struct url *u, const char **why)
{
    if (!u->key.n)
        return fail(why, "no public key before '@'");
    struct span path = u->path;
    while (path.n && path.at[path.n - 1] == '/')
        path.n--;
    const char *slash = path.n ? memrchr(path.at, '/', path.n) : NULL;
    if (!slash || path.at + path.n == slash + 1)
        return fail(why, "no project after the last '/'");
    struct span prefix = {path.at, (size_t)(slash - path.at)};
    struct span project = {slash + 1, path.n - prefix.n - 1};
    const char *scheme = d->tls ? "https" : "http";
    struct span tail = {u->host.at, u->host.n + (u->port.n ? u->port.n + 1 : 0)};
    int r = print(&d->url, "%s://%.*s%.*s/api/%.*s/envelope/", scheme, (int)tail.n,
        tail.at, (int)prefix.n, prefix.at, (int)project.n, project.at);
    if (!r)
        r = print(&d->dsn, "%s://%.*s@%.*s%.*s/%.*s", scheme, (int)u->key.n, u->key.at,
            (int)tail.n, tail.at, (int)prefix.n, prefix.at, (int)project.n, project.at);
    if (!r)
        r = print(&d->label, "%s://%.*s%.*s/%.*s", scheme, (int)tail.n, tail.at,
            (int)prefix.n, prefix.at, (int)project.n, project.at);
    if (!r)
        r = print(&d->public_key, "%.*s", (int)u->key.n, u->key.at);
    if (!r && u->secret.n)
        r = print(&d->secret, "%.*s", (int)u->secret.n, u->secret.at);
    return r;
}

static int directory(struct destination *d, const struct url *u, const char **why)
{
    if (u->host.n && !is_scheme(u->host, "localhost"))
        return fail(why, "file:// with a host; a folder needs three slashes");
    if (u->path.n < 2)
        return fail(why, "file:// without a folder");
    int r = print(&d->dir, "%.*s", (int)u->path.n, u->path.at);
    char *out = d->dir;
    for (const char *in = d->dir; !r && *in; in++) {
        unsigned v = 0;
        if (*in == '%' && isxdigit((unsigned char)in[1]) &&
            isxdigit((unsigned char)in[2]) && sscanf(in + 1, "%2x", &v) == 1 && v) {
            *out++ = (char)v;
            in += 2;
        } else {
            *out++ = *in;
        }
    }
    if (!r)
        *out = 0;
    if (!r)
        r = print(&d->host, "file");
    if (!r)
        r = print(&d->label, "file://%s", d->dir);
    d->local = true;
    return r;
}

static int otlp(struct destination *d, const struct url *u, bool as_is)
{
    struct span path = u->path;
    while (!as_is && path.n && path.at[path.n - 1] == '/')
        path.n--;
    bool whole = as_is || (path.n >= 8 && !strncmp(path.at + path.n - 8, "/v1/logs", 8));
    struct span tail = {u->host.at, u->host.n + (u->port.n ? u->port.n + 1 : 0)};
    int r = print(&d->url, "%s://%.*s%.*s%s", d->tls ? "https" : "http", (int)tail.n,
        tail.at, (int)path.n, path.at, whole ? "" : "/v1/logs");
    if (!r && !whole)
        r = print(&d->traces_url, "%s://%.*s%.*s/v1/traces", d->tls ? "https" : "http",
            (int)tail.n, tail.at, (int)path.n, path.at);
    if (!r)
        r = print(&d->label, "otlp+%s", d->url);
    return r;
}

int destination_parse(const char *text, struct destination *ret, const char **why)
{
    struct destination d = {.id = hash(text)};
    struct url u = {0};
    *why = "not printable, or too long";
    if (!plain(text))
        return -EINVAL;
    int r = split(text, &u, why);
    if (r < 0)
        return r;
    bool file = is_scheme(u.scheme, "file");
    bool as_is =
        is_scheme(u.scheme, "otlp-logs+http") || is_scheme(u.scheme, "otlp-logs+https");
    bool collector =
        as_is || is_scheme(u.scheme, "otlp+http") || is_scheme(u.scheme, "otlp+https");
    d.tls = is_scheme(u.scheme, "https") || is_scheme(u.scheme, "otlp+https") ||
            is_scheme(u.scheme, "otlp-logs+https");
    d.kind = file        ? DESTINATION_DIRECTORY
             : collector ? DESTINATION_OTLP
                         : DESTINATION_SENTRY;
    if (!file && !collector && !d.tls && !is_scheme(u.scheme, "http"))
        return fail(why, "scheme is none of https, http, file, otlp+http, otlp+https");
    if (!file && !u.host.n)
        return fail(why, "no host");
    if (!file)
        r = set_host(&d, &u);
    if (!r)
        r = file        ? directory(&d, &u, why)
            : collector ? otlp(&d, &u, as_is)
                        : sentry(&d, &u, why);
    if (r < 0) {
        destination_done(&d);
        return r;
    }
    *ret = d;
    return 0;
}

static int debuginfod(struct destination *d, const struct url *u)
{
    static const char tail[] = "/buildid";
    struct span path = u->path;
    while (path.n && path.at[path.n - 1] == '/')
        path.n--;
    size_t n = sizeof tail - 1;
    bool whole = path.n >= n && !strncmp(path.at + path.n - n, tail, n);
    struct span host = {u->host.at, u->host.n + (u->port.n ? u->port.n + 1 : 0)};
    struct span user = {u->key.at, u->key.n + (u->secret.n ? u->secret.n + 1 : 0)};
    const char *scheme = d->tls ? "https" : "http";
    int r = print(&d->url, "%s://%.*s%s%.*s%.*s%s", scheme, (int)user.n,
        user.n ? user.at : "", user.n ? "@" : "", (int)host.n, host.at, (int)path.n,
        path.at, whole ? "" : tail);
    if (!r)
        r = print(&d->label, "%s://%.*s%.*s", scheme, (int)host.n, host.at, (int)path.n,
            path.at);
    return r;
}

int destination_debuginfod(const char *text, struct destination *ret, const char **why)
{
    struct destination d = {.id = hash(text), .kind = DESTINATION_DEBUGINFOD};
    struct url u = {0};
    *why = "not printable, or too long";
    if (!plain(text))
        return -EINVAL;
    int r = split(text, &u, why);
    if (r < 0)
        return r;
    d.tls = is_scheme(u.scheme, "https");
    if (!d.tls && !is_scheme(u.scheme, "http"))
        return fail(why, "scheme is none of https, http");
    if (!u.host.n)
        return fail(why, "no host");
    r = set_host(&d, &u);
    if (!r)
        r = debuginfod(&d, &u);
    if (r < 0) {
        destination_done(&d);
        return r;
    }
    *ret = d;
    return 0;
}

void destination_done(struct destination *d)
{
    free(d->url);
    free(d->traces_url);
    free(d->dir);
    free(d->host);
    free(d->public_key);
    free(d->secret);
    free(d->dsn);
    free(d->label);
    *d = (struct destination){0};
}
