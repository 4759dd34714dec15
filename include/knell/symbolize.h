/**
 * Module + address -> function, file, line and inlined callers.
 *
 * Context of every function here: normal; one symbolizer is used by one thread at a time.
 * Files are opened by exact build-id only and are read as hostile input.
 */
#ifndef KNELL_SYMBOLIZE_H
#define KNELL_SYMBOLIZE_H

#include <stddef.h>
#include <stdint.h>

struct knell_symbolizer;

/* Why an address did or did not become a name. */
enum knell_symbol_status {
    KNELL_SYMBOL_OK = 0,      /* function, and file:line where the compiler gave one */
    KNELL_SYMBOL_SYMTAB_ONLY, /* a name from .symtab or .dynsym, no debug information */
    KNELL_SYMBOL_NOT_FOUND,   /* the right file was read and does not know the address */
    KNELL_SYMBOL_MISSING,     /* no file at the places searched */
    KNELL_SYMBOL_MISMATCH,    /* a file is there, with another build-id */
    KNELL_SYMBOL_MALFORMED,   /* the file is not sound ELF or DWARF */
    KNELL_SYMBOL_TOO_LARGE,   /* over a configured bound */
    KNELL_SYMBOL_TIMEOUT,     /* the deadline passed */
    KNELL_SYMBOL_UNVERIFIED,  /* the module had no build-id to compare */
    KNELL_SYMBOL_NO_MODULE,   /* the address lies in no module */
};

/* Whether an address is looked up as it is or as the instruction before it. */
enum knell_frame_kind {
    KNELL_FRAME_EXACT = 0, /* the innermost frame, and one interrupted by a signal: pc */
    KNELL_FRAME_RETURN,    /* a return address: pc - 1 */
};

struct knell_symbolize_options {
    size_t size;                   /* sizeof this */
    const char *const *debug_dirs; /* NULL-terminated; NULL: {"/usr/lib/debug"} */
    const char *store_dir;     /* STORE/<build-id>/{debuginfo,executable}; NULL: none */
    const char *sysroot;       /* put before module paths; NULL: none */
    const char *cache_dir;     /* symbol cache; NULL: none */
    uint64_t cache_max_bytes;  /* 0: 256 MiB */
    uint64_t max_memory_bytes; /* 0: 512 MiB */
    uint32_t deadline_ms;      /* for all batches of this symbolizer; 0: none */
    uint32_t max_inline_depth; /* 0: 128 */
    uint32_t context_lines;    /* source lines before and after; 0: no source */
    uint32_t demangle;         /* enum knell_demangle */
    const char *fetched_dir;   /* as store_dir, for what was fetched; NULL: none */
};
enum knell_demangle {
    KNELL_DEMANGLE_ON = 0,
    KNELL_DEMANGLE_OFF = 1,
};

struct knell_symbol_module {
    const char *path;        /* as mapped in the dead process; NULL: none */
    const uint8_t *build_id; /* NULL: none known */
    size_t n_build_id;
    uint64_t base; /* run-time address of the lowest PT_LOAD, rounded down to a page */
    uint64_t size;
    const void *image; /* bytes of the module from the report (vDSO); NULL: none */
    size_t n_image;
};

struct knell_symbol_query {
    uint32_t module; /* index into the batch's modules; UINT32_MAX: none */
    uint64_t pc;     /* run-time address */
    enum knell_frame_kind kind;
};

/* Strings live until the next batch or knell_symbolizer_free(). NULL: unknown. */
struct knell_symbol_frame {
    const char *function; /* demangled, clone suffixes removed: for people and grouping */
    const char *symbol;   /* raw name, as in the symbol table where there is one, without
                           * a version (foo@@V1) */
    const char *file;     /* as the compiler wrote it */
    const char *directory;      /* compilation directory joined with the line table's */
    uint32_t line, column;      /* 0: unknown */
    uint64_t function_address;  /* run-time; 0: unknown */
    int inlined;                /* 1: this frame was inlined into the next one */
    const char *const *context; /* source lines, context[n_before] is the line itself */
    uint32_t n_before, n_context;
};

struct knell_symbol_result {
    enum knell_symbol_status status;
    /* OK: debug information was read; else why there is none: MISSING, MISMATCH,
     * MALFORMED, TOO_LARGE, TIMEOUT; NO_MODULE */
    enum knell_symbol_status debug_status;
    uint32_t n_frames; /* innermost first; 0 when nothing is known */
    const struct knell_symbol_frame *frames;
    const char *debug_path; /* the file that answered */
};

/**
 * @options  borrowed for the call, strings copied; NULL: all defaults
 * @ret      the symbolizer; free with knell_symbolizer_free()
 * Returns 0 or a negative errno (-ENOMEM, -EINVAL).
 */
int knell_symbolizer_new(
    const struct knell_symbolize_options *options, struct knell_symbolizer **ret);
void knell_symbolizer_free(struct knell_symbolizer *s);

/**
 * Look up a batch. Equal queries are answered once; order does not matter.
 *
 * @results  one per query, filled in the queries' order; what they point to lives until
 *           the next batch
 * Returns 0 or a negative errno for the whole batch (-ENOMEM, -E2BIG); a file's faults
 * are in each result's status.
 */
int knell_symbolize(struct knell_symbolizer *s, const struct knell_symbol_module *modules,
    size_t n_modules, const struct knell_symbol_query *queries, size_t n_queries,
    struct knell_symbol_result *results);

/* A word for a status, such as "build_id_mismatch"; static. */
const char *knell_symbol_status_name(enum knell_symbol_status status);

#endif
