/**
 * The deaths that test_crash runs, one line each. Numbers are those of scenarios.list,
 * which says where the others are and which there cannot be.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
    ANY = -1000,
    CODE_KERNEL = 0x80,
};
#define ANYWHERE (~0ull)
#define AT_PC (~0ull - 1)

/* Above those of enum run_flags. */
enum scenario_flags {
    ALL_COUNTS = 1 << 16, /* matters with many threads: also run with 8 and 500 */
    ROOT = 1 << 17,       /* the victim itself needs privileges */
    ANY_THREAD = 1 << 18,
    OTHER_STATUS = 1 << 19, /* SIGSEGV or SIGABRT wins */
    NO_FRAMES = 1 << 20,    /* the stack itself is lost */
    NO_FUNCTION = 1 << 21,  /* frames, but not the function of the last words */
    MAY_STAY = 1 << 22,     /* something is left in live/ */
    IN_LIVE = 1 << 23,      /* the report is whole, but cannot leave live/ */
    NO_JOURNAL = 1 << 24,   /* its image is lost */
    PLAIN = 1 << 25,        /* a sanitizer's runtime changes what happens */
    DEAF_THREAD = 1 << 26,  /* one thread hears no signal and is asleep */
    LOST_THREAD = 1 << 27,  /* ... and is busy */
    ONE_THREAD = 1 << 28,   /* the one that fork(2) was called by */
    RUN_FLAGS = 0xffff,
};

struct scenario {
    int number; /* 0: beyond the list */
    const char *name, *args;
    int n_reports, signo, code;
    uint64_t address;
    unsigned n_frames; /* at least */
    const char *text;  /* in the abort message, the facts or the output */
    unsigned flags;
};

extern const struct scenario scenarios[];
extern const size_t n_scenarios;
