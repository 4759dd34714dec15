/**
 * Knell's own mapped files, whose pages may go away under a store: by a disk that is full
 * when a page is to be copied, an I/O error, or somebody who cuts the file. The daemon
 * did nothing wrong and must not die of it.
 */
#pragma once
#include "crash/handler/state.h"

enum kn_mended { KN_MENDED_JOURNAL = 0, KN_MENDED_SEGMENT, KN_N_MENDED };

/**
 * Say where a file is mapped from now on.
 *
 * Context: any.
 * @base  NULL: not any more
 */
void kn_mend_watch(enum kn_mended what, const void *base, size_t n_bytes);

/**
 * Whether pages of it have gone away since it is watched.
 *
 * Context: any.
 */
bool kn_mend_has_lost(enum kn_mended what);

/**
 * Put memory in the place of a page that the kernel could not give: with what can still
 * be read there, else zeros.
 *
 * Context: signal handler; any thread, several at once.
 * Returns whether the interrupted code can go on.
 */
bool kn_mend(const struct kn_process *p, int signo, const siginfo_t *info);
