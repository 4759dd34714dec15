/**
 * What this process decided at start: options of the program, else the environment, else
 * defaults, all copied. Source of the order: knell.h.
 */
#pragma once
#include "crash/told.h"
#include <knell/knell.h>
#include <stdbool.h>

enum {
    KN_MAX_THREADS_DEFAULT = 4096,
    KN_DEADLINE_MS_DEFAULT = 3000,
    KN_PATH_BYTES = 1024,
};

struct kn_settings {
    char app[64], release[208], environment[72], dist[72];
    char spool_dir[KN_PATH_BYTES]; /* empty: the default places for app */
    char uploader[KN_PATH_BYTES];  /* empty: look for it */
    char dsn[1024];
    char otel_attributes[2048], otel_service[256]; /* as the environment has them */
    bool has_dsn; /* an empty dsn that was given means: send nothing */
    bool start_uploader, allow_setuid, debug, sanitize;
    uint32_t max_threads, deadline_ms;
    struct kn_told told;
};

/**
 * Fill @s from @o and the environment. Pure but for getenv(3); release stays empty when
 * neither names one.
 *
 * Context: normal.
 * @o  borrowed; NULL: all defaults. Options beyond o->size are taken as not given.
 * Returns 0, or -EINVAL when o->size cannot be one of this header's.
 */
int kn_settings_init(struct kn_settings *s, const struct knell_options *o);

/**
 * Copy @text, cut to @n bytes with its NUL, never inside a UTF-8 sequence.
 *
 * Context: any.
 * @text  NULL: empty
 */
void kn_copy_text(char *out, size_t n, const char *text);
