/* debug: lldb, or gdb, on a report, with the binaries it ran with. */
#include "symbolize/elf_file.h"
#include "uploader/inspect/commands.h"
#include "uploader/inspect/programs.h"
#include "uploader/inspect/safe.h"
#include "uploader/inspect/select.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORDS = 256 };

struct words {
    char *list[MAX_WORDS + 1];
    size_t n;
    bool failed;
};

static void __attribute__((format(printf, 2, 3)))
add(struct words *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text;
    if (w->n == MAX_WORDS || vasprintf(&text, format, args) < 0)
        w->failed = true;
    else
        w->list[w->n++] = text;
    va_end(args);
}

static void words_done(struct words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->list[i]);
}

/* A path goes into a debugger's own command language: only harmless ones do. */
static bool is_plain(const char *path)
{
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p <= ' ' || strchr("\"'\\`$;|&<>", *p) ||
            (unsigned char)*p >= 0x7f)
            return false;
    return *path == '/';
}

/* A module's own file on this machine. */
struct place {
    char path[PATH_MAX], debug[PATH_MAX]; /* its debug file, of the store; "": none */
    uint64_t slide;                       /* of its addresses in the report */
    bool moved;                           /* elsewhere than the report says */
};

/* Whether the very module lies in a file; where that begins is the module's base when it
 * was linked for a fixed address. */
static bool is_file_of(const struct crash_module *m, struct place *place)
{
    struct elf_file f;
    if (!is_plain(place->path) || elf_file_open(place->path, &f) < 0)
        return false;
    bool same = !m->n_build_id || elf_file_is(&f, m->build_id, m->n_build_id);
    place->slide = m->base - f.first_vaddr;
    elf_file_done(&f);
    return same;
}

/* At its path, below the folder that stands for the other machine, or in the store, which
 * is where a bundle's files are. */
static bool find_file(
    const struct options *o, const struct crash_module *m, struct place *ret)
{
    char id[LOADER_BUILD_ID_BYTES];
    *ret = (struct place){0};
    if (o->store && m->n_build_id) {
        struct place *debug = &(struct place){0};
        int n = snprintf(debug->path, sizeof debug->path, "%s/%s/debuginfo", o->store,
            loader_build_id(m, id));
        if (n > 0 && (size_t)n < sizeof debug->path && is_file_of(m, debug))
            (void)strcpy(ret->debug, debug->path);
    }
    if (m->path && !o->sysroot) {
        (void)snprintf(ret->path, sizeof ret->path, "%s", m->path);
        if (is_file_of(m, ret))
            return true;
    }
    ret->moved = true;
    if (m->path && o->sysroot) {
        (void)snprintf(ret->path, sizeof ret->path, "%s%s", o->sysroot, m->path);
        if (is_file_of(m, ret))
            return true;
    }
    if (!o->store || !m->n_build_id)
        return false;
    (void)snprintf(ret->path, sizeof ret->path, "%s/%s/executable", o->store,
        loader_build_id(m, id));
    return is_file_of(m, ret);
}

static void note_mismatches(const struct session *s, const struct crash *c)
{
    for (uint32_t i = 0; i < c->n_modules; i++) {
        if (!c->modules[i].asked || (c->modules[i].status != KNELL_SYMBOL_MISMATCH &&
                                        c->modules[i].status != KNELL_SYMBOL_MISSING))
            continue;
        CLEANUP(safe_done) struct safe path = {0};
        safe_put(&path, c->modules[i].path);
        session_note(s, "%s: %s; its frames have no names.", safe_text(&path),
            c->modules[i].status == KNELL_SYMBOL_MISSING
                ? "no such file here"
                : "another build lies there now");
    }
}

static void lldb_words(
    const struct session *s, const struct loaded *l, const char *report, struct words *w)
{
    const struct options *o = &s->options;
    add(w, "%s", "lldb");
    if (o->debug_dir && is_plain(o->debug_dir)) {
        add(w, "-O");
        add(w, "settings append target.debug-file-search-paths %s", o->debug_dir);
    }
    struct place place;
    if (l->crash->n_modules && find_file(o, &l->crash->modules[0], &place))
        add(w, "%s", place.path);
    add(w, "-c");
    add(w, "%s", report);
    for (uint32_t i = 0; i < l->crash->n_modules && w->n < MAX_WORDS / 2; i++) {
        const struct crash_module *m = &l->crash->modules[i];
        bool found = m->asked && find_file(o, m, &place);
        if (i && found && place.moved) {
            add(w, "-o");
            add(w, "target modules add %s", place.path);
            add(w, "-o");
            add(w, "target modules load --file %s --slide 0x%" PRIx64, place.path,
                place.slide);
        }
        if (found && place.debug[0]) {
            add(w, "-o");
            add(w, "target symbols add %s", place.debug);
        }
    }
    add(w, "-o");
    add(w, "thread backtrace");
}

