/**
 * What the report says besides memory: the signal, the system, release and environment,
 * the journal, the message of abort(3).
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Fill the record of a signal.
 *
 * Context: signal handler.
 */
void kn_signal_record(struct knell_signal_record *ret, uint32_t tid,
    const siginfo_t *info, const ucontext_t *uc, uint64_t time_ns);

/**
 * The name of the process that sent the signal, for the facts; before it is gone.
 *
 * Context: signal handler.
 */
void kn_evidence_sender(struct kn_capture *c);

/**
 * Exception and signal streams; nothing when no signal made this report.
 *
 * Context: signal handler.
 */
void kn_evidence_signal(struct kn_capture *c);

/**
 * SystemInfo, MiscInfo and the annotations that foreign tools show.
 *
 * Context: signal handler.
 */
void kn_evidence_system(struct kn_capture *c);

/**
 * The image of the journal.
 *
 * Context: signal handler.
 */
void kn_evidence_journal(struct kn_capture *c);

/**
 * glibc's message of abort(3): a failed assertion, a corrupted heap.
 *
 * Context: signal handler.
 */
void kn_evidence_abort_message(struct kn_capture *c);
