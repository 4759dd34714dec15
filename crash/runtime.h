/**
 * What the handler may use of libraries that libknell must not need: the C++ runtime.
 * Looked up at start; a missing one costs only what it would have told.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Context: normal; takes the loader's lock.
 */
void kn_cxx_init(struct kn_cxx *ret);

/**
 * glibc's variable that holds the message of abort(3), NULL where there is none.
 *
 * Context: normal.
 */
const char *const *kn_abort_message(void);
