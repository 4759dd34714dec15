/**
 * What the program attached to its reports: bytes that lie in the journal, and files,
 * which are read now. The journal may be crafted and a file may be anything, so only
 * regular files of real file systems are read, never through a symbolic link as the last
 * part of a path, and a bounded part of them.
 */
#pragma once
#include "uploader/event/envelope.h"
#include "uploader/report/crash.h"
#include "uploader/report/journal.h"

enum { ATTACHED_MAX = 16, ATTACHED_NAME_BYTES = 96 };

struct attached {
    struct attached_one {
        char name[ATTACHED_NAME_BYTES]; /* fit for an item's header */
        const uint8_t *bytes;           /* of the report, or own */
        uint8_t *own;                   /* NULL: none */
        size_t n;
    } all[ATTACHED_MAX];
    size_t n;
    char *notes[ATTACHED_MAX + 2]; /* what is not whole, one line each; NULL at the end */
    size_t n_notes;
};

/**
 * Gather what the scope of a report names.
 *
 * Context: normal; opens files by path, as the user we run as.
 * @c          its journal read; bytes are borrowed from it
 * @max_bytes  of each file, the newest are kept; 0: no files are read, which is not noted
 * @ret        empty before; free with attached_done(), also after an error
 * Errors: -ENOMEM. A file that cannot be read is a note.
 */
int attached_gather(
    const struct crash *c, uint64_t max_bytes, struct attached *ret) MUST_CHECK;
void attached_done(struct attached *a);

/* Append them as items. Errors: as envelope_add(). */
int attached_add(const struct attached *a, struct envelope *e) MUST_CHECK;
