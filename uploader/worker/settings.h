/**
 * What the configuration says about events, read once per pass: rules, scrubbing, the
 * user's program, the worker's limits.
 */
#pragma once
#include "uploader/config.h"
#include "uploader/worker/process.h"
#include "uploader/worker/sandbox.h"

struct worker_settings;

enum { WORKER_MAX_FOLDERS = 17, WORKER_MAX_WRITABLE = 2 };

/**
 * @config  borrowed for the call
 * @ret     free with worker_settings_free()
 * @note    @n_note bytes: the first rule or pattern that is none and is left out; "" if
 *          all are sound
 * Errors: -ENOMEM.
 */
int worker_settings_new(const struct config *config, struct worker_settings **ret,
    char *note, size_t n_note) MUST_CHECK;
void worker_settings_free(struct worker_settings *s);

/* Into options of one report; what they point to lives as long as @s. NULL: nothing. */
void worker_settings_apply(const struct worker_settings *s, struct worker_options *o);

/* Of the sandbox, without the files. NULL: the defaults. */
struct sandbox_limits worker_settings_limits(const struct worker_settings *s);
/* Folders that the configuration names. @ret_readable  room for WORKER_MAX_FOLDERS + 1
 * @ret_writable  for WORKER_MAX_WRITABLE + 1 */
void worker_settings_files(const struct worker_settings *s, const char **ret_readable,
    const char **ret_writable);
