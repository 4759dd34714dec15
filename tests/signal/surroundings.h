/**
 * What a victim finds around it when it is run, made by a privileged runner: file
 * systems, namespaces, a memory group, a debugger.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

enum run_flags {
    RUN_AS_NOBODY = 1,      /* no capabilities, no new privileges */
    RUN_AS_INIT = 2,        /* PID 1 of a namespace */
    RUN_ON_TMPFS = 4,       /* the spool is a file system of RUN_TMPFS_BYTES */
    RUN_BARE = 8,           /* without knell */
    RUN_CORE = 16,          /* core dumps are on; addresses are not random */
    RUN_ON_DISK = 32,       /* the spool is an ext4 of its own */
    RUN_NO_PROC = 128,      /* nothing is mounted on /proc */
    RUN_HIDDEN_PROC = 256,  /* /proc shows only what is one's own (hidepid) */
    RUN_SMALL_MEMORY = 512, /* a memory group of RUN_MEMORY_BYTES */
    RUN_TRACED = 1024,      /* a debugger is attached and passes on every signal */
    RUN_ON_FUSE = 2048,     /* the spool is served by the process $VICTIM_SERVER */
};
#define RUN_TMPFS "size=2m"
enum {
    RUN_MEMORY_BYTES = 24 << 20,
};

struct surroundings {
    const char *dir, *spool; /* the victim's, made; borrowed */
    unsigned flags;
    char group[256]; /* folder of the memory group; "": none */
    pid_t server;    /* of the spool's file system; 0: none */
};

/* Why this process cannot make what @flags ask for; NULL: it can. */
const char *surroundings_missing(unsigned flags);

/* Before the victim is forked. False when something could not be made after all. */
bool surroundings_make(struct surroundings *s);

/* In the child that becomes the victim, still privileged. Ends it on failure. */
void surroundings_enter(const struct surroundings *s);

/* Follow a process that was forked for it and calls surroundings_be_traced(), to its end,
 * with all its threads. Returns its wait status. */
int surroundings_trace(pid_t pid, int ready);
void surroundings_be_traced(int ready);

/* The victim is gone: let its files be read again. */
void surroundings_after(const struct surroundings *s);

/* Take down what surroundings_make() made. */
void surroundings_end(const struct surroundings *s);
