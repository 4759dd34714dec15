#include "uploader/event/sentry_inner.h"

#include "uploader/report/frames.h"
#include "uploader/report/parse.h"
#include "uploader/report/unwind.h"

#include <stdio.h>
#include <string.h>

static const char *const amd64_names[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp",
    "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"};

static void registers(
    struct build *b, cJSON *to, const struct crash *c, const struct crash_thread *t)
{
    bool arm = c->arch == KNELL_MINIDUMP_ARCH_ARM64;
    cJSON *all = build_object(b, to, "registers");
    for (int i = 0; i < (arm ? 33 : 17); i++) {
        char name[16], value[24];
        if (arm && i == 31)
            (void)snprintf(name, sizeof name, "sp");
        else if (arm && i == 32)
            (void)snprintf(name, sizeof name, "pc");
        else if (arm)
            (void)snprintf(name, sizeof name, "x%d", i);
        else
            (void)snprintf(name, sizeof name, "%s", amd64_names[i]);
        (void)snprintf(
            value, sizeof value, "0x%016llx", (unsigned long long)t->registers[i]);
        build_text(b, all, name, value, sizeof value);
    }
}

/* "/build/src/x.c" from what the compiler wrote and where it stood. */
static void paths(
    struct build *b, cJSON *to, const struct crash_frame *f, const struct crash_module *m)
{
    char whole[EVENT_MAX_PATH * 2];
    if (!f->file) {
        build_text(b, to, "filename", path_base(m ? m->path : NULL), EVENT_MAX_PATH);
        return;
    }
    const char *shown = f->file;
    if (f->file[0] == '/') {
        size_t n = f->directory ? strlen(f->directory) : 0;
        if (n && !strncmp(f->file, f->directory, n) && f->file[n] == '/')
            shown = f->file + n + 1;
        else
            shown = path_base(f->file);
        build_text(b, to, "abs_path", f->file, EVENT_MAX_PATH);
    } else if (f->directory) {
        (void)snprintf(whole, sizeof whole, "%s/%s", f->directory, f->file);
        build_text(b, to, "abs_path", whole, EVENT_MAX_PATH);
    }
    build_text(b, to, "filename", shown, EVENT_MAX_PATH);
}

static void source(struct build *b, cJSON *to, const struct crash_frame *f)
{
    if (!f->n_context)
        return;
    cJSON *before = build_array(b, to, "pre_context");
    for (uint32_t i = 0; i < f->n_context; i++) {
        const char *line = f->context[i] && *f->context[i] ? f->context[i] : " ";
        if (i < f->n_before)
            build_text(b, before, NULL, line, EVENT_MAX_LINE);
        else if (i == f->n_before)
            build_text(b, to, "context_line", line, EVENT_MAX_LINE);
    }
    cJSON *after = build_array(b, to, "post_context");
    for (uint32_t i = f->n_before + 1; i < f->n_context; i++) {
        const char *line = f->context[i] && *f->context[i] ? f->context[i] : " ";
        build_text(b, after, NULL, line, EVENT_MAX_LINE);
    }
}

/* Sentry looks a frame up again unless told that it is done: one with file and line is,
 * and its inlined callers would be expanded a second time. */
static void hints(struct build *b, cJSON *to, const struct crash_frame *f)
{
    build_text(b, to, "trust", crash_trust_name(f->trust), 16);
    if (f->status == KNELL_SYMBOL_OK && f->function && f->line) {
        cJSON *data = build_object(b, to, "data");
        build_text(b, data, "symbolicator_status", "symbolicated", 16);
    }
}

static void frame(struct build *b, cJSON *frames, const struct crash *c,
    const struct crash_frame *f, bool with_source, bool with_hints)
{
    const struct crash_module *m = f->module < 0 ? NULL : &c->modules[f->module];
    cJSON *to = build_object(b, frames, NULL);
    build_text(b, to, "function", f->function, EVENT_MAX_NAME);
    if (f->symbol && f->function && strcmp(f->symbol, f->function) != 0) {
        build_text(b, to, "raw_function", f->symbol, EVENT_MAX_NAME);
        build_text(b, to, "symbol", f->symbol, EVENT_MAX_NAME);
    }
    paths(b, to, f, m);
    if (f->line)
        build_number(b, to, "lineno", f->line);
    if (f->line && f->column)
        build_number(b, to, "colno", f->column);
    if (with_source)
        source(b, to, f);
    build_bool(b, to, "in_app", f->in_app);
    if (m)
        build_text(b, to, "package", m->path, EVENT_MAX_PATH);
    build_address(b, to, "instruction_addr", f->pc);
    /* The cold part of a function may lie below its entry: servers take offsets from it.
     */
    if (f->function_address && f->function_address <= f->pc)
        build_address(b, to, "symbol_addr", f->function_address);
    if (m)
        build_address(b, to, "image_addr", m->base);
    if (with_hints)
        hints(b, to, f);
}

void event_stacktrace(struct build *b, cJSON *to, const struct crash *c,
    const struct crash_thread *t, const struct event_options *o)
{
    /* Of a thread that could not be stopped nothing may be known, not even a place. */
    bool nowhere = t->n_frames == 1 && !t->frames[0].pc && !t->crashed;
    if (!t->n_frames || nowhere)
        return;
    uint32_t max = o->max_frames ? o->max_frames : 250;
    /* Of a stack that is too deep both ends: where it died and how it got there. */
    uint32_t n_left_out = t->n_frames > max ? t->n_frames - max : 0;
    uint32_t last = n_left_out ? max / 4 : 0, first = t->n_frames - n_left_out - last;
    cJSON *stack = build_object(b, to, "stacktrace");
    cJSON *frames = build_array(b, stack, "frames");
    for (uint32_t i = t->n_frames; i-- > 0;) { /* oldest first */
        if (i < first || i >= first + n_left_out)
            frame(b, frames, c, &t->frames[i], i < EVENT_FRAMES_WITH_SOURCE,
                !o->no_frame_hints);
    }
    if (t->has_registers && t->how == KNELL_THREAD_SIGNAL)
        registers(b, stack, c, t);
    /* Without knell's own frames an error's stack begins with a return address, too. */
    bool all = t->frames[0].kind == KNELL_FRAME_RETURN;
    build_text(
        b, stack, "instruction_addr_adjustment", all ? "all" : "all_but_first", 16);
    if (!t->crashed)
        build_bool(b, stack, "snapshot", true);
}

void event_threads(
    struct build *b, cJSON *event, const struct crash *c, const struct event_options *o)
{
    uint32_t max = o->max_threads ? o->max_threads : 256;
    if (!c->n_threads)
        return;
    cJSON *threads = build_object(b, event, "threads");
    cJSON *values = build_array(b, threads, "values");
    for (uint32_t i = 0; i < c->n_threads && i < max; i++) {
        const struct crash_thread *t = &c->threads[i];
        bool first = c->crashed_thread == (int32_t)i;
        cJSON *one = build_object(b, values, NULL);
        build_number(b, one, "id", t->tid);
        build_text(b, one, "name", t->name, EVENT_MAX_NAME);
        build_bool(b, one, "crashed", t->crashed);
        build_bool(b, one, "current", first);
        if (c->pid)
            build_bool(b, one, "main", t->tid == c->pid);
        if (!first || !sentry_has_exception(c)) /* else it is the exception's */
            event_stacktrace(b, one, c, t, o);
    }
}
