#include "uploader/report/unwind.h"

#include "uploader/report/arena.h"
#include "uploader/report/parse.h"
#include "uploader/report/unwind_cfi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_TOTAL_FRAMES = 200000, /* of all threads: beyond it each keeps its first */
    MAX_SCAN_WORDS = 1024,
    MAX_SCANS = 16, /* per thread */
};

/* The registers that a walk needs, by number in struct crash_thread. */
struct layout {
    uint8_t pc, sp, fp, lr;
};
static const struct layout amd64 = {16, 7, 6, 0};
static const struct layout arm64 = {32, 31, 29, 30};

struct walk {
    const struct crash *c;
    struct code_map *map;
    struct unwind_cfi *cfi; /* NULL: this machine cannot */
    const struct layout *at;
    uint64_t r[CRASH_N_REGISTERS];
    struct crash_frame *frames; /* room for max */
    uint32_t n, max, scans;
    bool complete; /* frame information said that this is the outermost frame */
};

const char *crash_trust_name(enum crash_trust trust)
{
    static const char *const names[] = {
        [CRASH_TRUST_CONTEXT] = "context",
        [CRASH_TRUST_CFI] = "cfi",
        [CRASH_TRUST_PREWALKED] = "prewalked",
        [CRASH_TRUST_FP] = "fp",
        [CRASH_TRUST_SCAN] = "scan",
    };
    return names[trust];
}

static bool is_arm64(const struct walk *w)
{
    return w->at == &arm64;
}

/* Signed return addresses of arm64 carry their signature above the address bits. */
static uint64_t plain(const struct walk *w, uint64_t pc)
{
    return is_arm64(w) ? pc & 0x0000ffffffffffff : pc;
}

static bool word(struct walk *w, uint64_t address, uint64_t *ret)
{
    const uint8_t *p = crash_memory_at(w->c, address, sizeof *ret);
    if (p)
        memcpy(ret, p, sizeof *ret);
    return p;
}

/* The caller's pc and sp into the registers. */
static void move(struct walk *w, uint64_t pc, uint64_t sp)
{
    w->r[w->at->pc] = plain(w, pc);
    w->r[w->at->sp] = sp;
}

static bool step_frame_pointer(struct walk *w)
{
    uint64_t fp = w->r[w->at->fp], next_fp, pc;
    if (fp % 8 || fp < w->r[w->at->sp] || !word(w, fp, &next_fp) || !word(w, fp + 8, &pc))
        return false;
    pc = plain(w, pc);
    if (!code_map_executable(w->map, pc) || code_map_after_call(w->map, pc) == 0)
        return false;
    w->r[w->at->fp] = next_fp;
    move(w, pc, fp + 16);
    return true;
}

/* The next word on the stack that points behind a call. Where the code is not at hand to
 * say so, only the first few words are believed. */
static bool step_scan(struct walk *w)
{
    enum { BLIND_WORDS = 64 };
    if (w->scans++ >= MAX_SCANS)
        return false;
    uint64_t sp = (w->r[w->at->sp] + 7) & ~7ull, value;
    for (int i = 0; i < MAX_SCAN_WORDS && word(w, sp, &value); i++, sp += 8) {
        value = plain(w, value);
        if (!code_map_executable(w->map, value))
            continue;
        int call = code_map_after_call(w->map, value);
        if (call == 1 || (call < 0 && i < BLIND_WORDS)) {
            move(w, value, sp + 8);
            return true;
        }
    }
    return false;
}

/* From the kernel's return from a signal handler to what it interrupted, on arm64: the
 * vDSO's own information gives the link register for the pc. The registers lie in the
 * order of struct crash_thread in struct rt_sigframe of the kernel, behind siginfo_t and
 * the beginning of struct ucontext. */
static bool step_signal_frame(struct walk *w)
{
    enum { REGISTERS = 128 + 176 + 8 };
    const uint8_t *p = crash_memory_at(w->c, w->r[w->at->sp] + REGISTERS, sizeof w->r);
    if (p)
        memcpy(w->r, p, sizeof w->r);
    return p;
}

/* A jump to an address that is no code: the call that went there has pushed its return
 * address, or put it into the link register, and no frame was made. */
static bool step_bad_call(struct walk *w)
{
    uint64_t sp = w->r[w->at->sp], pc;
    if (is_arm64(w)) {
        pc = plain(w, w->r[w->at->lr]);
        sp -= 8;
    } else if (!word(w, sp, &pc)) {
        return false;
    }
    if (!code_map_executable(w->map, pc) || code_map_after_call(w->map, pc) == 0)
        return false;
    move(w, pc, sp + 8);
    return true;
}

static void push(struct walk *w, enum knell_frame_kind kind, enum crash_trust trust)
{
    uint64_t pc = w->r[w->at->pc];
    if (code_map_is_sigreturn(w->map, pc))
        kind = KNELL_FRAME_EXACT; /* no call leads there: the byte before is another's */
    w->frames[w->n++] = (struct crash_frame){
        .pc = pc,
        .kind = kind,
        .trust = trust,
        .module = crash_module_at(w->c, kind == KNELL_FRAME_RETURN && pc ? pc - 1 : pc),
        .status = KNELL_SYMBOL_NOT_FOUND,
    };
}

