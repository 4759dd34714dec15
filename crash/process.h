/**
 * Everything the handler will need, gathered while it is safe.
 */
#pragma once
#include "crash/handler/state.h"
#include "crash/identity.h"
#include "crash/journal.h"
#include "crash/settings.h"
#include "crash/spool.h"

/**
 * Memory of one capture, with unreadable pages around it, its first parts touched.
 *
 * Context: normal.
 * @ret  free with kn_process_free_capture()
 * Returns 0 or a negative errno.
 */
int kn_process_new_capture(
    struct kn_process *p, uint32_t max_threads, struct kn_capture **ret);
void kn_process_free_capture(struct kn_capture *c);

/**
 * Fill in what only the loader knows: modules, the C++ runtime, libc's message of
 * abort(3).
 *
 * Context: normal, not in the child of a fork(2): takes the loader's lock.
 * @executable  path of the program
 * Returns 0 or a negative errno.
 */
int kn_process_ask_loader(struct kn_process *p, const char *executable);

/**
 * Fill @p; what the loader knows, old handlers and the reserved file are the caller's.
 *
 * Context: normal.
 */
void kn_process_init(struct kn_process *p, const struct kn_settings *settings,
    const struct kn_identity *id, const struct kn_spool *spool,
    const struct kn_journal *journal, const char *stem);

/**
 * Close what kn_process_init() and kn_process_reserve() opened.
 *
 * Context: normal.
 */
void kn_process_done(struct kn_process *p);

/**
 * Make the file of the report, STEM.dmp in live/, and set aside room in it, so that a
 * full disk cannot take it away. Its beginning is mapped as well: a daemon that closes
 * all its descriptors and becomes another user can write there still. A child of fork(2)
 * has not that mapping.
 *
 * Context: normal.
 * Returns 0 or a negative errno. A file without room or mapping is no error.
 */
int kn_process_reserve(
    struct kn_process *p, const struct kn_spool *spool, const char *stem);