/* gdb does not read minidumps: it gets the modules where they were, the registers as
 * convenience variables, and the crashed thread's places. */
static void gdb_words(const struct session *s, const struct loaded *l, struct words *w)
{
    const struct crash *c = l->crash;
    add(w, "gdb");
    add(w, "-q");
    add(w, "-ex");
    add(w, "set confirm off");
    if (s->options.debug_dir && is_plain(s->options.debug_dir)) {
        add(w, "-ex");
        add(w, "set debug-file-directory %s", s->options.debug_dir);
    }
    for (uint32_t i = 0; i < c->n_modules && w->n < MAX_WORDS / 2; i++) {
        struct place place;
        if (!c->modules[i].asked || !find_file(&s->options, &c->modules[i], &place))
            continue;
        add(w, "-ex");
        add(w, "add-symbol-file %s -o 0x%" PRIx64,
            place.debug[0] ? place.debug : place.path, place.slide);
    }
    if (c->crashed_thread < 0)
        return;
    const struct crash_thread *t = &c->threads[c->crashed_thread];
    for (unsigned i = 0; t->has_registers && i < explain_n_registers(c->arch); i++) {
        add(w, "-ex");
        add(w, "set $r_%s = 0x%" PRIx64, explain_register_name(c->arch, i),
            t->registers[i]);
    }
    for (uint32_t i = 0; i < t->n_frames && w->n + 4 < MAX_WORDS; i++) {
        const struct crash_frame *f = &t->frames[i];
        if (f->inlined || i > 40)
            continue;
        add(w, "-ex");
        add(w, "info line *0x%" PRIx64, f->pc - (f->kind == KNELL_FRAME_RETURN));
    }
}

static const char *choose(const struct options *o)
{
    const char *name = o->debugger ? o->debugger : getenv("KNELL_DEBUGGER");
    CLEANUP(free_p) char *path = NULL;
    if (name && *name)
        return name;
    return programs_find("lldb", &path) == 0 ? "lldb" : "gdb";
}

static bool is_gdb(const char *name)
{
    const char *slash = strrchr(name, '/');
    return strncmp(slash ? slash + 1 : name, "gdb", 3) == 0;
}

static int start(
    struct session *s, const struct store *t, const struct report *r, struct loaded *l)
{
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    CLEANUP(free_p) char *report = NULL;
    const char *name = choose(&s->options);
    struct words w = {0};
    if (asprintf(&report, "%s/%s/%s", t->spools[r->spool].spool->path,
            spool_state_name((enum spool_state)r->state), report_file(r, file)) < 0) {
        report = NULL;
        return -ENOMEM;
    }
    note_mismatches(s, l->crash);
    if (is_gdb(name))
        gdb_words(s, l, &w);
    else
        lldb_words(s, l, report, &w);
    int status = 0, err = w.failed ? -ENOMEM : 0;
    if (!err && s->options.dry_run && s->options.json) {
        struct json j = session_json(s);
        json_array(&j, "arguments");
        for (size_t i = 0; i < w.n; i++)
            json_text(&j, NULL, w.list[i]);
        json_end_array(&j);
        json_end_object(&j);
    } else if (!err && s->options.dry_run) {
        for (size_t i = 0; i < w.n; i++) {
            bool quote = strpbrk(w.list[i], " *$") != NULL;
            (void)fprintf(s->out.f, "%s%s", i ? " " : "", quote ? "'" : "");
            safe_print(s->out.f, w.list[i]);
            (void)fputs(quote ? "'" : "", s->out.f);
        }
        (void)fputc('\n', s->out.f);
    } else if (!err) {
        err = programs_run_at_terminal(name, (const char *const *)w.list, &status);
        if (err)
            session_complain(s, "cannot start %s: %s; name another with --debugger", name,
                strerrordesc_np(-err));
    }
    words_done(&w);
    return err;
}

int command_debug(struct session *s)
{
    struct store t;
    struct selection x = {0};
    struct loaded l = {0};
    struct report_error why = {0};
    int err = store_open(s, &t);
    if (!err)
        err = select_few(s, &t, &x);
    if (!err)
        err = loader_open(s, &t, x.reports[0], &l, &why);
    if (err && x.n)
        session_complain(s, "the report cannot be read: %s", strerrordesc_np(-err));
    if (!err)
        err = start(s, &t, x.reports[0], &l);
    loader_done(&l);
    selection_done(&x);
    store_close(&t);
    return session_exit_code(err);
}
