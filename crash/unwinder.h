/**
 * What the handler may use of libraries that libknell must not need: libunwind, and the
 * C++ runtime. Looked up at start; missing ones cost only what they would have told.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Context: normal; takes the loader's lock, may allocate.
 */
void kn_unwinder_init(struct kn_unwinder *ret);
void kn_cxx_init(struct kn_cxx *ret);

/**
 * glibc's variable that holds the message of abort(3), NULL where there is none.
 *
 * Context: normal.
 */
const char *const *kn_abort_message(void);
