/**
 * Debug files, and programs, that were looked for and not found, and the way for a
 * fetched one into a folder that the symbolizer looks into (options' fetched_dir). The
 * symbolizer never touches the network: whoever may (the sender, never the worker) takes
 * the wishes of one report, fetches URL/buildid/<hex>/KIND for each within one deadline
 * and puts what came as new; the worker, who may read hostile files, takes or refuses it,
 * and the report is symbolized with what there is. The worker's sandbox lets it make and
 * remove files in folders that are there, no more.
 *
 * DIR/<hex>/debuginfo  a file that was checked
 *           new        one that arrived
 *           note       why there is none: a word; its age is the file's
 * DIR/<hex>/executable, executable.new, executable.note: the same of the program itself
 * or the library, which alone says how to unwind its code.
 */
#pragma once
#include "symbolize/elf_file.h"

#include <knell/symbolize.h>

enum { WISHES_MAX = 64, WISH_HEX_BYTES = 2 * ELF_FILE_MAX_BUILD_ID + 1 };

enum wish_kind {
    WISH_DEBUGINFO = 0,
    WISH_EXECUTABLE,
};

struct wish {
    uint8_t build_id[ELF_FILE_MAX_BUILD_ID];
    size_t n_build_id;
    enum wish_kind kind;
};

struct wishes {
    struct wish list[WISHES_MAX];
    size_t n;
    size_t n_dropped; /* beyond WISHES_MAX */
};

/* What came of asking for a file. */
enum wish_answer {
    WISH_NOT_ASKED = 0,
    WISH_GRANTED,
    WISH_MISSING,     /* no server has it */
    WISH_MISMATCH,    /* what came has another build-id */
    WISH_MALFORMED,   /* is no sound ELF file, or ended its reader */
    WISH_NO_DEBUG,    /* has no debug information */
    WISH_TOO_LARGE,   /* over a configured bound */
    WISH_TIMEOUT,     /* the deadline passed */
    WISH_UNREACHABLE, /* no server could be asked */
    WISH_LOCAL,       /* could not be kept here: no room, no right */
};

/* A word for it, such as "build_id_mismatch"; static. */
const char *wish_answer_name(enum wish_answer a);

/* Add a file of a module of the report. Each once; what is no build-id is left out. */
void wishes_add(
    struct wishes *w, const uint8_t *build_id, size_t n_build_id, enum wish_kind kind);

/* Whether debug information is lacking that a debug file would bring. */
bool wish_worthy(enum knell_symbol_status debug_status);

/* Leave out what is in @dir already, and what was asked for not long ago: an answer is
 * believed for an hour (none, too slow) or a day (a file that is of no use). */
void wishes_leave_out(struct wishes *w, const char *dir, int64_t now_s);

/* The build-id as debuginfod and the store spell it. */
void wish_hex(const struct wish *w, char out[WISH_HEX_BYTES]);

/* Names of a wish's files: as debuginfod and the store call it; what arrived. */
const char *wish_kind_name(enum wish_kind kind);
const char *wish_new_name(enum wish_kind kind);

/**
 * Take DIR/<hex>/new in when it is what was wished for: a regular, sound ELF file with
 * this build-id, and with debug information or, for an executable, with its code.
 * Otherwise remove it and note why.
 *
 * Context: where hostile files may be read.
 * Returns what came of it; WISH_NOT_ASKED when nothing had arrived.
 */
enum wish_answer wish_take(const char *dir, const struct wish *w, uint64_t max_bytes);

/* Remove what arrived and what was taken in. */
void wish_take_back(const char *dir, const struct wish *w);

/* Write down an answer, for those who ask later. Returns 0 or a negative errno. */
int wish_note(const char *dir, const struct wish *w, enum wish_answer a) MUST_CHECK;

/**
 * The answer that was noted, WISH_NOT_ASKED without one.
 *
 * @ret_time_s  when; may be NULL
 */
enum wish_answer wish_noted(const char *dir, const struct wish *w, int64_t *ret_time_s);
