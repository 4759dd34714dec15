#include "symbolize/demangle.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <string.h>

enum {
    MAX_MANGLED_BYTES = 8192,
    MAX_READABLE_BYTES = 32768,
};

/* The text so far; a name that goes beyond it is left by a jump: libiberty's callback
 * has no other way to be told, and a few bytes can ask for gigabytes. The callback form
 * allocates nothing that the jump could lose. */
struct readable {
    char text[MAX_READABLE_BYTES];
    size_t n;
    jmp_buf too_long;
};

static void append(const char *s, size_t n, void *ctx)
{
    struct readable *r = ctx;
    if (n >= sizeof r->text - r->n)
        longjmp(r->too_long, 1);
    if (n) /* of nothing there may be no address either */
        memcpy(r->text + r->n, s, n);
    r->n += n;
}

/* Where @mark stands in @name as a compiler writes it: behind something, and before a
 * number, or the end or another mark for those without a dot. */
static const char *find_mark(const char *name, const char *mark)
{
    size_t n = strlen(mark);
    bool numbered = mark[n - 1] == '.';
    for (const char *at = name; (at = strstr(at, mark)); at += n) {
        char next = at[n];
        bool ends = (next >= '0' && next <= '9') || (!numbered && (!next || next == '.'));
        if (ends && at != name)
            return at;
    }
    return NULL;
}

/* Length of the name without the suffixes of a compiler's copies. */
static size_t without_clone(const char *name)
{
    static const char *const marks[] = {".constprop.", ".isra.", ".part.", ".cold",
        ".lto_priv.", ".llvm.", ".clone.", ".localalias", ".resolver"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const char *at = find_mark(name, marks[i]);
        if (at && (size_t)(at - name) < n)
            n = (size_t)(at - name);
    }
    return n;
}

static int run(const char *name, struct readable *r)
{
    if (!strncmp(name, "_R", 2))
        return rust_demangle_callback(name, DMGL_NO_OPTS, append, r);
    if (strncmp(name, "_Z", 2) != 0)
        return 0;
    /* Rust's older names end in a hash: 17h, 16 digits and E. */
    if (strstr(name, "17h") && rust_demangle_callback(name, DMGL_NO_OPTS, append, r))
        return 1;
    r->n = 0;
    return cplus_demangle_v3_callback(name, DMGL_PARAMS | DMGL_ANSI, append, r);
}

/* Apart from its caller, whose variables a jump back need not keep. */
static __attribute__((noinline)) bool is_readable(const char *name, struct readable *r)
{
    r->n = 0;
    return !setjmp(r->too_long) && run(name, r) && r->n;
}

/* @name where it is no mangled one. */
static const char *make_readable(struct store *out, const char *name)
{
    struct readable r;
    return is_readable(name, &r) ? store_text(out, r.text, r.n) : name;
}

const char *demangle(struct store *out, const char *name, bool on)
{
    size_t n = without_clone(name);
    const char *plain = name[n] ? store_text(out, name, n) : name;
    if (!plain || !on || n > MAX_MANGLED_BYTES || plain[0] != '_')
        return plain;
    return make_readable(out, plain);
}
