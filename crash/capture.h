/**
 * Handled errors, messages and hangs: a live report through the handler's writer.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

struct kn_live_report {
    const ucontext_t *uc; /* of the calling thread */
    const void *item;     /* stream KNELL_STREAM_ITEM */
    uint32_t n_item;
    bool all_threads;
    uint64_t time_ns;
    uint8_t event_id[16]; /* out */
};

/**
 * Write one; in arm.c, which owns what the writer works with.
 *
 * Context: normal. One at a time; others wait, as does knell_stop().
 * Returns 0; -ENODEV when not armed, -EBUSY while a crash is reported, -EIO when nothing
 * could be written.
 */
int kn_arm_live(struct kn_live_report *report);

struct kn_hang {
    char name[40];
    uint32_t tid; /* of the last beat */
    uint32_t deadline_ms;
    uint64_t late_ms;
};

/**
 * Report a loop that missed its deadline, with all threads.
 *
 * Context: normal, the watchdog's thread.
 */
void kn_capture_hang(const struct kn_hang *hang);
