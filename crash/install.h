/**
 * Put the handlers in and take them out again.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Choose a real-time signal that nobody handles, for stopping threads.
 *
 * Context: normal.
 * Returns it, or -EBUSY.
 */
int kn_install_choose_signal(void);

/**
 * Install the handlers for what is in @p, remembering the previous ones in p->old.
 *
 * Context: normal.
 * Returns 0 or a negative errno; then nothing is installed.
 */
int kn_install(struct kn_process *p);

/**
 * Put the previous handlers back where ours still are.
 *
 * Context: normal.
 */
void kn_uninstall(const struct kn_process *p);
