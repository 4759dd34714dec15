/**
 * Which process this is: facts that are read once, at start, because they may not be
 * readable at the moment of death.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct kn_identity {
    uint8_t event_id[16];
    uint8_t boot_id[16];
    uint32_t pid;
    uint64_t start_ticks; /* proc(5) stat field 22; 0: unknown */
    uint64_t start_realtime_ns, start_boottime_ns;
    uint64_t oom_kills; /* of the cgroup, so far; ~0: unknown */
    char server_name[256], executable[512], cgroup[256], kernel[128], libc[64];
    char os[256]; /* "Linux RELEASE VERSION MACHINE" */
};

/**
 * Context: normal. What cannot be read stays empty or unknown.
 */
void kn_identity_init(struct kn_identity *id);

enum { KN_STEM_BYTES = 8 + 1 + 10 + 1 + 20 + 1 + 32 + 1 };
/**
 * "BOOT-PID-START-EVENT", the stem of this process's names in live/, see spool.h.
 *
 * Context: normal.
 * @out  at least KN_STEM_BYTES
 */
void kn_identity_stem(const struct kn_identity *id, char *out);

/**
 * Field 22 of /proc/PID/stat: when the process started, in clock ticks since boot.
 *
 * Context: normal.
 * Returns 0 when the process is not there or /proc is not.
 */
uint64_t kn_start_ticks(uint32_t pid);

/**
 * Processors that are online, as of the first call; at least 1.
 *
 * Context: normal.
 */
uint32_t kn_cpus(void);

/**
 * Read a small text file whole.
 *
 * Context: normal.
 * @n  size of @out; the text is cut to it and NUL-terminated
 * Returns the length or a negative errno.
 */
int kn_read_text(const char *path, char *out, size_t n);
