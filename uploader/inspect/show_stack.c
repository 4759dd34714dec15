#include "uploader/inspect/show.h"
#include "uploader/report/frames.h"
#include "uploader/report/notes.h"
#include "uploader/report/unwind.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_ROUNDS = 3, MAX_PERIOD = 8, MAX_NAMES = 6 };

/* The location: "conn.c:212", else "libfoo.so+0x1f40". */
static void put_location(const struct show *x, const struct crash_frame *f)
{
    const struct out *o = x->out;
    const struct crash *c = x->l->crash;
    if (f->file) {
        (void)fputs("  ", o->f);
        out_text(o, STYLE_CYAN, f->file);
        if (f->line)
            (void)fprintf(o->f, "%s:%" PRIu32 "%s", out_style(o, STYLE_CYAN), f->line,
                out_plain(o));
    }
    if (!f->inlined && f->module >= 0) {
        (void)fputs("  ", o->f);
        (void)fputs(out_style(o, STYLE_DIM), o->f);
        out_text(o, STYLE_PLAIN, path_base(c->modules[f->module].path));
        (void)fprintf(
            o->f, "+0x%" PRIx64 "%s", f->pc - c->modules[f->module].base, out_plain(o));
    }
}

static void put_frame(const struct show *x, const struct crash_frame *f, unsigned number)
{
    const struct out *o = x->out;
    if (f->inlined)
        (void)fprintf(o->f, "  %s   |%s ", out_style(o, STYLE_DIM), out_plain(o));
    else
        (void)fprintf(o->f, "  #%-3u ", number);
    const char *name = f->function ? f->function : f->symbol;
    char address[32];
    if (!name) {
        (void)snprintf(address, sizeof address, "0x%016" PRIx64, f->pc);
        name = address;
    }
    out_text(o, f->in_app ? STYLE_BOLD : STYLE_PLAIN, name);
    put_location(x, f);
    if (f->inlined)
        (void)fprintf(o->f, "  %s(inlined)%s", out_style(o, STYLE_DIM), out_plain(o));
    else if (f->trust == CRASH_TRUST_SCAN || f->trust == CRASH_TRUST_FP)
        (void)fprintf(o->f, "  %s(%s)%s", out_style(o, STYLE_YELLOW),
            f->trust == CRASH_TRUST_SCAN ? "guessed from the stack" : "by frame pointer",
            out_plain(o));
    (void)fputc('\n', o->f);
}

/* Inlined calls share one address: only their names tell them apart. */
static bool is_same_call(const struct crash_frame *a, const struct crash_frame *b)
{
    return a->pc == b->pc && a->inlined == b->inlined && a->line == b->line &&
           (a->function && b->function ? !strcmp(a->function, b->function)
                                       : a->function == b->function);
}

/* How many of the frames from @i on repeat the @period frames there, whole rounds. */
static uint32_t rounds(const struct crash_thread *t, uint32_t i, uint32_t period)
{
    uint32_t n = 0;
    while (i + period < t->n_frames) {
        for (uint32_t k = 0; k < period; k++)
            if (i + period + k >= t->n_frames || t->frames[i + period + k].n_skipped ||
                !is_same_call(&t->frames[i + k], &t->frames[i + period + k]))
                return n;
        i += period;
        n++;
    }
    return n;
}

static unsigned count_real(const struct crash_thread *t, uint32_t from, uint32_t n)
{
    unsigned real = 0;
    for (uint32_t i = from; i < from + n; i++)
        real += !t->frames[i].inlined;
    return real;
}

/* Frames of a thread; @source: lines of source below the frame that tells most. */
static void show_frames(const struct show *x, const struct crash_thread *thread)
{
    unsigned number = 0;
    uint32_t n = thread->n_frames;
    if (!n)
        (void)fputs("  no frames: its registers could not be read\n", x->out->f);
    for (uint32_t i = 0; i < n;) {
        uint32_t best = 0, period = 0, n_skipped = thread->frames[i].n_skipped;
        if (n_skipped)
            (void)fprintf(x->out->f,
                "       ... %" PRIu32 " frames are left out; the stack ends with\n",
                n_skipped);
        number += n_skipped;
        for (uint32_t p = 1; p <= MAX_PERIOD && !x->s->options.full; p++) {
            uint32_t k = rounds(thread, i, p);
            if (k >= MIN_ROUNDS && k * p > best * period) {
                best = k;
                period = p;
            }
        }
        uint32_t shown = period ? period : 1;
        for (uint32_t k = 0; k < shown; k++, i++) {
            put_frame(x, &thread->frames[i], number);
            number += !thread->frames[i].inlined;
        }
        if (!period)
            continue;
        (void)fprintf(x->out->f, "       ... %s %" PRIu32 " more times\n",
            period == 1 ? "the same" : "these frames", best);
        number += count_real(thread, i, best * period);
        i += best * period;
    }
    if (thread->truncated)
        (void)fputs("  ... the stack goes on; the report does not\n", x->out->f);
}

static void put_thread_name(const struct show *x, const struct crash_thread *t)
{
    (void)fprintf(x->out->f, "%" PRIu32, t->tid);
    if (t->name && *t->name) {
        (void)fputs(" \"", x->out->f);
        out_text(x->out, STYLE_PLAIN, t->name);
        (void)fputc('"', x->out->f);
    }
}

