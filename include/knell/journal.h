/**
 * THE journal format: one memory-mapped file per process in the spool's live/ folder,
 * with what must not be computed at crash time and must not die with the process. The
 * handler copies its image into the report (KNELL_STREAM_JOURNAL), so a report needs no
 * other file; a journal whose process is gone without a clean exit becomes a report.
 *
 * Little-endian. The head has fixed offsets; everything else is an area named by the
 * table in the head, so that a reader skips areas it does not know.
 */
#ifndef KNELL_JOURNAL_H
#define KNELL_JOURNAL_H

#include <assert.h>
#include <stdint.h>

enum {
    KNELL_JOURNAL_MAGIC = 0x4c4e4a4b, /* "KJNL" */
    KNELL_JOURNAL_VERSION = 1,
    KNELL_JOURNAL_MAX_AREAS = 16,
};
#define KNELL_JOURNAL_MAX_BYTES (4u << 20)

enum knell_run_state {
    KNELL_RUN_STARTING = 0,
    KNELL_RUN_RUNNING = 1,
    KNELL_RUN_CRASHING = 2, /* a handler has begun */
    KNELL_RUN_DUMPED = 3,   /* a report was committed */
    KNELL_RUN_CLEAN = 4,    /* knell_stop() was called */
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
    uint32_t total_bytes;
    uint32_t state; /* enum knell_run_state; atomic */
    uint8_t event_id[16];
    uint8_t boot_id[16];
    uint32_t pid;
    int32_t crash_signo;        /* set with KNELL_RUN_CRASHING */
    uint64_t start_ticks;       /* proc(5) stat field 22: with boot id and pid, unique */
    uint64_t start_realtime_ns; /* when knell_start() was called */
    uint64_t start_boottime_ns;
    uint64_t oom_kills_at_start; /* memory.events oom_kill of the cgroup; ~0 unknown */
    uint64_t heartbeat_ns;       /* CLOCK_REALTIME of the last sign of life; atomic */
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

#endif
