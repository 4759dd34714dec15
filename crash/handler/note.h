/**
 * The note of a signal that is about to end the process by its default action. Nothing
 * else happens: the signal then does what it would have done.
 */
#pragma once
#include <knell/journal.h>
#include <signal.h>

struct kn_note_place {
    const struct knell_journal_head
        *head;                           /* whose process this is; NULL: take no notes */
    struct knell_journal_status *status; /* in the same journal */
};

/**
 * Say where notes go from now on.
 *
 * Context: any.
 * @place  both live for as long as the process; {NULL, NULL}: nowhere
 */
void kn_note_to(struct kn_note_place place);

/**
 * The handler of SIGTERM, SIGHUP, SIGPIPE and their like where they had the default
 * action.
 *
 * Context: signal handler.
 */
void kn_on_ending_signal(int signo, siginfo_t *info, void *context);