void show_crashed_thread(const struct show *x)
{
    const struct crash *c = x->l->crash;
    const struct out *o = x->out;
    if (c->crashed_thread < 0 || (uint32_t)c->crashed_thread >= c->n_threads) {
        show_head(x, x->e.kind == INDEX_KIND_OBITUARY
                         ? "No stack: it died before it could write one"
                         : "No thread crashed");
        return;
    }
    const struct crash_thread *t = &c->threads[c->crashed_thread];
    (void)fprintf(o->f, "%s%sStack of thread ",
        x->s->options.command == COMMAND_SHOW ? "\n" : "", out_style(o, STYLE_BOLD));
    put_thread_name(x, t);
    (void)fprintf(o->f, "%s%s\n", c->has_signal ? " (crashed)" : "", out_plain(o));
    show_frames(x, t);
}

/* Threads are equal to a reader when they stand at the same places. */
static bool equal_stacks(const struct crash_thread *a, const struct crash_thread *b)
{
    if (a->n_frames != b->n_frames)
        return false;
    for (uint32_t i = 0; i < a->n_frames; i++)
        if (a->frames[i].pc != b->frames[i].pc)
            return false;
    return true;
}

static void put_group(
    const struct show *x, const struct crash_thread *t, uint32_t first, bool *done)
{
    const struct crash *c = x->l->crash;
    const struct out *o = x->out;
    uint32_t n = 0;
    (void)fprintf(o->f, "\n%sThread ", out_style(o, STYLE_BOLD));
    for (uint32_t i = first; i < c->n_threads; i++) {
        if (done[i] || (i != first && !equal_stacks(t, &c->threads[i])))
            continue;
        done[i] = true;
        if (n < MAX_NAMES) {
            (void)fputs(n ? ", " : "", o->f);
            put_thread_name(x, &c->threads[i]);
        }
        n++;
    }
    if (n > MAX_NAMES)
        (void)fprintf(o->f, " and %" PRIu32 " more", n - MAX_NAMES);
    if (n > 1)
        (void)fprintf(o->f, " (%" PRIu32 " alike)", n);
    if (t->how == KNELL_THREAD_NONE)
        (void)fputs(" (did not stop in time)", o->f);
    (void)fprintf(o->f, "%s\n", out_plain(o));
    show_frames(x, t);
}

void show_other_threads(const struct show *x, bool every)
{
    const struct crash *c = x->l->crash;
    bool *done = calloc(c->n_threads + 1u, sizeof *done);
    if (!done)
        return;
    for (uint32_t i = 0; i < c->n_threads; i++) {
        const struct crash_thread *t = &c->threads[i];
        if (done[i] || (int32_t)i == c->crashed_thread)
            continue;
        if (every) {
            (void)fprintf(x->out->f, "\n%sThread ", out_style(x->out, STYLE_BOLD));
            put_thread_name(x, t);
            (void)fprintf(x->out->f, "%s\n", out_plain(x->out));
            show_frames(x, t);
            if (x->s->options.registers && t->has_registers)
                show_registers(x, t);
        } else {
            if (c->crashed_thread >= 0)
                done[c->crashed_thread] = true;
            put_group(x, t, i, done);
        }
    }
    free(done);
}

void show_registers(const struct show *x, const struct crash_thread *thread)
{
    uint16_t arch = x->l->crash->arch;
    size_t columns = x->out->columns ? x->out->columns : 100;
    unsigned a_line = columns >= 100 ? 4 : columns >= 76 ? 3 : columns >= 52 ? 2 : 1;
    unsigned n = explain_n_registers(arch);
    for (unsigned i = 0; i < n; i++) {
        (void)fprintf(x->out->f, "%s%4s %016" PRIx64, i % a_line ? "  " : "  ",
            explain_register_name(arch, i), thread->registers[i]);
        if (i % a_line == a_line - 1 || i + 1 == n)
            (void)fputc('\n', x->out->f);
    }
}

void show_damage(const struct show *x)
{
    const struct crash *c = x->l->crash;
    if (!c->n_damages && !c->n_notes && !c->n_other_crashes)
        return;
    show_head(x, "About this report");
    for (uint32_t i = 0; i < c->n_other_crashes; i++)
        (void)fprintf(x->out->f,
            "  Thread %" PRIu32 " crashed as well (signal %d) while it was written.\n",
            c->other_crashes[i].tid, c->other_crashes[i].signo);
    for (uint32_t i = 0; i < c->n_damages && i < CRASH_MAX_DAMAGES; i++)
        (void)fprintf(x->out->f, "  Not whole: %s, at offset %" PRIu64 ".\n",
            c->damages[i].what, c->damages[i].offset);
    for (uint32_t i = 0; i < c->n_notes; i++) {
        char text[96];
        const struct knell_capture_note *note = &c->notes[i];
        notes_text(note, text, sizeof text);
        /* There is a report: it took another way into its file. */
        if (note->step == KNELL_STEP_OPEN && note->reason < KNELL_NOTE_FAULT) {
            (void)fputs("  Its file had been closed or removed and was opened anew; "
                        "nothing is missing for that.\n",
                x->out->f);
            continue;
        }
        (void)fprintf(x->out->f, "  The capture is incomplete: %s.\n", text);
    }
}
