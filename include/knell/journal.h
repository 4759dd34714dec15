/**
 * THE journal format: one memory-mapped file per process in the spool's live/ folder,
 * with what must not be computed at crash time and must not die with the process. The
 * handler copies its image into the report (KNELL_STREAM_JOURNAL), so a report needs no
 * other file; a journal whose process is gone without a clean exit becomes a report.
 *
 * Little-endian. The head has fixed offsets; everything else is an area named by the
 * table in the head, so that a reader skips areas it does not know.
 *
 * The file is written by many threads at any instant and may be read or copied at any
 * instant, so nothing in it is believed for its place alone: every piece carries a
 * checksum (knell_journal_sum) over all that it says, and what does not match is torn and
 * is not shown. What must survive a death in the middle of its own writing is kept twice
 * (tags, scopes, session, trace): the older copy stays whole until the newer one is.
 */
#ifndef KNELL_JOURNAL_H
#define KNELL_JOURNAL_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    KNELL_JOURNAL_MAGIC = 0x4c4e4a4b, /* "KJNL" */
    KNELL_JOURNAL_VERSION = 1,
    KNELL_JOURNAL_MAX_AREAS = 16,
};
#define KNELL_JOURNAL_MAX_BYTES (8u << 20)

enum knell_run_state {
    KNELL_RUN_STARTING = 0,
    KNELL_RUN_RUNNING = 1,
    KNELL_RUN_CRASHING = 2, /* a handler has begun; no report is committed yet */
    KNELL_RUN_DUMPED = 3,   /* a report was committed */
    KNELL_RUN_CLEAN = 4,    /* knell_stop() was called */
};

enum knell_journal_flags {
    KNELL_JOURNAL_NOTES_EXIT = 1,    /* exit(3) is noted, see knell_journal_status */
    KNELL_JOURNAL_NOTES_SIGNALS = 2, /* so are the signals whose default is to end */
    KNELL_JOURNAL_FORKED = 4,        /* the image of a fork child: the session is its
                                        parent's */
};

enum knell_journal_area_type {
    KNELL_AREA_STATUS = 1,  /* struct knell_journal_status, then counts of threads */
    KNELL_AREA_SESSION = 2, /* struct knell_journal_session */
    KNELL_AREA_TAGS = 3,    /* array of struct knell_journal_tag: the global scope's */
    KNELL_AREA_SCOPE = 4,   /* struct knell_journal_scope: the rest of the global scope */
    KNELL_AREA_HEARTS = 5,  /* array of struct knell_journal_heart */
    KNELL_AREA_BLOCKS = 6,  /* blocks, each begins with struct knell_journal_block; the
                               last area of the image that a report holds */
    KNELL_AREA_CRASH = 7,   /* struct knell_journal_crash */
    KNELL_AREA_MODULES = 8, /* struct knell_journal_modules, as of the start */
};

struct knell_journal_area {
    uint32_t type; /* enum knell_journal_area_type; 0 ends the table */
    uint32_t offset, n_bytes;
    uint32_t reserved;
};

/* Strings are UTF-8, cut to fit, always NUL-terminated; empty means unknown. */
struct knell_journal_head {
    uint32_t magic;
    uint16_t version, head_bytes;
    uint32_t total_bytes; /* of the file */
    uint32_t state;       /* enum knell_run_state; atomic */
    uint8_t event_id[16];
    uint8_t boot_id[16];
    uint32_t pid;
    int32_t crash_signo;        /* set with KNELL_RUN_CRASHING; with KNELL_RUN_RUNNING:
                                   reported, and a handler of the program's own went on */
    uint64_t start_ticks;       /* proc(5) stat field 22: with boot id and pid, unique */
    uint64_t start_realtime_ns; /* when knell_start() was called */
    uint64_t start_boottime_ns;
    uint64_t oom_kills_at_start; /* memory.events oom_kill of the cgroup; ~0 unknown */
    uint64_t heartbeat_ns;       /* CLOCK_REALTIME of the last sign of life; atomic */
    uint32_t used_bytes; /* atomic; what is beyond was never written and need not be
                            copied: an image in a report is this long or longer */
    uint32_t flags;      /* enum knell_journal_flags */
    char app[64];
    char release[208];
    char environment[72];
    char dist[72];
    char server_name[256];
    char executable[512];
    char cgroup[256];
    char kernel[128]; /* uname: release */
    char libc[64];    /* gnu_get_libc_version() with "glibc " before it */
    char sdk[32];     /* "knell 0.1.0" */
    struct knell_journal_area areas[KNELL_JOURNAL_MAX_AREAS];
};
static_assert(
    sizeof(struct knell_journal_head) % 8 == 0, "areas after the head stay aligned");

