/**
 * All memory of the handler. crash/arm.c fills struct kn_process while that is safe;
 * struct kn_capture is one report in the making, mapped and touched before it is needed.
 */
#pragma once
#include "crash/handler/file.h"
#include "crash/handler/jump.h"
#include "crash/handler/module.h"
#include "crash/handler/sink.h"
#include "crash/handler/sys.h"
#include <knell/journal.h>
#include <knell/minidump.h>
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

enum {
    KN_N_SIGNALS = 7,
    KN_MAX_STREAMS = 32,
    KN_MAX_NOTES = 48,
    KN_MAX_MEMORY = 48,         /* ranges besides the stacks */
    KN_MAX_LATE_MODULES = 1024, /* loaded after knell_start() */
    KN_MAX_OTHERS = 64,         /* crashes while the report is written */
    KN_MAX_MAPS = 65536,        /* as many as Linux allows unless told otherwise */
    KN_LIVE_NAME_BYTES = 128,
    KN_SPOOL_PATH_BYTES = 1024,
    KN_CXX_BYTES = 1024,
    KN_SCRATCH_BYTES = 4096,
};

/* SEGV BUS FPE ILL ABRT TRAP SYS, the order of kn_process.old. */
extern const int kn_signals[KN_N_SIGNALS];

/* How the C++ runtime tells what was thrown; NULL where there is none. */
struct kn_cxx {
    void *(*current_type)(void); /* abi::__cxa_current_exception_type */
    void *(*globals)(void);      /* abi::__cxa_get_globals */
    void *exception_type;        /* typeid(std::exception) */
};

struct kn_process {
    int32_t pid;   /* whose report this is; a vfork child sees another getpid(2) */
    bool has_file; /* dump is this process's own, reserved file in live/ */
    struct kn_file dump, live, fresh, proc, spare;
    uint8_t *dump_map; /* the beginning of dump; NULL: none */
    uint32_t n_dump_map;
    char spool_path[KN_SPOOL_PATH_BYTES];
    char live_name[KN_LIVE_NAME_BYTES];
    uint8_t event_id[16], boot_id[16];
    struct knell_journal_head *journal; /* to write into; NULL: none, or not any more */
    const struct knell_journal_head *image; /* to be copied; NULL: none */
    uint32_t n_journal;
    struct knell_journal_crash *words; /* in the journal; NULL: none */
    struct kn_modules modules;
    uint64_t page, vdso, n_vdso;
    uint64_t main_stack_end; /* arguments and environment lie above: not for reports */
    const char *const *abort_message; /* glibc's __abort_msg; NULL: unknown */
    char os[256];
    struct knell_md_system_info system; /* csd_version_rva is the report's business */
    uint64_t start_realtime_ns;
    int park_signal;
    struct kn_sigaction park; /* as it was installed */
    uint32_t deadline_ms;
    struct kn_sigaction old[KN_N_SIGNALS];
    bool sanitizes;  /* stacks and memory, see sanitize.h */
    uint32_t mended; /* bit per signal whose faults the previous handler mends */
    struct kn_cxx cxx;
};

/* [start, end) of one mapping; what it allows rides in the low bits of end. */
enum {
    KN_MAP_READ = 1,
    KN_MAP_WRITE = 2,
    KN_MAP_EXEC = 4,
    KN_MAP_FLAGS = 0xfff,
};
struct kn_map {
    uint64_t start, end_flags;
};

enum kn_thread_state {
    KN_THREAD_FREE = 0,
    KN_THREAD_ASKED,
    KN_THREAD_HERE, /* uc is valid for as long as the thread is parked */
    KN_THREAD_DEAF, /* it blocks the signal or is gone */
};

struct kn_thread {
    uint32_t state; /* enum kn_thread_state; atomic */
    uint32_t tid;
    const ucontext_t *uc;
    uint64_t stack_start;
    uint32_t stack_rva, n_stack, context_rva, name_rva;
    uint32_t how; /* enum knell_thread_how; 0: gone before it was read */
};

/* Where the parts of a module's record lie in the file. */
struct kn_placed {
    uint32_t name_rva, id_rva;
};

struct kn_capture {
    struct kn_process *process;
    const ucontext_t *uc;  /* of the crashed thread */
    const siginfo_t *info; /* NULL: no signal made this report */
    int32_t signo;
    uint32_t tid;
    uint64_t time_ns;
    char sender[20];  /* name of the process that sent the signal; "": unknown */
    const void *item; /* stream KNELL_STREAM_ITEM of a report that no signal made */
    uint32_t n_item;
    bool alone;    /* the other threads are not stopped and not in the report */
    uint32_t step; /* enum knell_capture_step now running */

    struct knell_md_directory streams[KN_MAX_STREAMS];
    uint32_t n_streams;
    struct knell_capture_note notes[KN_MAX_NOTES];
    uint32_t n_notes;
    struct knell_md_memory memory[KN_MAX_MEMORY];
    uint32_t n_memory;
    uint32_t n_commits;
    uint64_t start_ns;   /* CLOCK_MONOTONIC, when the deadline began */
    uint64_t soft_limit; /* on file sizes, as it was before it was raised */
    bool has_raised_limit;
    uint32_t n_report_bytes; /* length of the file as of the last commit */
    bool is_durable;         /* a commit of it is */

    struct kn_thread *threads; /* the crashed one first */
    uint32_t n_threads, max_threads;
    uint32_t n_threads_dropped;
    uint32_t n_asked, n_here, wanted; /* atomic; wanted: wake the writer then */
    uint32_t n_deaf;                  /* of those asked: they will not come */

    struct kn_map *maps; /* sorted */
    uint32_t n_maps, n_maps_dropped;
    bool lacks_maps; /* some were not read: of those behind the last nothing is known */

    uint8_t stale[KNELL_MAX_MODULES / 8]; /* bit per module that is no longer there */
    struct kn_module late[KN_MAX_LATE_MODULES];
    char late_paths[KN_MAX_LATE_MODULES][256];
    uint32_t n_late, n_late_dropped;
    struct kn_placed placed[KNELL_MAX_MODULES];

    uint64_t frames[KNELL_MAX_FRAMES]; /* see unwind.c */
    uint32_t n_frames;                 /* all that were walked */
    uint32_t frames_how, n_frames_put;

    struct kn_sink sink;
    uint8_t scratch[KN_SCRATCH_BYTES];
};

/**
 * Note that a step did not fully succeed. Kept in the report; never an error.
 *
 * Context: signal handler.
 * @reason  negative errno, or 0 for "@count did not fit"
 */
void kn_note(struct kn_capture *c, int reason, uint32_t count);

/**
 * Bytes of memory that kn_capture_at() needs.
 *
 * Context: any.
 */
size_t kn_capture_bytes(uint32_t max_threads);

/**
 * Lay a capture out in @memory.
 *
 * Context: any.
 * @memory  kn_capture_bytes(@max_threads) zeroed bytes, aligned for any type
 */
struct kn_capture *kn_capture_at(
    void *memory, uint32_t max_threads, struct kn_process *process);

/**
 * Make a used capture ready for another report. Keeps process and memory.
 *
 * Context: signal handler.
 */
void kn_capture_reset(struct kn_capture *c);
