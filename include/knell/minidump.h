/**
 * THE report format: the parts of Microsoft's minidump that knell writes and reads, and
 * the streams of its own. All little-endian; structures are packed to 4 bytes as the
 * format's consumers expect.
 *
 * A report is one file. Its first 32 bytes stay zero until everything that the directory
 * names is in the file; writing the header is the commit. A later commit appends new
 * lists and a new directory and writes the header again. A file that does not begin with
 * KNELL_MINIDUMP_MAGIC is not a report.
 *
 * The last commit has a checksum, so that what a disk or a person changed later is told
 * from what the process said: knell_journal_sum() of the header with 0 for the checksum,
 * and from there to the directory's end of each KNELL_SUM_PIECE_BYTES, seeded with the
 * sum so far, the header with 0. Without one (0) the capture was cut off, or the file
 * could not be read back.
 *
 * Source: minidumpapiset.h as documented by Microsoft; the Linux extensions
 * (0x4767...., 0x4350....) as read by LLDB, Breakpad and Crashpad.
 */
#ifndef KNELL_MINIDUMP_H
#define KNELL_MINIDUMP_H

#include <assert.h>
#include <stdint.h>

enum {
    KNELL_MINIDUMP_MAGIC = 0x504d444d, /* "MDMP" */
    KNELL_MINIDUMP_VERSION = 0xa793,
    KNELL_MINIDUMP_PLATFORM_LINUX = 0x8201,
    KNELL_MINIDUMP_ARCH_AMD64 = 9,
    KNELL_MINIDUMP_ARCH_ARM64 = 12,
    KNELL_MINIDUMP_CV_ELF = 0x4270454c, /* bytes 4C 45 70 42, then the build-id */
    KNELL_MINIDUMP_CONTEXT_AMD64 =
        0x0010000f, /* control, integer, segments, floating point */
    KNELL_MINIDUMP_CONTEXT_ARM64 = 0x00400007, /* control, integer, floating point */
};
/* Exception code of a report that no signal made (Breakpad's "dump requested"). */
#define KNELL_EXCEPTION_REQUESTED 0xffffffffu

/* Limits of writer and reader alike: what is beyond is dropped and counted by the
 * writer, refused by name by the reader. */
enum {
    KNELL_MAX_STREAMS = 64,
    KNELL_MAX_THREADS = 16384,
    KNELL_MAX_MODULES = 2048,
    KNELL_MAX_MEMORY_RANGES = 65536,
    KNELL_MAX_STRING_BYTES = 8192,
    KNELL_MAX_FRAMES = 512,
    KNELL_FIRST_FRAMES = 384, /* of these; the others are the last of a deeper stack */
    KNELL_MAX_BUILD_ID_BYTES = 64,
    KNELL_SUM_PIECE_BYTES = 16384,
};
#define KNELL_MAX_REPORT_BYTES (256u << 20)

/* Stands in memory for a word that was taken out: the value that Breakpad's sanitizer
 * uses, twice. */
#define KNELL_SANITIZED_WORD 0x0defaced0defacedull

enum knell_stream_type {
    KNELL_STREAM_THREAD_LIST = 3,
    KNELL_STREAM_MODULE_LIST = 4,
    KNELL_STREAM_MEMORY_LIST = 5,
    KNELL_STREAM_EXCEPTION = 6,
    KNELL_STREAM_SYSTEM_INFO = 7,
    KNELL_STREAM_MISC_INFO = 15,
    KNELL_STREAM_THREAD_NAMES = 24,
    KNELL_STREAM_LINUX_CPU_INFO = 0x47670003,
    KNELL_STREAM_LINUX_PROC_STATUS = 0x47670004,
    KNELL_STREAM_LINUX_LSB_RELEASE = 0x47670005, /* text of /etc/os-release */
    KNELL_STREAM_LINUX_CMD_LINE = 0x47670006,    /* only when asked for */
    KNELL_STREAM_LINUX_AUXV = 0x47670008,
    KNELL_STREAM_LINUX_MAPS = 0x47670009,    /* /proc/self/maps, verbatim */
    KNELL_STREAM_CRASHPAD_INFO = 0x43500001, /* annotations foreign tools show */

