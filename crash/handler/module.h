/**
 * One loaded object, as the handler sees it. Filled by crash/modules.c at start, and by
 * handler/modules.c for what was loaded later.
 */
#pragma once
#include <knell/minidump.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KN_MODULE_PATH_BYTES = 512,
};

struct kn_module {
    uint64_t base, size;       /* span of its PT_LOADs, whole pages */
    uint64_t build_id_address; /* where the id lies in memory; 0: none */
    uint64_t unwind_table;     /* of .eh_frame_hdr's search table; 0: none */
    uint64_t unwind_base;      /* .eh_frame_hdr itself */
    uint32_t n_unwind;         /* entries of 8 bytes */
    uint32_t n_build_id;
    uint8_t build_id[KNELL_MAX_BUILD_ID_BYTES];
    const char *path; /* NUL-terminated */
};

struct kn_modules {
    struct kn_module *all;
    uint32_t n, n_dropped; /* loaded objects beyond KNELL_MAX_MODULES */
    size_t n_bytes;        /* of the mapping that holds the table and its strings */
};
