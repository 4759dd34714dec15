/**
 * A free-standing scope: entries on the heap, copied into the journal while it is bound.
 */
#pragma once
#include "crash/list.h"

#include <knell/scope.h>

struct knell_span;

struct knell_scope {
    struct kn_list list; /* scope member: malloc'd, grows */
    struct knell_span
        *span; /* innermost open in it, while it is not bound; a reference */
};

/**
 * Append an entry, growing the list up to KN_LIST_BYTES.
 *
 * Context: normal.
 * Returns 0, -ENOSPC or -ENOMEM.
 */
int kn_scope_object_put(struct knell_scope *s, const struct kn_entry *entry);
