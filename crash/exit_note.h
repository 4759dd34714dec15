/**
 * Notes of the ways to end that no crash handler sees but that are no SIGKILL either:
 * exit(3), and signals left at a default action that ends the process. Both end it
 * exactly as without a note; the next start then knows better than to say SIGKILL.
 */
#pragma once
#include "crash/areas.h"

/**
 * Begin to take notes. Signals that are ignored or handled are left alone.
 *
 * Context: normal.
 */
void kn_exit_note_start(struct kn_areas *a);

/**
 * Put the default actions back where nobody else put a handler.
 *
 * Context: normal.
 */
void kn_exit_note_stop(void);
