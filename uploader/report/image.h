/**
 * The read-only parts of a module, as far as they can be trusted: a file on this machine
 * that carries the report's build-id, or (the vDSO) bytes in the report itself. A file is
 * read by pread(2) into private memory piece by piece, so that one that is cut short or
 * rewritten meanwhile gives a failed read and no SIGBUS.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "uploader/report/crash.h"

struct image;

/* What all images of a report may read together. */
struct image_budget {
    uint64_t bytes_left;
    uint32_t files_left;
};

/**
 * @path    the file to look at
 * @budget  lives as long as the image
 * @ret     free with image_free()
 * Errors: -ENOENT and other errnos of open(2), -EINVAL not a regular file, -ESTALE its
 *         build-id is another one or the module has none, -EBADMSG no sound ELF file of
 *         this byte order and width, -EDQUOT over the budget, -ENOMEM.
 */
int image_open(const char *path, const struct crash_module *m,
    struct image_budget *budget, struct image **ret) MUST_CHECK;

/* The same from the bytes at the module's base in the report. */
int image_in_report(
    const struct crash *c, const struct crash_module *m, struct image **ret) MUST_CHECK;
void image_free(struct image *i);

/* Copies @n bytes at a run-time address out of the segments that no one writes to. */
bool image_read(struct image *i, uint64_t address, void *out, size_t n);

/* Whether the address lies in an executable segment. */
bool image_is_code(const struct image *i, uint64_t address);

/* Run-time address of the .eh_frame_hdr's binary search table and its entries' number;
 * false when there is none of the usual shape. */
struct image_table {
    uint64_t header, table, n_entries;
};
bool image_unwind_table(struct image *i, struct image_table *ret);
