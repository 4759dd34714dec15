#include "uploader/report/frames.h"

#include "uploader/report/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOTAL_FRAMES = 250000 };

/* Strings of the symbolizer live until its next batch: each is copied once. Open
 * addressing by the address of the original. */
struct copies {
    struct arena *arena;
    struct copy {
        const char *from;
        const char *to;
    } * slots;
    size_t n, room; /* room is a power of two */
    bool failed;
};

static struct copy *slot_of(struct copies *s, const char *from)
{
    size_t i = (size_t)((uintptr_t)from * 0x9e3779b97f4a7c15u >> 20) & (s->room - 1);
    while (s->slots[i].from && s->slots[i].from != from)
        i = (i + 1) & (s->room - 1);
    return &s->slots[i];
}

static void grow(struct copies *s)
{
    struct copies old = *s;
    s->room = old.room ? old.room * 2 : 256;
    s->slots = calloc(s->room, sizeof *s->slots);
    if (!s->slots) {
        *s = old;
        s->failed = true;
        return;
    }
    for (size_t i = 0; i < old.room; i++) {
        if (old.slots[i].from)
            *slot_of(s, old.slots[i].from) = old.slots[i];
    }
    free(old.slots);
}

static const char *copy(struct copies *s, const char *from)
{
    if (!from)
        return NULL;
    if (s->n * 2 >= s->room)
        grow(s);
    if (s->failed)
        return NULL;
    struct copy *slot = slot_of(s, from);
    if (!slot->from) {
        const char *to =
            arena_text(s->arena, from, strnlen(from, KNELL_MAX_STRING_BYTES));
        if (!to) {
            s->failed = true;
            return NULL;
        }
        *slot = (struct copy){from, to};
        s->n++;
    }
    return slot->to;
}

const char *path_base(const char *path)
{
    if (!path)
        return "";
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool begins(const char *s, const char *with)
{
    return !strncmp(s, with, strlen(with));
}

/* Templates have their result's type before their name: "void std::sort<int*>(int*)". */
static const char *without_result(const char *function)
{
    const char *name = function;
    int depth = 0;
    for (const char *p = function; *p; p++) {
        bool begins_word = p == function || p[-1] == ' ' || p[-1] == ':';
        if (begins_word && begins(p, "operator"))
            break; /* what follows is no bracket */
        if (!depth && *p == '(' && !begins_word)
            break; /* the arguments */
        depth += strchr("<([{", *p) != NULL;
        depth -= depth && strchr(">)]}", *p);
        if (!depth && *p == ' ')
            name = p + 1;
    }
    return name;
}

bool frame_in_app(const char *path, const char *function)
{
    static const char *const libraries[] = {"libc.so", "libc-2", "ld-linux", "ld-2",
        "ld-musl", "ld.so", "libpthread", "libdl.so", "libdl-2", "librt.so", "librt-2",
        "libm.so", "libm-2", "libgcc_s", "libstdc++", "libc++", "libnss_", "libresolv",
        "libasan", "libtsan", "libubsan", "linux-vdso", "linux-gate", "[vdso]",
        "[vsyscall]", "libknell"};
    static const char *const functions[] = {"_start", "__libc_start_main",
        "__libc_start_call_main", "start_thread", "clone", "clone3", "__clone",
        "__clone3", "abort", "raise", "gsignal", "pthread_kill", "__pthread_kill",
        "__pthread_kill_implementation", "__pthread_kill_internal", "__restore_rt",
        "__assert_fail", "__assert_fail_base", "__assert_perror_fail", "__libc_fatal",
        "__libc_message", "__stack_chk_fail", "__fortify_fail", "_dl_start",
        "_dl_start_user"};
    static const char *const prefixes[] = {
        "std::", "__gnu_cxx::", "__cxxabiv1::", "knell_", "kn_"};
    const char *module = path_base(path);
    if (!*module)
        return false;
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        if (begins(module, libraries[i]))
            return false;
    }
    for (size_t i = 0; function && i < sizeof functions / sizeof *functions; i++) {
        if (!strcmp(function, functions[i]))
            return false;
    }
    const char *name = function ? without_result(function) : NULL;
    for (size_t i = 0; name && i < sizeof prefixes / sizeof *prefixes; i++) {
        if (begins(name, prefixes[i]))
            return false;
    }
    return true;
}

