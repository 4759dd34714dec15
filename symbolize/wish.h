/**
 * Debug files that were looked for and not found, and the way for a fetched one into the
 * symbol store. The symbolizer never touches the network: whoever may (the sender, never
 * the worker) takes the wishes of one report, fetches URL/buildid/<hex>/debuginfo for
 * each within one deadline, hands the file in, and the report is symbolized again.
 */
#pragma once
#include "symbolize/elf_file.h"

#include <knell/symbolize.h>

enum { WISHES_MAX = 64 };

struct wish {
    uint8_t build_id[ELF_FILE_MAX_BUILD_ID];
    size_t n_build_id;
};

struct wishes {
    struct wish list[WISHES_MAX];
    size_t n;
    size_t n_dropped; /* beyond WISHES_MAX */
};

/**
 * Add the modules of an answered batch for which a debug file would have said more: those
 * with a build-id and a frame that has a symbol's name only, or none. Each once.
 */
void wishes_add(struct wishes *w, const struct knell_symbol_module *modules,
    size_t n_modules, const struct knell_symbol_query *queries, size_t n_queries,
    const struct knell_symbol_result *results);

/* The build-id as debuginfod and the store spell it; @out has 2 * n + 1 bytes. */
void wish_hex(const uint8_t *build_id, size_t n_build_id, char *out);

/**
 * Take a fetched file into the store as STORE/<hex>/debuginfo, if it is what was wished
 * for: a regular, sound ELF file with this build-id and debug information.
 *
 * @path  on the store's file system, in a place that only we write to; renamed on
 *        success, left alone otherwise
 * Errors: -ESTALE another build-id; -ENODATA no debug information; -EBADMSG not sound;
 * -E2BIG over @max_bytes; what mkdir(2) and rename(2) said.
 */
int wish_grant(const char *store_dir, const struct wish *w, const char *path,
    uint64_t max_bytes) MUST_CHECK;
