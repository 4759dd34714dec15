/**
 * Transactions and spans, see <knell/trace.h>.
 */
#pragma once
#include "crash/self.h"

#include <knell/trace.h>

/**
 * Show what is open in a scope that is being bound, and keep what was open outside of it;
 * the other way round when it is unbound.
 *
 * Context: normal, on the thread itself.
 */
void kn_span_bind(struct kn_self *t, struct knell_scope *scope);
void kn_span_unbind(struct kn_self *t, struct knell_scope *scope);

/**
 * Drop a reference held in a scope or of a thread, which is NULL afterwards.
 *
 * Context: normal.
 */
void kn_span_let_go(struct knell_span **span);

/**
 * In a fork child: what the parent began is the parent's to send.
 *
 * Context: fork child; async-signal-safe.
 */
void kn_span_fork_child(void);

/**
 * The ids of the calling thread's open span.
 *
 * Context: normal.
 * Returns whether there is one; else they are zeroed.
 */
bool kn_span_ids(uint8_t trace_id[static 16], uint8_t span_id[static 8]);

/**
 * What spans of this journal send on: the DSN's public key, release and environment.
 *
 * Context: normal, before @a is published.
 */
void kn_span_start_with(
    struct kn_areas *a, const char *dsn, const char *release, const char *environment);