    KNELL_STREAM_JOURNAL = 0x4b4e0001,        /* image of the journal, see journal.h */
    KNELL_STREAM_FRAMES = 0x4b4e0002,         /* struct knell_frames_head, then pcs */
    KNELL_STREAM_CAPTURE_LOG = 0x4b4e0003,    /* array of struct knell_capture_note */
    KNELL_STREAM_ABORT_MESSAGE = 0x4b4e0004,  /* text, no NUL */
    KNELL_STREAM_THREAD_METHODS = 0x4b4e0005, /* array of struct knell_thread_method */
    KNELL_STREAM_CXX_EXCEPTION = 0x4b4e0006,  /* mangled type, '\n', what(); no NUL */
    KNELL_STREAM_FACTS = 0x4b4e0007,          /* lines KEY=VALUE, '\n' after each */
    KNELL_STREAM_SIGNAL = 0x4b4e0008,         /* struct knell_signal_record */
    KNELL_STREAM_OTHER_CRASHES =
        0x4b4e0009,                 /* array of struct knell_signal_record: threads
                                       that crashed while the report was written */
    KNELL_STREAM_ITEM = 0x4b4e000a, /* the handled error or message of a report that
                                       no signal made, see journal.h */
};

#pragma pack(push, 4)
struct knell_md_location {
    uint32_t n_bytes;
    uint32_t rva; /* offset from the file's start */
};
struct knell_md_header {
    uint32_t magic, version, n_streams, directory_rva, checksum, time_s;
    uint64_t flags;
};
struct knell_md_directory {
    uint32_t type; /* enum knell_stream_type */
    struct knell_md_location at;
};
struct knell_md_memory {
    uint64_t start;
    struct knell_md_location at;
};
struct knell_md_thread { /* list: u32 count, then these; the crashed thread first */
    uint32_t tid, suspend_count, priority_class, priority;
    uint64_t teb;
    struct knell_md_memory stack;
    struct knell_md_location context;
};
struct knell_md_module { /* list: u32 count, then these; the executable first */
    uint64_t base;
    uint32_t size, checksum, time_s, name_rva;
    uint32_t version_info[13];
    struct knell_md_location cv_record; /* u32 KNELL_MINIDUMP_CV_ELF, then the build-id */
    struct knell_md_location misc_record;
    uint32_t reserved[4];
};
struct knell_md_exception {
    uint32_t tid, alignment0;
    uint32_t code;  /* signal number */
    uint32_t flags; /* si_code */
    uint64_t record;
    uint64_t address; /* si_addr; the pc when a process sent the signal */
    uint32_t n_parameters, alignment1;
    uint64_t parameters[15]; /* sent by a process: pid, uid; SIGSYS: number, AUDIT_ARCH */
    struct knell_md_location context;
};
struct knell_md_system_info {
    uint16_t arch, cpu_level, cpu_revision;
    uint8_t n_cpus, product_type;
    uint32_t major, minor, build, platform, csd_version_rva;
    uint16_t suite_mask, reserved;
    uint32_t cpu[6];
};
struct knell_md_misc_info {
    uint32_t n_bytes, flags; /* flags: 1 pid, 2 times */
    uint32_t pid, create_time_s, user_time_s, kernel_time_s;
};
struct knell_md_thread_name { /* list: u32 count, then these */
    uint32_t tid;
    uint64_t name_rva;
};
struct knell_md_crashpad_info {
    uint32_t version; /* 1 */
    uint8_t report_id[16], client_id[16];
    struct knell_md_location simple_annotations; /* u32 count, then {u32 key, u32 value}
                                                    rvas of u32 length + UTF-8 + NUL */
    struct knell_md_location module_list;
    uint32_t reserved;
    uint64_t address_mask;
};
struct knell_md_context_amd64 {
    uint64_t home[6];
    uint32_t flags, mxcsr;
    uint16_t cs, ds, es, fs, gs, ss;
    uint32_t eflags;
    uint64_t dr[6];
    uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15,
        rip;
    uint8_t fxsave[512];
    uint8_t vector[416];
    uint64_t vector_control, debug[5];
};
struct knell_md_context_arm64 {
    uint32_t flags, cpsr;
    uint64_t x[31], sp, pc;
    uint8_t v[32][16];
    uint32_t fpcr, fpsr;
    uint32_t bcr[8];
    uint64_t bvr[8];
    uint32_t wcr[2];
    uint64_t wvr[2];
};

