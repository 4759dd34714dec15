/**
 * A process died and no handler saw it: what its journal and the machine's traces say
 * about how, and a report that tells it.
 */
#pragma once
#include "uploader/report/journal.h"
#include "uploader/spool/name.h"

enum obituary_cause {
    OBITUARY_NONE = 0, /* a clean end: nothing to report */
    OBITUARY_KILLED,   /* SIGKILL from somebody */
    OBITUARY_OOM,      /* SIGKILL from the kernel, out of memory */
    OBITUARY_REBOOT,   /* power loss, reset or reboot */
    OBITUARY_SIGNAL,   /* a noted signal, one whose handler did not finish, or one
                          that the kernel's log tells of */
    OBITUARY_CORE,     /* a core was written, no handler ran: stack overflow without
                          an alternate stack, or a handler taken away */
    OBITUARY_UNKNOWN,
};

/* What the machine still knows. Zeroed but for the counters: nothing. */
struct obituary_evidence {
    bool has_boot_id;
    uint8_t boot_id[16];
    uint64_t cgroup_oom_kills, vm_oom_kills; /* ~0: unknown */
    char kernel_line[256]; /* of its log, naming the process as killed for memory */
    char signal_line[256]; /* … as ended by a signal, which is signal_signo */
    int signal_signo;
    char core[256]; /* path of a core file of the process */
};

enum { OBITUARY_MAX_REASONS = 8, OBITUARY_TEXT_BYTES = 320 };

struct obituary {
    enum obituary_cause cause;
    int signo;        /* 0: none known */
    const char *type; /* of the exception: "SIGKILL", "OOMKill", …; static,
                         or in type_text */
    char type_text[32];
    char value[OBITUARY_TEXT_BYTES]; /* in words, without numbers of one run */
    char reasons[OBITUARY_MAX_REASONS][OBITUARY_TEXT_BYTES];
    uint32_t n_reasons;
};

/**
 * Look at the machine, bounded in time and bytes; what cannot be read is unknown.
 *
 * @root  "" for the machine itself; tests give a folder with proc/, sys/, var/, dev/
 */
void obituary_gather(const char *root, const struct knell_journal_head *head,
    struct obituary_evidence *ret);

/* The same for the journal in an image, of which nothing is parsed: the fields of its
 * head lie where they lie. */
void obituary_gather_for(const uint8_t *image, size_t n, struct obituary_evidence *ret);

/* Pure: from the journal and the evidence to a cause. */
void obituary_judge(const struct journal *j, const struct obituary_evidence *evidence,
    struct obituary *ret);

/**
 * Pure: the report of a death from the journal and the evidence. A clean end whose
 * session is still open gives a segment with its last update instead.
 *
 * @image     as found; not trusted
 * @has_slot  a dump was begun and never committed
 * @name      in: time_ms is the journal's last change; out: every field but the event id,
 *            attempts and not-before
 * @ret       malloc'd
 * Returns as adopt_obituary (uploader/spool/adopt.h).
 */
int obituary_make(const uint8_t *image, size_t n, bool has_slot,
    const struct obituary_evidence *evidence, struct spool_name *name, uint8_t **ret,
    size_t *ret_n) MUST_CHECK;

/* Both, in this process: a function for adopt_all(). @ctx  unused */
int obituary_write(void *ctx, const uint8_t *image, size_t n,
    const struct spool_live_name *live, const uint8_t *slot, size_t n_slot,
    struct spool_name *name, uint8_t **ret, size_t *ret_n) MUST_CHECK;
