/**
 * The journal of this process: a mapped file in live/ that outlives it. See
 * include/knell/journal.h for the format.
 */
#pragma once
#include "crash/areas.h"
#include "crash/identity.h"
#include "crash/modules.h"
#include "crash/settings.h"
#include "crash/spool.h"
#include <knell/journal.h>

struct kn_journal {
    struct kn_file file;
    uint32_t n_bytes;
    struct knell_journal_head *head;   /* shared mapping; NULL: none */
    struct kn_areas *areas;            /* of the mapping; kn_areas_publish() opens them */
    struct knell_journal_crash *words; /* of the mapping */
};

/**
 * Make, size, lock and map the file STEM.jnl in live/ and write its head; the state
 * is then KNELL_RUN_STARTING.
 *
 * Context: normal.
 * @ret  end with kn_journal_retire()
 * Returns 0 or a negative errno.
 */
int kn_journal_create(struct kn_journal *ret, const struct kn_spool *spool,
    const char *stem, const struct kn_settings *settings, const struct kn_identity *id,
    const struct kn_modules *modules);

/**
 * Context: any.
 * @state  enum knell_run_state
 */
void kn_journal_set_state(struct kn_journal *j, uint32_t state);

/**
 * Mark the journal clean, remove its file and close it. The mapping stays: other threads
 * may be writing into it.
 *
 * Context: normal.
 */
void kn_journal_retire(
    struct kn_journal *j, const struct kn_spool *spool, const char *stem);

/**
 * Around fork(2), for pthread_atfork(3): keep a private copy of the journal until the
 * parent goes on. Waits for nobody; without memory the child has no journal.
 *
 * Context: normal, on the thread that forks. errno is kept.
 */
void kn_journal_fork_prepare(void);
void kn_journal_fork_parent(void);

/**
 * In a fork child: let go of the parent's file and put the copy in its place, at the same
 * address, so that what the child says is its own and the parent's is as it was.
 *
 * Context: fork child: async-signal-safe calls only.
 */
void kn_journal_fork_child(struct kn_journal *j);
