/**
 * The loaded objects of this process, read while the loader may still be asked.
 */
#pragma once
#include "crash/handler/module.h"
#include <stddef.h>

/**
 * Read the loaded objects into a new table.
 *
 * Context: normal; takes the loader's lock.
 * @ret    array in one mapping of its own, the executable first; strings inside; free
 *         with kn_modules_done()
 * Returns the count or a negative errno.
 */
int kn_modules_init(struct kn_modules *ret, const char *executable);

/**
 * Context: normal. Accepts a zeroed table.
 */
void kn_modules_done(struct kn_modules *m);

/**
 * The table as an area of the journal (KNELL_AREA_MODULES), for reports that are made
 * without the process.
 *
 * Context: normal.
 * @out  kn_modules_area_bytes() of zeroed memory
 */
size_t kn_modules_area_bytes(const struct kn_modules *m);
void kn_modules_area(const struct kn_modules *m, void *out);

/**
 * The executable's build-id as hex digits.
 *
 * Context: normal.
 * @out  empty when it has none
 */
void kn_modules_release(const struct kn_modules *m, char *out, size_t n);
