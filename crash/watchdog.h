/**
 * The hang watchdog's thread, see knell_watch() in <knell/capture.h>.
 */
#pragma once

/**
 * End the thread and wait for it.
 *
 * Context: normal; not from the watchdog's own thread.
 */
void kn_watchdog_stop(void);

/**
 * Context: fork child; async-signal-safe. The thread is not here.
 */
void kn_watchdog_fork_child(void);
