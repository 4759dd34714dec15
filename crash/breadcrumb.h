/**
 * Breadcrumbs of the daemon and of knell itself.
 */
#pragma once
#include <knell/types.h>

/**
 * Leave a breadcrumb; nothing before knell_start().
 *
 * Context: any; normal for a thread's first call.
 * @flags  KNELL_CRUMB_LOG or 0
 */
void kn_breadcrumb(enum knell_level level, uint8_t flags, const char *category,
    const char *message, const struct knell_data *values, size_t n);
