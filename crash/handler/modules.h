/**
 * The module list: what crash/modules.c read at start and is still there, then what
 * /proc/self/maps showed besides.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Mark the modules of the table whose build-id is no longer in memory.
 *
 * Context: signal handler; before kn_maps_read().
 */
void kn_modules_check(struct kn_capture *c);

/**
 * Read build-id and unwind table of the modules that kn_maps_read() found, and append the
 * module list.
 *
 * Context: signal handler.
 */
void kn_modules_put(struct kn_capture *c);

/**
 * The module that holds @pc, else NULL.
 *
 * Context: signal handler.
 */
const struct kn_module *kn_modules_find(const struct kn_capture *c, uint64_t pc);