/* How a frame or a thread's registers were found, most reliable first. */
enum knell_thread_how {
    KNELL_THREAD_SIGNAL = 1,  /* the thread copied its own registers */
    KNELL_THREAD_SYSCALL = 2, /* pc and sp from /proc/self/task/TID/syscall */
    KNELL_THREAD_NONE = 3,    /* running and deaf: no registers */
};
struct knell_thread_method {
    uint32_t tid, how; /* enum knell_thread_how */
};

struct knell_frames_head {
    uint32_t tid;
    uint32_t how; /* 1 call frame information alone, 2 with frame pointers */
    uint32_t
        n_frames; /* u64 pcs follow, innermost first; return addresses not adjusted */
    uint32_t n_skipped; /* frames behind the first KNELL_FIRST_FRAMES that are not here */
};

/* The steps of a capture, in their order. */
enum knell_capture_step {
    KNELL_STEP_WORDS = 1, /* signal, registers and some stack into the journal */
    KNELL_STEP_OPEN,      /* find or make the file */
    KNELL_STEP_MODULES,   /* which of the known ones are still there */
    KNELL_STEP_MAPS,      /* /proc/self/maps */
    KNELL_STEP_CRASHED,   /* registers and stack of the crashed thread */
    KNELL_STEP_SIGNAL,    /* exception */
    KNELL_STEP_MODULE_LIST,
    KNELL_STEP_SYSTEM, /* system, process, annotations */
    KNELL_STEP_JOURNAL,
    KNELL_STEP_MESSAGE, /* of abort(3) */
    KNELL_STEP_MEMORY,  /* around the registers */
    KNELL_STEP_COMMIT_1,
    KNELL_STEP_FRAMES,  /* seen from inside */
    KNELL_STEP_FREEZE,  /* stop the other threads */
    KNELL_STEP_THREADS, /* their registers and stacks */
    KNELL_STEP_TEXTS,   /* status, os-release, facts, vDSO */
    KNELL_STEP_COMMIT_2,
    KNELL_STEP_CXX, /* type and what() of a C++ exception */
    KNELL_STEP_COMMIT_3,
    KNELL_STEP_PUBLISH, /* move to new/ */
    KNELL_STEP_END,
};

/* Reasons of a note that are no errno. */
enum knell_note_reason {
    KNELL_NOTE_FAULT = 0x8000,    /* + signal number: the step itself faulted */
    KNELL_NOTE_DEADLINE = 0x9000, /* the step was cut off */
    KNELL_NOTE_ENDED = 0xa000,    /* the capture ended in this step, before anything was
                                     committed: the report was made of the journal */
};

/* A step of the capture that did not fully succeed. */
struct knell_capture_note {
    uint16_t step;   /* enum knell_capture_step */
    uint16_t reason; /* errno; 0 with a count means: this many did not fit */
    uint32_t count;
};

struct knell_signal_record {
    uint32_t tid;
    int32_t signo, code, error; /* si_signo, si_code, si_errno */
    uint64_t address;           /* si_addr, when the kernel raised it */
    uint64_t pc;
    uint32_t sender_pid, sender_uid; /* when a process raised it */
    uint64_t time_ns;                /* CLOCK_REALTIME */
};
#pragma pack(pop)

static_assert(sizeof(struct knell_md_header) == 32, "on-disk size is fixed");
static_assert(sizeof(struct knell_md_directory) == 12, "on-disk size is fixed");
static_assert(sizeof(struct knell_md_thread) == 48, "on-disk size is fixed");
static_assert(sizeof(struct knell_md_module) == 108, "on-disk size is fixed");
static_assert(sizeof(struct knell_md_exception) == 168, "on-disk size is fixed");
static_assert(sizeof(struct knell_md_system_info) == 56, "on-disk size is fixed");
static_assert(sizeof(struct knell_md_thread_name) == 12, "on-disk size is fixed");
static_assert(sizeof(struct knell_md_crashpad_info) == 64, "on-disk size is fixed");
static_assert(sizeof(struct knell_md_context_amd64) == 1232, "on-disk size is fixed");
static_assert(sizeof(struct knell_md_context_arm64) == 912, "on-disk size is fixed");
static_assert(sizeof(struct knell_signal_record) == 48, "on-disk size is fixed");

#endif
