/* The destination that needs no server: one envelope file per event in a folder. */
#pragma once
#include "symbolize/cleanup.h"

#include <stddef.h>

/**
 * Write DIR/EVENT-ID.envelope whole or not at all. The folder is made when missing.
 *
 * Errors: what the file system says; an envelope of the same event is replaced.
 */
int folder_deliver(
    const char *dir, const char *event_id, const void *bytes, size_t n) MUST_CHECK;
