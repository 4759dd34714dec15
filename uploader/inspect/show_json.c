#include "uploader/inspect/show.h"
#include "uploader/inspect/when.h"
#include "uploader/report/frames.h"
#include "uploader/report/signal_words.h"
#include "uploader/report/unwind.h"

#include <inttypes.h>
#include <string.h>

static void frame_json(struct json *j, const struct crash *c, const struct crash_frame *f)
{
    json_object(j, NULL);
    json_address(j, "pc", f->pc);
    json_text(j, "function", f->function);
    if (f->symbol && (!f->function || strcmp(f->symbol, f->function) != 0))
        json_text(j, "symbol", f->symbol);
    json_text(j, "file", f->file);
    if (f->line)
        json_uint(j, "line", f->line);
    else
        json_null(j, "line");
    if (f->column)
        json_uint(j, "column", f->column);
    json_text_if(j, "directory", f->directory);
    json_bool(j, "inlined", f->inlined);
    json_bool(j, "in_app", f->in_app);
    if (f->n_skipped)
        json_uint(j, "frames_left_out_before", f->n_skipped);
    json_text(j, "trust", crash_trust_name(f->trust));
    json_text(j, "symbols", knell_symbol_status_name(f->status));
    if (f->module >= 0) {
        json_text(j, "module", c->modules[f->module].path);
        json_address(j, "module_offset", f->pc - c->modules[f->module].base);
    } else {
        json_null(j, "module");
    }
    json_end_object(j);
}

static void thread_json(
    struct json *j, const struct crash *c, const struct crash_thread *t)
{
    json_object(j, NULL);
    json_uint(j, "tid", t->tid);
    json_text(j, "name", t->name);
    json_bool(j, "crashed", t->crashed);
    json_bool(j, "truncated", t->truncated);
    if (t->has_registers) {
        json_object(j, "registers");
        for (unsigned i = 0; i < explain_n_registers(c->arch); i++)
            json_address(j, explain_register_name(c->arch, i), t->registers[i]);
        json_end_object(j);
    }
    json_array(j, "frames");
    for (uint32_t i = 0; i < t->n_frames; i++)
        frame_json(j, c, &t->frames[i]);
    json_end_array(j);
    json_end_object(j);
}

static void module_json(struct json *j, const struct crash_module *m)
{
    char id[LOADER_BUILD_ID_BYTES];
    json_object(j, NULL);
    json_text(j, "path", m->path);
    json_text(j, "build_id", m->n_build_id ? loader_build_id(m, id) : NULL);
    json_address(j, "base", m->base);
    json_uint(j, "size", m->size);
    json_text(j, "symbols", m->asked ? knell_symbol_status_name(m->status) : NULL);
    json_text(
        j, "debug_file", m->asked ? knell_symbol_status_name(m->debug_status) : NULL);
    json_text(j, "debuginfod", m->fetched ? wish_answer_name(m->fetched) : NULL);
    json_end_object(j);
}

static void system_json(struct json *j, const struct crash *c)
{
    char name[128];
    json_object(j, "system");
    json_text(j, "os",
        crash_text_value(&c->os_release, "PRETTY_NAME", '=', name, sizeof name) ? name
                                                                                : NULL);
    json_text(
        j, "kernel", c->journal && c->journal->kernel[0] ? c->journal->kernel : NULL);
    json_text(j, "libc", c->journal && c->journal->libc[0] ? c->journal->libc : NULL);
    json_text(j, "arch", c->arch == KNELL_MINIDUMP_ARCH_ARM64 ? "aarch64" : "x86_64");
    json_uint(j, "cpus", c->n_cpus);
    json_end_object(j);
}

void show_json(struct json *j, const struct show *x)
{
    const struct crash *c = x->l->crash;
    const struct explain *why = &x->l->explain;
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    row_json(j, x->t, x->r, &x->e);
    json_text(j, "report_file", report_file(x->r, file));
    json_text(j, "what", why->what);
    json_array(j, "notes");
    for (unsigned i = 0; i < why->n_notes; i++)
        json_text(j, NULL, why->notes[i]);
    json_end_array(j);
    json_text_n(j, "abort_message", c->abort_message.text, c->abort_message.n_bytes);
    if (c->has_signal && c->signal.sender_pid) {
        json_uint(j, "sender_pid", c->signal.sender_pid);
        json_uint(j, "sender_uid", c->signal.sender_uid);
    }
    system_json(j, c);
    show_journal_json(j, x);
    show_history_json(j, x);
    json_array(j, "stacks");
    for (uint32_t i = 0; i < c->n_threads; i++)
        thread_json(j, c, &c->threads[i]);
    json_end_array(j);
    json_array(j, "modules");
    for (uint32_t i = 0; i < c->n_modules; i++)
        module_json(j, &c->modules[i]);
    json_end_array(j);
    json_array(j, "damage");
    for (uint32_t i = 0; i < c->n_damages && i < CRASH_MAX_DAMAGES; i++)
        json_text(j, NULL, c->damages[i].what);
    json_end_array(j);
}
