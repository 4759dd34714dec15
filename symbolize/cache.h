/**
 * The symbol cache: one file per build-id with a module's table, as far as it was asked
 * for. The file is written beside its place, made durable and renamed, never changed; it
 * is read as untrusted input: header and every page have a checksum, a page is looked at
 * only after its own was right, and every index is checked where it is used.
 *
 * DIR/<build-id in hex>.ksym: a head of CACHE_PAGE_BYTES, then the table's arrays, then a
 * CRC-32 for each page of them. Little-endian. A cache of another version is as good as
 * none.
 */
#pragma once
#include "symbolize/elf_file.h"
#include "symbolize/table.h"

enum {
    CACHE_PAGE_BYTES = 4096,
    CACHE_VERSION = 5,
    CACHE_N_PARTS = 10,
};
#define CACHE_MAX_BYTES (UINT64_C(1) << 34)

enum cache_part {
    CACHE_TEXT,
    CACHE_FUNCTIONS,
    CACHE_FILES,
    CACHE_READABLE,
    CACHE_PLACES,
    CACHE_EDGES,
    CACHE_SYMBOLS,
    CACHE_COVERED,
    CACHE_EDGE_STEPS, /* of the table */
    CACHE_SYMBOL_STEPS,
};

struct cache_head {
    char magic[8]; /* "KNELSYM\0" */
    uint32_t version, n_build_id;
    uint8_t build_id[ELF_FILE_MAX_BUILD_ID];
    uint64_t first_vaddr;
    uint64_t n_bytes; /* of the parts, behind the head */
    struct {
        uint64_t offset, n; /* offset behind the head; n items */
    } parts[CACHE_N_PARTS];
    struct packed_widths place_widths, edge_widths;
    uint16_t reserved;
    uint32_t debug_path;    /* string of the table; TABLE_NONE */
    uint32_t complete;      /* 1: the whole module was converted */
    uint32_t checksums_crc; /* of all the pages' checksums */
    uint32_t head_crc;      /* of this structure up to here */
};

/* A cache file, opened. Pages come and are checked as they are asked for. */
struct cache {
    int fd;
    struct cache_head head;
    uint8_t *bytes; /* room for the parts */
    uint64_t *present;
    uint32_t *checksums;
    bool bad; /* a page was not what its checksum says: answers are not to be used */
    struct table table; /* borrows from bytes; table.pages leads here */
    struct cache *next; /* for a list of its owner's */
};

/**
 * Open the cache of a module.
 *
 * @dir  folder; must belong to us or root and be writable by its owner only
 * @ret  release with cache_done()
 * Errors: -ENOENT none; -EPERM folder or file of somebody else; -EBADMSG not sound;
 * -EPROTONOSUPPORT another version; -ENOMEM; what open(2) and pread(2) said.
 */
int cache_open(const char *dir, const uint8_t *build_id, size_t n_build_id,
    struct cache **ret) MUST_CHECK;
/* The same for an open file, whatever its name; takes the descriptor. */
int cache_open_fd(int fd, struct cache **ret) MUST_CHECK;
void cache_free(struct cache *c);

/* Give the file back; what was readable stays so. */
void cache_close_file(struct cache *c);

/* Make [at, at + n) of the parts readable: false, and c->bad, when they are not sound. */
bool cache_need(struct cache *c, const void *at, size_t n);

/* Say how many addresses will be looked up: for many in a small cache, all of it is read
 * at once. */
void cache_expect(struct cache *c, size_t n_addresses);

/* Copy all of the cache into an empty table that can grow. -EBADMSG when it is bad. */
int cache_copy(struct cache *c, struct table *ret) MUST_CHECK;

/* What is to be written; all borrowed. */
struct cache_entry {
    const uint8_t *build_id;
    size_t n_build_id;
    uint64_t first_vaddr;
    const char *debug_path; /* NULL: none */
    bool complete;
    struct table *table; /* settled; gets debug_path's string */
};

/**
 * Put a table into the cache, in place of what was there, and keep the folder under
 * @max_bytes. The folder is made when it is missing.
 * Errors: as of cache_open(), and what write(2), fsync(2), rename(2) said; the old file
 * is then still there.
 */
int cache_write(
    const char *dir, const struct cache_entry *e, uint64_t max_bytes) MUST_CHECK;

struct cache_usage {
    uint64_t n_files, n_bytes, n_removed, n_removed_bytes;
};

/* Remove what was used longest ago until the files take no more than @max_bytes, and
 * what writers left behind when they were killed. */
int cache_trim(const char *dir, uint64_t max_bytes, struct cache_usage *ret) MUST_CHECK;

/* Open the folder, when it is ours. @make: create it. */
int cache_open_dir(const char *dir, bool make, int *ret_fd) MUST_CHECK;

/* CRC-32 as of gzip (RFC 1952). */
uint32_t cache_checksum(const void *p, size_t n);

/* Size of one item of a part; 0: the widths are not sound. */
size_t cache_item_bytes(const struct cache_head *h, enum cache_part part);
