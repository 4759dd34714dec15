/**
 * Where signals arrive: the order of a capture, and what contains its failures.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * The handler of the fatal signals.
 *
 * Context: signal handler.
 */
void kn_on_signal(int signo, siginfo_t *info, void *uc);

/**
 * The handler of the park signal: another thread's stop, or this capture's deadline.
 *
 * Context: signal handler.
 */
void kn_on_park(int signo, siginfo_t *info, void *uc);

/**
 * Say which process and memory the handlers work with; NULL: none.
 *
 * Context: any.
 */
void kn_entry_arm(struct kn_capture *c);

/**
 * The process that the handlers work for; NULL: none.
 *
 * Context: signal handler.
 */
struct kn_process *kn_entry_process(void);

/**
 * Write a report that no signal made, with a deadline, faults contained, and all threads
 * going on afterwards.
 *
 * Context: normal, never in a signal handler.
 * @c  reset; with uc, time_ns, item and alone set, its process without a file
 * Returns 0; -EBUSY when another report is being written, as of a crash; -EIO when none
 * could be committed.
 */
int kn_capture_live(struct kn_capture *c);
