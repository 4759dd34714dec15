/**
 * Who writes the report: the first thread to crash. The others wait and are listed.
 */
#pragma once
#include "crash/handler/state.h"

enum {
    KN_RESCUE_MS = 7000, /* after the deadline: another thread ends the process */
};

enum kn_turn {
    KN_TURN_FIRST, /* write the report */
    KN_TURN_AGAIN, /* this thread already writes one: the handler itself faulted */
    KN_TURN_RETRY, /* another thread wrote one and the process lives on: enter again */
    KN_TURN_NEVER, /* the writer took far too long */
};

/**
 * Take the turn, or wait for the one who has it: until the process is gone, its previous
 * handler recovered, or a while after the deadline.
 *
 * Context: signal handler.
 */
enum kn_turn kn_gate_enter(
    struct kn_process *p, const siginfo_t *info, const ucontext_t *uc);

/**
 * Take the turn if nobody has it, for a report that no signal made.
 *
 * Context: any.
 */
bool kn_gate_try(void);

/**
 * Take the turn when nobody has it, to put the handlers away: not while a crash of
 * another thread is written down. Usually that one ends the process.
 *
 * Context: any; waits.
 * @deadline_ms  of a capture
 * Returns false when the turn was not to be had, a while after the deadline or because
 * this thread has it.
 */
bool kn_gate_wait(uint32_t deadline_ms);

/**
 * Keep a signal that somebody sent to the writer until the turn is given back: it says
 * nothing about the report, and is not to be lost where the process lives on.
 *
 * Context: signal handler, by the thread that has the turn.
 */
void kn_gate_keep(const siginfo_t *info);

/**
 * Give the turn back: the process lives on. What was kept meanwhile is sent again, as it
 * came, and arrives where the thread's mask lets it.
 *
 * Context: any, by the thread that has it.
 */
void kn_gate_leave(void);

/**
 * Whether this thread has the turn.
 *
 * Context: signal handler.
 */
bool kn_gate_is_mine(void);

/**
 * In the child of a fork(2), where the thread that had the turn is not.
 *
 * Context: any.
 */
void kn_gate_fork_child(void);

/**
 * Where thread @tid crashed, when it waits at the gate; else NULL.
 *
 * Context: signal handler.
 */
const ucontext_t *kn_gate_crashed_too(uint32_t tid);

/**
 * Append the records of the threads that wait at the gate.
 *
 * Context: signal handler.
 */
void kn_gate_put_others(struct kn_capture *c);