static const char *module_path(const struct crash *c, const struct crash_frame *f)
{
    return f->module < 0 ? NULL : c->modules[f->module].path;
}

const struct crash_frame *crash_top_frame(const struct crash *c)
{
    const struct crash_thread *t =
        c->crashed_thread < 0 ? NULL : &c->threads[c->crashed_thread];
    const struct crash_frame *named = NULL;
    for (uint32_t i = 0; t && i < t->n_frames; i++) {
        const struct crash_frame *f = &t->frames[i];
        if (f->function && f->in_app)
            return f;
        if (f->function && !named)
            named = f;
    }
    if (named)
        return named;
    return t && t->n_frames ? t->frames : NULL;
}

/* One symbolized frame over the frame that was walked. */
static void name_frame(struct copies *s, struct crash_frame *f,
    const struct knell_symbol_frame *from, uint32_t max_context)
{
    f->function = copy(s, from->function);
    f->symbol = copy(s, from->symbol);
    f->file = copy(s, from->file);
    f->directory = copy(s, from->directory);
    f->line = from->line;
    f->column = from->column;
    f->function_address = from->function_address;
    f->inlined = from->inlined;
    if (!from->n_context || from->n_context > max_context ||
        from->n_before >= from->n_context)
        return;
    const char **lines = arena_array(s->arena, from->n_context, sizeof *lines);
    if (!lines) {
        s->failed = true;
        return;
    }
    for (uint32_t i = 0; i < from->n_context; i++)
        lines[i] = copy(s, from->context[i]);
    f->context = lines;
    f->n_before = from->n_before;
    f->n_context = from->n_context;
}

/* The thread's frames with the inlined callers between them. */
static void name_thread(struct crash *c, struct copies *s, struct crash_thread *t,
    const struct knell_symbol_result *results)
{
    enum { MAX_CONTEXT_LINES = 64, MAX_NAMED = 4 * KNELL_MAX_FRAMES };
    uint64_t n = 0;
    for (uint32_t i = 0; i < t->n_frames; i++)
        n += results[i].n_frames ? results[i].n_frames : 1;
    if (n > MAX_NAMED) {
        n = MAX_NAMED;
        t->truncated = true;
    }
    struct crash_frame *frames = arena_array(c->arena, n, sizeof *frames);
    if (!frames) {
        s->failed = true;
        return;
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i < t->n_frames; i++) {
        const struct knell_symbol_result *r = &results[i];
        uint32_t k = 0;
        do {
            if (used == n)
                break;
            struct crash_frame *f = &frames[used++];
            *f = t->frames[i];
            f->status = r->status;
            f->n_skipped = k ? 0 : f->n_skipped;
            if (k < r->n_frames)
                name_frame(s, f, &r->frames[k], MAX_CONTEXT_LINES);
            f->in_app = frame_in_app(module_path(c, f), f->function);
        } while (++k < r->n_frames);
    }
    t->frames = frames;
    t->n_frames = used;
}

/* Lower is better: a module is judged by the best answer it gave. */
static void judge_module(
    struct crash *c, const struct crash_frame *f, const struct knell_symbol_result *r)
{
    if (f->module < 0)
        return;
    struct crash_module *m = &c->modules[f->module];
    if (!m->asked || r->status < m->status)
        m->status = r->status;
    if (!m->asked || r->debug_status < m->debug_status)
        m->debug_status = r->debug_status;
    m->asked = true;
}

struct batch {
    struct knell_symbol_module *modules;
    struct knell_symbol_query *queries;
    struct knell_symbol_result *results;
    size_t n;
};

static void batch_done(struct batch *b)
{
    free(b->modules);
    free(b->queries);
    free(b->results);
}