/* From the last frame to its caller. False at the end. */
static bool step(struct walk *w)
{
    const struct crash_frame *f = &w->frames[w->n - 1];
    uint64_t pc = w->r[w->at->pc], sp = w->r[w->at->sp];
    bool sigreturn = code_map_is_sigreturn(w->map, pc);
    enum crash_trust trust = CRASH_TRUST_CFI;

    if (f->kind == KNELL_FRAME_EXACT && !code_map_executable(w->map, pc)) {
        if (step_bad_call(w)) {
            push(w, KNELL_FRAME_RETURN, CRASH_TRUST_SCAN);
            return true;
        }
    } else if (sigreturn && is_arm64(w)) {
        if (!step_signal_frame(w))
            return false;
        push(w, KNELL_FRAME_EXACT, CRASH_TRUST_CFI);
        return true;
    } else if (w->cfi) {
        bool exact = f->kind == KNELL_FRAME_EXACT || sigreturn;
        switch (unwind_cfi_step(w->cfi, w->r, exact ? pc : pc - 1)) {
        case UNWIND_CFI_END:
            w->complete = true;
            return false;
        case UNWIND_CFI_STEP:
            /* A signal may have come in on another stack; a call stays on its own. Where
             * no call was made yet, a function may have no frame. */
            if (sigreturn || w->r[w->at->sp] > sp ||
                (is_arm64(w) && w->r[w->at->sp] == sp && f->kind == KNELL_FRAME_EXACT)) {
                w->r[w->at->pc] = plain(w, w->r[w->at->pc]);
                push(w, sigreturn ? KNELL_FRAME_EXACT : KNELL_FRAME_RETURN, trust);
                return true;
            }
            return false;
        case UNWIND_CFI_NONE:
            break;
        }
    }
    if (step_frame_pointer(w))
        trust = CRASH_TRUST_FP;
    else if (step_scan(w))
        trust = CRASH_TRUST_SCAN;
    else
        return false;
    push(w, KNELL_FRAME_RETURN, trust);
    return true;
}

/* The frames that the handler saw take over where the walk here stops being certain:
 * behind the last frame that both know. */
static void use_prewalked(struct walk *w)
{
    const struct crash *c = w->c;
    uint32_t same = 0, certain = 0; /* how many of the first frames */
    while (certain < w->n && w->frames[certain].trust <= CRASH_TRUST_CFI)
        certain++;
    while (
        same < w->n && same < c->n_prewalked && w->frames[same].pc == c->prewalked[same])
        same++;
    /* A stack deeper than what is kept of it: its end is what the handler saw. */
    if (c->n_prewalked_skipped && same > KNELL_FIRST_FRAMES)
        same = KNELL_FIRST_FRAMES;
    if (w->complete && (certain == w->n || same == w->n))
        return;
    same = same < certain ? same : certain;
    if (!same || c->n_prewalked <= same || (w->complete && c->n_prewalked < w->n))
        return;
    w->n = same;
    while (w->n < w->max && w->n < c->n_prewalked) {
        bool after_signal = code_map_is_sigreturn(w->map, w->frames[w->n - 1].pc);
        w->r[w->at->pc] = c->prewalked[w->n];
        push(w, after_signal ? KNELL_FRAME_EXACT : KNELL_FRAME_RETURN,
            CRASH_TRUST_PREWALKED);
        if (w->n - 1 == KNELL_FIRST_FRAMES)
            w->frames[w->n - 1].n_skipped = c->n_prewalked_skipped;
    }
}

static int walk_thread(struct walk *w, struct crash_thread *t, uint32_t max)
{
    struct crash_frame buffer[KNELL_MAX_FRAMES];
    if (!t->has_registers)
        return 0;
    w->frames = buffer;
    w->max = max;
    w->n = w->scans = 0;
    w->complete = false;
    memcpy(w->r, t->registers, sizeof w->r);
    push(w, KNELL_FRAME_EXACT, CRASH_TRUST_CONTEXT);
    while (w->n < w->max && step(w))
        ;
    if (t->tid == w->c->prewalked_tid && w->c->n_prewalked)
        use_prewalked(w);
    bool has_end = w->n > KNELL_FIRST_FRAMES && w->frames[KNELL_FIRST_FRAMES].n_skipped;
    t->truncated = w->n == w->max && !(has_end && w->n == w->c->n_prewalked);
    t->frames = arena_array(w->c->arena, w->n, sizeof *t->frames);
    if (!t->frames)
        return -ENOMEM;
    memcpy(t->frames, buffer, w->n * sizeof *t->frames);
    t->n_frames = w->n;
    return 0;
}

int report_unwind(struct crash *c, const struct report_unwind_options *options)
{
    static const struct report_unwind_options defaults;
    if (!options)
        options = &defaults;
    uint32_t max = options->max_frames, total = 0;
    if (!max || max > KNELL_MAX_FRAMES)
        max = KNELL_MAX_FRAMES;
    struct walk w = {
        .c = c, .at = c->arch == KNELL_MINIDUMP_ARCH_ARM64 ? &arm64 : &amd64};
    int err = code_map_new(c, options, &w.map);
    if (!err)
        err = unwind_cfi_new(c, w.map, &w.cfi);
    for (uint32_t i = 0; !err && i < c->n_threads; i++) {
        err = walk_thread(&w, &c->threads[i], total < MAX_TOTAL_FRAMES ? max : 1);
        total += c->threads[i].n_frames;
    }
    unwind_cfi_free(w.cfi);
    for (uint32_t i = 0; !err && i < c->n_modules; i++)
        c->modules[i].no_image = code_map_lacks_file(w.map, i);
    code_map_free(w.map);
    return err;
}
