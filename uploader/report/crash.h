/**
 * A parsed report: plain structures with one owner. parse.c fills everything but the
 * frames, unwind.c the frames' addresses, frames.c their names. Every string and array
 * lives in the crash's arena until crash_free().
 */
#pragma once
#include "symbolize/wish.h"

#include <knell/journal.h>
#include <knell/minidump.h>
#include <knell/symbolize.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct journal;
struct journal_pair;

/* How a frame was found, most reliable first. Names as in the event protocol. */
enum crash_trust {
    CRASH_TRUST_CONTEXT = 0, /* the registers themselves */
    CRASH_TRUST_CFI,         /* call frame information of the module with this build-id */
    CRASH_TRUST_PREWALKED,   /* seen by the handler, in the dying process */
    CRASH_TRUST_FP,          /* frame pointers */
    CRASH_TRUST_SCAN,        /* a word on the stack that points behind a call */
};

struct crash_frame {
    uint64_t pc; /* as found: return addresses are not adjusted */
    enum knell_frame_kind kind;
    enum crash_trust trust;
    int32_t module; /* index into modules; -1: none */
    bool inlined;   /* inlined into the next frame; same pc */
    bool in_app;
    uint32_t
        n_skipped; /* frames of the stack between the one before and this, left out */
    enum knell_symbol_status status;
    const char *function, *symbol, *file, *directory; /* NULL: unknown */
    uint32_t line, column;
    uint64_t function_address;
    const char *const *context;
    uint32_t n_before, n_context;
};

enum {
    CRASH_N_REGISTERS = 33
}; /* amd64: DWARF order rax..r15, rip; arm64: x0..x30 sp pc */

struct crash_thread {
    uint32_t tid;
    const char *name; /* NULL: unknown */
    enum knell_thread_how how;
    bool crashed;
    bool has_registers;
    uint64_t registers[CRASH_N_REGISTERS];
    const uint8_t *context; /* into the report's bytes, of its architecture's
                               knell_md_context; NULL: has none */
    uint64_t stack_start;
    const uint8_t *stack; /* into the report's bytes */
    uint32_t n_stack;
    struct crash_frame *frames; /* innermost first */
    uint32_t n_frames;
    bool truncated; /* more frames than KNELL_MAX_FRAMES */
};

struct crash_module {
    uint64_t base, size;
    const char *path;
    uint8_t build_id[KNELL_MAX_BUILD_ID_BYTES];
    uint32_t n_build_id;
    enum knell_symbol_status
        status; /* what the symbolizer made of it, for the frames seen */
    enum knell_symbol_status debug_status; /* OK, or why there is no debug information */
    enum wish_answer fetched;              /* what the servers of debug files said */
    bool asked;                            /* some frame lies in it */
    bool no_image; /* the file that says how to unwind it was not to be had */
};

struct crash_memory {
    uint64_t start;
    const uint8_t *bytes; /* into the report's bytes */
    uint32_t n_bytes;
};

struct crash_text {
    const char *text; /* not NUL-terminated; NULL: absent */
    uint32_t n_bytes;
};

/* A part of the report that was left out because it is not whole. */
struct crash_damage {
    const char *what; /* static */
    uint64_t offset;
};
enum { CRASH_MAX_DAMAGES = 16 };

struct crash {
    struct arena *arena;
    const uint8_t *bytes; /* the whole report; owned by the caller of the parser */
    size_t n_bytes;

    uint16_t arch;              /* KNELL_MINIDUMP_ARCH_* */
    const char *os_description; /* uname text */
    uint8_t n_cpus;
    uint32_t pid;
    uint32_t start_time_s;
    uint32_t time_s; /* when the report was written */

    struct crash_damage damages[CRASH_MAX_DAMAGES];
    uint32_t n_damages; /* may be more than are kept */
    bool is_changed;    /* since the last commit: the checksum is not that of the bytes;
                           one of the damages */

    bool has_signal;
    struct knell_signal_record signal; /* of the crashed thread */
    struct knell_signal_record *other_crashes;
    uint32_t n_other_crashes;
    int32_t crashed_thread;           /* index; -1: none */
    const uint8_t *exception_context; /* as a thread's; may be the same; NULL: none */

    struct crash_thread *threads; /* the crashed one first */
    uint32_t n_threads;
    struct crash_module *modules; /* in the order of the dump: the executable first */
    uint32_t n_modules;
    const uint32_t *modules_by_base; /* indices */
    struct crash_memory *memory;     /* sorted by start, no two overlap; the threads'
                                        stacks are among them */
    uint32_t n_memory;
    struct crash_memory *listed; /* the same as in the dump, where some may overlap */
    uint32_t n_listed;

    uint32_t prewalked_tid;
    const uint64_t *prewalked; /* frames from the handler, innermost first */
    uint32_t n_prewalked;
    uint32_t n_prewalked_skipped; /* left out behind the first KNELL_FIRST_FRAMES */

    const struct knell_journal_head
        *journal;                    /* checked copy; NULL: the report has none */
    struct crash_text journal_image; /* head and areas, as in the report */
    const struct journal *said; /* what the areas hold, for the thread that the report is
                                   about; NULL: nothing */
    const struct knell_item_head *item_head; /* checked; NULL: a signal made the report */
    const struct journal_pair *item_pairs;   /* texts */
    uint32_t n_item_pairs;
    struct crash_text maps, proc_status, os_release, cpu_info, cmd_line, facts;
    struct crash_text abort_message, cxx_exception, item;
    const struct knell_capture_note *notes;
    uint32_t n_notes;
};
