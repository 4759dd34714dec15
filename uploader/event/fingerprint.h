/** What makes two crashes the same: signal and top functions. Pure. */
#pragma once
#include "uploader/report/crash.h"

enum { FINGERPRINT_MAX_PARTS = 10, FINGERPRINT_SIGNATURE_BYTES = 13 };

/**
 * The grouping signature: 12 hex digits of a 48-bit FNV-1a over the signal and up to
 * eight of the crashed thread's innermost application frames: module name and function,
 * or build-id and offset in the module where no name is known. Addresses of one run never
 * enter it.
 *
 * @out  FINGERPRINT_SIGNATURE_BYTES, terminated
 */
void fingerprint_signature(
    const struct crash *c, char out[static FINGERPRINT_SIGNATURE_BYTES]);

/**
 * The same in words: signal, then function names, for an event's "fingerprint".
 *
 * @ret  up to FINGERPRINT_MAX_PARTS strings that live as long as @c, or are static
 * Returns how many; 0 when no frame has a name.
 */
uint32_t fingerprint_parts(
    const struct crash *c, const char *ret[static FINGERPRINT_MAX_PARTS]);
