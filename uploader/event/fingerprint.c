#include "uploader/event/fingerprint.h"

#include "uploader/report/frames.h"
#include "uploader/report/signal_words.h"

#include <stdio.h>
#include <string.h>

enum { MAX_GROUPING_FRAMES = 8 };

static uint64_t hash(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3;
    return h;
}

static uint64_t hash_frame(uint64_t h, const struct crash *c, const struct crash_frame *f)
{
    const struct crash_module *m = f->module < 0 ? NULL : &c->modules[f->module];
    const char *module = path_base(m ? m->path : NULL);
    if (f->function) {
        h = hash(h, module, strlen(module) + 1);
        return hash(h, f->function, strlen(f->function) + 1);
    }
    uint64_t offset = m ? f->pc - m->base : 0;
    if (m)
        h = hash(h, m->build_id, m->n_build_id);
    return hash(h, &offset, sizeof offset);
}

/* The frames that group: the application's; all, when none is. */
static uint32_t grouping_frames(
    const struct crash *c, const struct crash_frame *ret[static MAX_GROUPING_FRAMES])
{
    const struct crash_thread *t =
        c->crashed_thread < 0 ? NULL : &c->threads[c->crashed_thread];
    uint32_t n = 0;
    for (int any = 0; t && !n && any < 2; any++) {
        for (uint32_t i = 0; i < t->n_frames && n < MAX_GROUPING_FRAMES; i++) {
            if (any || t->frames[i].in_app)
                ret[n++] = &t->frames[i];
        }
    }
    return n;
}

void fingerprint_signature(
    const struct crash *c, char out[static FINGERPRINT_SIGNATURE_BYTES])
{
    const struct crash_frame *frames[MAX_GROUPING_FRAMES];
    uint32_t n = grouping_frames(c, frames);
    int32_t signo = c->has_signal ? c->signal.signo : 0;
    uint64_t h = hash(0xcbf29ce484222325, &signo, sizeof signo);
    for (uint32_t i = 0; i < n; i++)
        h = hash_frame(h, c, frames[i]);
    h = (h >> 48 ^ h) & 0xffffffffffff;
    (void)snprintf(out, FINGERPRINT_SIGNATURE_BYTES, "%012llx", (unsigned long long)h);
}

uint32_t fingerprint_parts(
    const struct crash *c, const char *ret[static FINGERPRINT_MAX_PARTS])
{
    const struct crash_frame *frames[MAX_GROUPING_FRAMES];
    uint32_t n = grouping_frames(c, frames), parts = 0;
    const char *signal = c->has_signal ? signal_words_name(c->signal.signo) : NULL;
    ret[parts++] = signal ? signal : "signal";
    for (uint32_t i = 0; i < n; i++) {
        if (frames[i]->function)
            ret[parts++] = frames[i]->function;
    }
    return parts > 1 ? parts : 0;
}
