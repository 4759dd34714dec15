/**
 * A program that dies as it is told:
 *
 *     victim [-u] [-t THREADS] [-d DEADLINE_MS] [-w WORLD]... [-f FAILPOINT] DEATH
 *
 * -u runs without knell. Before it dies it says on standard output which thread dies and
 * in which function: "tid=N low=0xA high=0xB".
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct named {
    const char *name;
    void (*run)(void);
};
/* Each ends with one without a name. */
extern const struct named deaths[], deaths_inside[], deaths_elsewhere[];
extern const struct named worlds[], worlds_around[], worlds_threads[];
extern bool with_knell;
/* What a victim ends with when its world cannot be had on this machine. */
enum { VICTIM_CANNOT = 77 };

/* Say that this thread dies now, in @function. */
void last_words(const void *function);
/* Run @f in a thread of its own, after knell_thread_enter() when @enter, and wait. */
void in_thread(void (*f)(void), bool enter);
/* Functions in which victims die; each dies 50 calls deep. */
void die_deep(int depth, void (*f)(void));
void null_write(void);
/* The same, at the end of 50 calls. */
void null_write_deep(void);
/* Wait for a thread to be in a state of proc(5), 'S' for asleep; some seconds at most,
 * for it may be stopped or not be seen. */
void wait_for_state(pid_t tid, char state);
/* End the program without a crash: because of a fault in the test; because this machine
 * has not what is needed. */
void fail(const char *what) __attribute__((noreturn));
void cannot(const char *what) __attribute__((noreturn));
