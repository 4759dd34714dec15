/**
 * Phase 2's texts: what /proc says about the process, the system's name, facts of the
 * moment, and the vDSO, which lies in no file.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Append them.
 *
 * Context: signal handler.
 */
void kn_texts_put(struct kn_capture *c);