/**
 * The checksum of every piece below. Not for secrets: it tells torn from whole.
 *
 * @seed  ties the bytes to their place or version; any
 * Returns never 0, so that zeroed memory does not match.
 */
static inline uint32_t knell_journal_sum(const void *bytes, size_t n, uint64_t seed)
{
    const uint8_t *p = (const uint8_t *)bytes;
    uint64_t h = seed ^ (n * 0x9e3779b97f4a7c15u), word;
    size_t left = n;
    for (; left >= 8; p += 8, left -= 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    word = 0;
    if (left > 0 && n >= 8) { /* the last 8 bytes at once: no call for a few of them */
        memcpy(&word, p + left - 8, 8);
        word >>= 8 * (8 - left);
    } else if (left > 0) {
        memcpy(&word, p, left);
    }
    h = (h ^ word) * 0xc4ceb9fe1a85ec53u;
    h ^= h >> 32;
    return (uint32_t)h ? (uint32_t)h : 1;
}

/* Counters and notes; each word is atomic by itself. */
enum knell_journal_count {
    KNELL_COUNT_BREADCRUMBS_LOST, /* the ring's slot was busy */
    KNELL_COUNT_CUT,              /* texts cut to their limit */
    KNELL_COUNT_SCOPE_LOST,       /* tags, contexts … for which there was no room */
    KNELL_COUNT_SCOPES_LOST,      /* threads whose scope found no room in the journal */
    KNELL_COUNT_CAPTURED,         /* handled errors and messages written */
    KNELL_COUNT_SUPPRESSED,       /* … not written: too many of the same */
    KNELL_COUNT_SAMPLED_OUT,      /* … not written: sample_rate */
    KNELL_COUNT_FAILED,           /* … not written: the file system said no */
    KNELL_COUNT_TRACES_SAMPLED_OUT,
    KNELL_COUNT_TRACES_IGNORED, /* dropped by the program's filter */
    KNELL_COUNT_TRACES,         /* transactions written */
    KNELL_COUNT_SPANS_LOST,
    KNELL_COUNT_LOGS,
    KNELL_COUNT_LOGS_LOST,
    KNELL_COUNT_HANGS,
    KNELL_N_COUNTS = 24, /* room for later ones */
};
struct knell_journal_status {
    uint64_t counts[KNELL_N_COUNTS];
    uint64_t
        vm_oom_kills_at_start; /* /proc/vmstat oom_kill, of the machine; ~0 unknown */
    uint64_t memory_max_bytes; /* of the cgroup; ~0 none or unknown */
    uint64_t reserved[4];
    uint32_t exiting;     /* 1: exit(3) was called */
    int32_t exit_status;  /* with it */
    int32_t noted_signal; /* a signal ends the process by its default action; 0: none */
    uint32_t noted_sender_pid;
};
static_assert(sizeof(struct knell_journal_status) == 256, "on-disk size is fixed");

/* More of the same counts, by threads that do not take a line of memory from each other:
 * as many as fit in the area behind the status. The sum of all counts. */
struct knell_journal_counts {
    uint64_t counts[KNELL_N_COUNTS];
};
static_assert(sizeof(struct knell_journal_counts) % 64 == 0, "lines of their own");

/* A breadcrumb, at the start of its slot. A slot's size is its ring's business. */
struct knell_journal_crumb {
    uint64_t seq;     /* atomic; 2p + 1 while crumb p is written, 2p + 2 when whole */
    uint32_t sum;     /* of everything from n_bytes to the payload's end; seed: 2p + 2 */
    uint16_t n_bytes; /* of the payload */
    uint8_t level;    /* enum knell_level */
    uint8_t flags;    /* KNELL_CRUMB_* */
    uint64_t time_ns; /* CLOCK_REALTIME */
    uint32_t tid;
    uint16_t n_category, n_message;
    /* payload: category, message, then pairs (struct knell_journal_pair) to the end */
};
static_assert(sizeof(struct knell_journal_crumb) == 32, "on-disk size is fixed");
enum { KNELL_CRUMB_CUT = 1, KNELL_CRUMB_LOG = 2 };

/* A typed value with its name. Key and value follow, no NUL, no padding. */
struct knell_journal_pair {
    uint8_t type; /* enum knell_value_type */
    uint8_t n_key;
    uint16_t n_value;
};
enum knell_value_type {
    KNELL_VALUE_NONE = 0,   /* removed */
    KNELL_VALUE_TEXT = 1,   /* UTF-8 */
    KNELL_VALUE_INT = 2,    /* int64_t */
    KNELL_VALUE_DOUBLE = 3, /* IEEE 754 */
    KNELL_VALUE_BOOL = 4,   /* 1 byte */
    KNELL_VALUE_BYTES = 5,  /* attachments only */
};

enum { KNELL_MAX_TAG_KEY = 32, KNELL_MAX_TAG_VALUE = 200, KNELL_GLOBAL_TAGS = 64 };

/* A tag of the global scope. The key never changes while the file lives; of the values
 * the newer whole one counts. */
struct knell_journal_tag {
    uint64_t seq; /* atomic; version v: 2v, its value is values[v & 1]; odd: being set */
    uint32_t hash;
    uint8_t n_key; /* 0: slot free */
    uint8_t ready; /* atomic; 1: the key is whole */
    uint16_t reserved;
    char key[KNELL_MAX_TAG_KEY];
    struct knell_journal_tag_value {
        uint64_t version;
        uint32_t sum;    /* of text; seed: version << 16 ^ n_text */
        uint16_t n_text; /* 0xffff: removed */
        uint16_t reserved;
        char text[KNELL_MAX_TAG_VALUE];
    } values[2];
};
static_assert(sizeof(struct knell_journal_tag) == 480, "on-disk size is fixed");

/* What a scope holds: a list of entries, of which the last with a type and key counts. */
enum knell_entry_type {
    KNELL_ENTRY_TAG = 1,
    KNELL_ENTRY_USER = 2,    /* key: id, username, email, ip_address, else extra */
    KNELL_ENTRY_CONTEXT = 3, /* key: group, NUL, name; without NUL and KNELL_VALUE_NONE:
                                the group was removed */
    KNELL_ENTRY_EXTRA = 4,   /* key: name */
    KNELL_ENTRY_FINGERPRINT = 5, /* value: parts with a NUL between */
    KNELL_ENTRY_LEVEL = 6,       /* value: enum knell_level as KNELL_VALUE_INT */
    KNELL_ENTRY_TRANSACTION = 7, /* value: name */
    KNELL_ENTRY_FILE = 8,        /* attached file; key: name shown, value: its absolute
                                    path, NUL-free */
    KNELL_ENTRY_BYTES = 9,       /* attachment; key: name shown, value: the bytes */
};
struct knell_journal_entry {
    uint32_t sum;     /* of the rest of the entry; seed: its offset in its list */
    uint16_t n_bytes; /* with this head and padding to a multiple of 8 */
    uint8_t type;     /* enum knell_entry_type */
    uint8_t value_type;
    uint16_t n_key, n_value;
    uint32_t generation; /* of the list when this was written */
    /* key, value, zeros */
};
static_assert(sizeof(struct knell_journal_entry) == 16, "on-disk size is fixed");

/* Two lists of @capacity bytes each follow; @word says which counts and how far it goes.
 * An entry of a later generation than the word's belongs to what came after the word was
 * read: the list ends before it. */
struct knell_journal_scope {
    uint64_t word;     /* atomic; KNELL_SCOPE_* */
    uint32_t capacity; /* bytes of one list */
    uint32_t reserved;
};
static_assert(sizeof(struct knell_journal_scope) == 16, "on-disk size is fixed");
#define KNELL_SCOPE_WORD(generation, list, n_bytes)                                      \
    ((uint64_t)(generation) << 32 | (uint64_t)(list) << 31 | (uint64_t)(n_bytes))
#define KNELL_SCOPE_BYTES(word) ((uint32_t)((word)&0x7fffffffu))
#define KNELL_SCOPE_LIST(word) ((uint32_t)((word) >> 31 & 1))
#define KNELL_SCOPE_GENERATION(word) ((uint32_t)((word) >> 32))

/* The open span of a scope; of two copies the newer whole one counts. */
struct knell_journal_trace {
    uint64_t version; /* 0: none ever */
    uint32_t sum;     /* of trace_id to the end of text; seed: version */
    uint32_t reserved;
    uint8_t trace_id[16], span_id[8], parent_id[8]; /* zero span_id: none is open */
    uint8_t sampled;
    uint8_t n_op, n_name; /* bytes of text: op, then the transaction's name */
    uint8_t reserved2[5];
    char text[128];
};
static_assert(sizeof(struct knell_journal_trace) == 184, "on-disk size is fixed");

enum knell_block_type {
    KNELL_BLOCK_CRUMBS = 1, /* n slots of slot_bytes follow */
    KNELL_BLOCK_THREAD = 2, /* two struct knell_journal_trace, then a
                               struct knell_journal_scope with its lists */
};
struct knell_journal_block {
    uint32_t type;    /* enum knell_block_type; atomic, set last; 0 ends the blocks */
    uint32_t n_bytes; /* with this head; a multiple of 64 */
    uint32_t tid;     /* atomic; the thread whose scope this is; 0: none */
    uint32_t n_slots, slot_bytes;
    uint32_t reserved;
    uint64_t next; /* atomic; crumbs ever begun in this ring */
    uint64_t reserved2[4];
};
static_assert(sizeof(struct knell_journal_block) == 64, "on-disk size is fixed");

/* What a report must have, written before anything that can fail: by plain stores, into
 * memory that outlives the process. It counts where no report was committed. */
#define KNELL_CRASH_AREA_BYTES 8192u /* pages a dying process touches */
struct knell_journal_crash {
    uint32_t sum; /* of what follows, up to step; seed: tid; 0: nothing happened */
    uint32_t tid;
    int32_t signo, code, error; /* si_signo, si_code, si_errno */
    uint32_t sender_pid, sender_uid;
    uint16_t arch; /* KNELL_MINIDUMP_ARCH_* */
    uint16_t n_context;
    uint64_t address, pc, time_ns, stack_start; /* as in struct knell_signal_record */
    uint8_t context[1232];                      /* as in a minidump; n_context of them */
    uint32_t step;    /* atomic; enum knell_capture_step the capture came to */
    uint32_t n_stack; /* atomic; of stack, from stack_start on; set when they are there */
    uint8_t stack[KNELL_CRASH_AREA_BYTES - 1304];
};
static_assert(sizeof(struct knell_journal_crash) == KNELL_CRASH_AREA_BYTES,
    "on-disk size is fixed");

/* The loaded modules: records (struct knell_journal_module) follow, the executable first.
 */
struct knell_journal_modules {
    uint32_t sum;     /* of the records; seed: n_bytes; 0: none */
    uint32_t n_bytes; /* of the records */
};
struct knell_journal_module {
    uint64_t base, size;
    uint16_t n_build_id, n_path;
    uint32_t n_bytes; /* with this head and padding to a multiple of 8 */
    /* build-id, path without NUL, zeros */
};
static_assert(sizeof(struct knell_journal_module) == 24, "on-disk size is fixed");

/* A watched loop. */
struct knell_journal_heart {
    uint32_t state; /* atomic; 0 free, 1 beating, 2 paused */
    uint32_t deadline_ms;
    uint64_t beat_ns; /* atomic; CLOCK_MONOTONIC of the last beat */
    uint32_t tid;     /* of the last beat */
    uint32_t n_missed;
    char name[40];
};
static_assert(sizeof(struct knell_journal_heart) == 64, "on-disk size is fixed");
enum { KNELL_MAX_HEARTS = 32 };

/* Release health; of two copies the newer whole one counts. */
enum knell_session_status {
    KNELL_SESSION_NONE = 0,
    KNELL_SESSION_OK = 1,
    KNELL_SESSION_EXITED = 2,
    KNELL_SESSION_CRASHED = 3,
    KNELL_SESSION_ABNORMAL = 4,
};
struct knell_journal_session {
    uint64_t version; /* 0: none ever */
    uint32_t sum;     /* of everything after reserved; seed: version */
    uint32_t reserved;
    uint8_t id[16];
    uint64_t started_ns, ended_ns; /* CLOCK_REALTIME; ended 0: still open */
    uint32_t status;               /* enum knell_session_status */
    uint32_t errors;
    uint32_t init_written; /* 1: an update with init went out already; never another */
    uint32_t sequence;
    char user[64]; /* distinct id, NUL-terminated; empty: unknown */
};
static_assert(sizeof(struct knell_journal_session) == 128, "on-disk size is fixed");

/* A handled error, a message, a hang or an obituary: stream KNELL_STREAM_ITEM. Pairs
 * (struct knell_journal_pair, texts only) follow to the end of the stream: type, message,
 * domain, operation, code, caller, …; a key may be repeated. */
enum { KNELL_ITEM_MAGIC = 0x4d54494b, KNELL_ITEM_VERSION = 1 };
enum knell_item_kind {
    KNELL_ITEM_MESSAGE = 1,
    KNELL_ITEM_ERROR = 2,
    KNELL_ITEM_HANG = 3,
    KNELL_ITEM_OBITUARY = 4, /* of a process that died without a handler */
};
struct knell_item_head {
    uint32_t magic, version;
    uint32_t kind;         /* enum knell_item_kind */
    uint32_t level;        /* enum knell_level */
    uint32_t tid;          /* of the thread it is about; 0: none */
    uint32_t n_suppressed; /* of its kind since the last one that was reported */
    uint64_t time_ns;
};
static_assert(sizeof(struct knell_item_head) == 32, "on-disk size is fixed");

/**
 * A segment: what a process says beside reports. In live/ it grows; then it is renamed to
 * new/ and never changes again. Records follow the head, each aligned to 8 bytes; those
 * of one transaction follow each other; a torn one ends the segment.
 */
enum { KNELL_SEGMENT_MAGIC = 0x4745534b, KNELL_SEGMENT_VERSION = 1 };
#define KNELL_SEGMENT_BYTES (256u << 10)
enum { KNELL_ITEM_MAX_LOGS = 1000 }; /* in an envelope; more make more envelopes */
struct knell_segment_head {
    uint32_t magic;
    uint16_t version, head_bytes;
    uint32_t used_bytes;  /* atomic; with this head */
    uint32_t n_records;   /* 0: none; in live/ a number not larger than the true one */
    uint8_t event_id[16]; /* the segment's own */
    uint64_t created_ns;
    char release[208];
    char environment[72];
    char dist[72];
    char server_name[256];
    char app[64];
    char sdk[32];
};
static_assert(sizeof(struct knell_segment_head) % 8 == 0, "records stay aligned");
enum knell_record_type {
    KNELL_RECORD_FREE = 0, /* nothing yet: room of a thread, to be skipped; has no sum */
    KNELL_RECORD_SESSION = 1, /* struct knell_journal_session */
    KNELL_RECORD_TRANSACTION =
        2,                 /* struct knell_span_record: the root, after its spans */
    KNELL_RECORD_SPAN = 3, /* struct knell_span_record */
    KNELL_RECORD_LOG = 4,  /* struct knell_log_record */
};
struct knell_segment_record {
    uint32_t type;    /* enum knell_record_type */
    uint32_t n_bytes; /* of the payload, without padding */
    uint32_t sum;     /* of the payload; seed: offset of this head in the file */
    uint32_t reserved;
};
static_assert(sizeof(struct knell_segment_record) == 16, "on-disk size is fixed");
struct knell_span_record {
    uint8_t trace_id[16], span_id[8], parent_id[8]; /* zero parent: none */
    uint64_t start_ns, end_ns;                      /* CLOCK_REALTIME */
    uint32_t status;                                /* enum knell_span_status */
    uint16_t n_op, n_name;
    uint32_t n_pairs_bytes;
    uint32_t tid;
    uint8_t root_id[8]; /* span id of the transaction it belongs to */
    /* op, name, then pairs; a pair whose key begins with "tag." is a tag */
};
static_assert(sizeof(struct knell_span_record) == 72, "on-disk size is fixed");
struct knell_log_record {
    uint64_t time_ns;
    uint8_t trace_id[16], span_id[8]; /* zero: none */
    uint32_t level;
    uint32_t tid;
    uint32_t n_message;
    uint32_t n_pairs_bytes;
    /* message, then pairs */
};
static_assert(sizeof(struct knell_log_record) == 48, "on-disk size is fixed");

#endif
