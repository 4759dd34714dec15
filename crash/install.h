/**
 * Put the handlers in and take them out again.
 */
#pragma once
#include "crash/handler/state.h"

/**
 * Choose a real-time signal that nobody handles, for stopping threads.
 *
 * Context: normal.
 * Returns it, or -EBUSY.
 */
int kn_install_choose_signal(void);

/**
 * Install the handlers for what is in @p, remembering the previous ones in p->old.
 *
 * Context: normal.
 * Returns 0 or a negative errno; then nothing is installed.
 */
int kn_install(struct kn_process *p);

/**
 * Where the first crash signal that does not come to us goes now: "SIGSEGV goes to
 * libfoo.so"; empty when all come to us.
 *
 * Context: normal; takes the loader's lock.
 */
void kn_install_describe(char *out, size_t n);

/**
 * Install the handlers again where they were replaced. What is there now runs after a
 * report, as what was there at the start does.
 *
 * Context: normal.
 * Returns how many were, or a negative errno.
 */
int kn_install_again(struct kn_process *p);

/**
 * sigaction(2) for a program whose crash signals keep coming to our handlers: what it
 * installs runs after them, and what it is told is what it installed.
 *
 * Context: any; async-signal-safe.
 * @set, @get  as of sigaction(2); may be NULL
 * Returns false for a signal that is not ours; nothing is done then.
 */
bool kn_install_behind(
    struct kn_process *p, int signo, const struct sigaction *set, struct sigaction *get);

/**
 * kn_install_behind() for the armed process; in arm.c.
 *
 * Context: any; async-signal-safe.
 * Returns false where sigaction(2) is to be called instead.
 */
bool kn_arm_behind(int signo, const struct sigaction *set, struct sigaction *get);

/**
 * The process is about to end by _exit(2), or to become another program by execve(2):
 * that is no death to be explained. In arm.c.
 *
 * Context: any; async-signal-safe.
 * @ends  false: it did not come to that
 */
void kn_arm_ends(bool ends);

/**
 * Give a fork child that is not covered a journal and a file of its own, while it may
 * still make them. Does nothing elsewhere. In arm.c.
 *
 * Context: normal.
 */
void kn_arm_cover_child(void);

/**
 * Put the previous handlers back where ours still are.
 *
 * Context: normal.
 */
void kn_uninstall(const struct kn_process *p);
