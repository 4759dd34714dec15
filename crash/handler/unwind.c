#include "crash/handler/unwind.h"

#include "crash/handler/cfi.h"
#include "crash/handler/failpoint.h"
#include "crash/handler/maps.h"
#include "crash/handler/memory.h"
#include "crash/handler/minidump.h"
#include "crash/handler/modules.h"
#include "crash/handler/regs.h"

#include "crash/handler/poison.h"

enum {
    HOW_CFI = 1,
    HOW_FRAME_POINTERS = 2,
    MAX_FP_STEP_BYTES = 1024 * 1024,
    MAX_WALK = 1 << 18, /* frames: more than a stack of 8 MiB holds */
    LAST_FRAMES = KNELL_MAX_FRAMES - KNELL_FIRST_FRAMES,
};

static struct kn_cursor cursor; /* too large for this stack */

/* The first ones stay; of the others the newest LAST_FRAMES, going round. */
static void add_frame(struct kn_capture *c, uint64_t pc)
{
    uint32_t i = c->n_frames++;
    if (i >= KNELL_FIRST_FRAMES)
        i = KNELL_FIRST_FRAMES + (i - KNELL_FIRST_FRAMES) % LAST_FRAMES;
    c->frames[i] = pc;
}

/* A call through a bad pointer has no frame of its own to unwind: the walk begins where
 * it came from. (The frame pointer leads past the caller.) */
static void undo_wild_call(struct kn_capture *c)
{
    uint64_t pc = kn_regs_pc(c->uc), top = 0, back, sp;
    const struct kn_map *m = kn_maps_find(c, pc);
    if ((!m && !kn_maps_tell(c, pc)) || (m && m->end_flags & KN_MAP_EXEC) ||
        !kn_memory_word(kn_regs_sp(c->uc), &top))
        return;
    kn_regs_undo_call(c->uc, top, &back, &sp);
    if (!kn_modules_find(c, back))
        return;
    add_frame(c, pc);
    cursor.r[KN_REGISTER_PC] = back;
    cursor.r[KN_REGISTER_SP] = sp;
    cursor.exact = false;
}

static bool step_frame_pointer(const struct kn_capture *c)
{
    uint64_t fp = cursor.r[KN_REGISTER_FP], sp = cursor.r[KN_REGISTER_SP];
    uint64_t link[2]; /* the caller's frame pointer, the return address */
    if (fp < sp || fp - sp > MAX_FP_STEP_BYTES || fp % 8 ||
        !kn_memory_copy(link, fp, sizeof link))
        return false;
    uint64_t pc = kn_regs_plain_pc(link[1]);
    if (!pc || !kn_modules_find(c, pc))
        return false;
    cursor.r[KN_REGISTER_FP] = link[0];
    cursor.r[KN_REGISTER_SP] = fp + sizeof link;
    cursor.r[KN_REGISTER_PC] = pc;
    cursor.exact = false;
    return true;
}

static bool step(struct kn_capture *c)
{
    if (kn_regs_step_signal(cursor.r)) {
        cursor.exact = true;
        return true;
    }
    const struct kn_module *m = kn_modules_find(c, cursor.r[KN_REGISTER_PC]);
    switch (m ? kn_cfi_step(m, &cursor) : KN_CFI_NONE) {
    case KN_CFI_STEP:
        return true;
    case KN_CFI_END:
        return false;
    default:
        c->frames_how = HOW_FRAME_POINTERS;
        return step_frame_pointer(c);
    }
}

void kn_unwind(struct kn_capture *c)
{
    const char *name;
    kn_memory_forget();
    kn_cfi_forget();
    c->n_frames = c->n_frames_put = 0;
    c->frames_how = HOW_CFI;
    for (unsigned i = 0; i < KN_N_REGISTERS; i++)
        cursor.r[i] = kn_regs_get(c->uc, i, &name);
    cursor.exact = true;
    undo_wild_call(c);
    do {
        add_frame(c, cursor.r[KN_REGISTER_PC]);
        KN_FAILPOINT("unwind.step");
    } while (c->n_frames < MAX_WALK && step(c));
}

void kn_unwind_put(struct kn_capture *c)
{
    struct knell_frames_head head = {
        .tid = c->tid, .how = c->frames_how, .n_frames = c->n_frames};
    uint32_t from = c->n_frames, middle = KNELL_MAX_FRAMES;
    if (c->n_frames_put == c->n_frames)
        return;
    c->n_frames_put = c->n_frames;
    if (c->n_frames > KNELL_MAX_FRAMES) { /* the oldest of the last ones comes first */
        head.n_frames = KNELL_MAX_FRAMES;
        head.n_skipped = c->n_frames - KNELL_MAX_FRAMES;
        from = KNELL_FIRST_FRAMES;
        middle = from + (c->n_frames - from) % LAST_FRAMES;
    }
    kn_sink_align(&c->sink, 8);
    uint32_t at = kn_sink_at(&c->sink);
    kn_sink_put(&c->sink, &head, sizeof head);
    kn_sink_put(&c->sink, c->frames, from * sizeof *c->frames);
    if (head.n_skipped) {
        kn_sink_put(&c->sink, c->frames + middle,
            (KNELL_MAX_FRAMES - middle) * sizeof *c->frames);
        kn_sink_put(&c->sink, c->frames + from, (middle - from) * sizeof *c->frames);
    }
    kn_stream(c, KNELL_STREAM_FRAMES, at, kn_sink_at(&c->sink) - at);
}
