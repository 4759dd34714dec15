#include "crash/handler/state.h"

#include <stddef.h>
#include <string.h>

#include "crash/handler/poison.h"

const int kn_signals[KN_N_SIGNALS] = {
    SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

void kn_note(struct kn_capture *c, int reason, uint32_t count)
{
    if (c->n_notes >= KN_MAX_NOTES)
        return;
    c->notes[c->n_notes++] =
        (struct knell_capture_note){(uint16_t)c->step, (uint16_t)-reason, count};
}

static size_t round_up(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

size_t kn_capture_bytes(uint32_t max_threads)
{
    return round_up(sizeof(struct kn_capture)) +
           round_up(max_threads * sizeof(struct kn_thread)) +
           round_up(KN_MAX_MAPS * sizeof(struct kn_map));
}

struct kn_capture *kn_capture_at(
    void *memory, uint32_t max_threads, struct kn_process *process)
{
    struct kn_capture *c = (struct kn_capture *)memory;
    uint8_t *p = (uint8_t *)memory + round_up(sizeof *c);
    c->process = process;
    c->threads = (struct kn_thread *)p;
    c->max_threads = max_threads;
    c->maps = (struct kn_map *)(p + round_up(max_threads * sizeof(struct kn_thread)));
    c->sink.fd = -1;
    return c;
}

void kn_capture_reset(struct kn_capture *c)
{
    memset(c->threads, 0, c->n_threads * sizeof *c->threads);
    c->n_streams = c->n_notes = c->n_memory = c->n_commits = c->n_report_bytes = 0;
    c->n_threads = c->n_threads_dropped = c->n_asked = c->n_here = c->wanted = 0;
    c->n_deaf = 0;
    c->n_maps = c->n_maps_dropped = c->n_late = c->n_late_dropped = c->n_frames =
        c->n_frames_put = 0;
    memset(c->stale, 0, sizeof c->stale);
    c->info = NULL;
    c->sender[0] = 0;
    c->item = NULL;
    c->n_item = 0;
    c->lacks_maps = false;
    c->alone = c->is_durable = c->has_raised_limit = false;
    c->signo = 0;
    c->sink.fd = -1;
    c->sink.map = NULL;
    kn_sink_rewind(&c->sink, 0);
}