static void fill_modules(const struct crash *c, struct knell_symbol_module *modules)
{
    for (uint32_t i = 0; i < c->n_modules; i++) {
        const struct crash_module *m = &c->modules[i];
        modules[i] = (struct knell_symbol_module){
            .path = m->path,
            .build_id = m->n_build_id ? m->build_id : NULL,
            .n_build_id = m->n_build_id,
            .base = m->base,
            .size = m->size,
        };
        for (uint32_t k = 0; m->path && m->path[0] != '/' && k < c->n_memory; k++) {
            if (c->memory[k].start == m->base) { /* the vDSO: no file has it */
                modules[i].image = c->memory[k].bytes;
                modules[i].n_image = c->memory[k].n_bytes;
            }
        }
    }
}

static int batch_fill(const struct crash *c, struct batch *b)
{
    size_t n = 0;
    for (uint32_t i = 0; i < c->n_threads; i++)
        n += c->threads[i].n_frames;
    b->modules = calloc((size_t)c->n_modules + 1, sizeof *b->modules);
    b->queries = calloc(n + 1, sizeof *b->queries);
    b->results = calloc(n + 1, sizeof *b->results);
    if (n > MAX_TOTAL_FRAMES || !b->modules || !b->queries || !b->results)
        return n > MAX_TOTAL_FRAMES ? -E2BIG : -ENOMEM;
    fill_modules(c, b->modules);
    for (uint32_t i = 0; i < c->n_threads; i++) {
        for (uint32_t k = 0; k < c->threads[i].n_frames; k++) {
            const struct crash_frame *f = &c->threads[i].frames[k];
            b->results[b->n].status = KNELL_SYMBOL_NO_MODULE;
            b->results[b->n].debug_status = KNELL_SYMBOL_NO_MODULE;
            b->queries[b->n++] = (struct knell_symbol_query){
                .module = f->module < 0 ? UINT32_MAX : (uint32_t)f->module,
                .pc = f->pc,
                .kind = f->kind,
            };
        }
    }
    return 0;
}

static int apply(struct crash *c, const struct batch *b)
{
    struct copies s = {.arena = c->arena};
    struct crash_thread *before = malloc((c->n_threads + 1) * sizeof *before);
    if (!before)
        return -ENOMEM;
    if (c->n_threads)
        memcpy(before, c->threads, c->n_threads * sizeof *before);
    size_t at = 0;
    for (uint32_t i = 0; i < c->n_threads && !s.failed; i++) {
        uint32_t walked = c->threads[i].n_frames;
        for (uint32_t k = 0; k < walked; k++)
            judge_module(c, &c->threads[i].frames[k], &b->results[at + k]);
        name_thread(c, &s, &c->threads[i], b->results + at);
        at += walked;
    }
    if (s.failed)
        memcpy(c->threads, before, c->n_threads * sizeof *before);
    free(before);
    free(s.slots);
    return s.failed ? -ENOMEM : 0;
}

/* A report that the program asked for begins inside of the call that made it, and that is
 * the library's where the library is linked into the program, too. */
static void leave_out_capture(struct crash *c)
{
    enum { MAX_OWN = 8 };
    struct crash_thread *t =
        c->has_signal || c->crashed_thread < 0 ? NULL : &c->threads[c->crashed_thread];
    uint32_t n_own = 0;
    for (uint32_t i = 0; t && i < t->n_frames && i < MAX_OWN; i++)
        if (t->frames[i].function && begins(t->frames[i].function, "knell_"))
            n_own = i + 1;
    for (uint32_t i = 0; i < n_own; i++)
        t->frames[i].in_app = false;
}

int report_symbolize(struct crash *c, struct knell_symbolizer *s)
{
    struct batch b = {0};
    int err = batch_fill(c, &b);
    if (!err && s && b.n)
        err = knell_symbolize(s, b.modules, c->n_modules, b.queries, b.n, b.results);
    if (!err)
        err = apply(c, &b);
    if (!err)
        leave_out_capture(c);
    batch_done(&b);
    return err;
}
