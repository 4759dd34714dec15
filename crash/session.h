/**
 * Release health: the session of this process, in its journal. Exactly one update with
 * "init" is made of each: by kn_session_start() when its segment could be written, else
 * by whoever reports the end.
 */
#pragma once
#include "crash/areas.h"

/**
 * Begin the process's session and tell the uploader.
 *
 * Context: normal.
 */
void kn_session_start(struct kn_areas *a);

/**
 * A handled error happened.
 *
 * Context: normal.
 */
void kn_session_error(struct kn_areas *a);

/**
 * Whom the session counts for; what was said first stays.
 *
 * Context: normal.
 * @id  borrowed; cut to fit
 */
void kn_session_user(struct kn_areas *a, const char *id);

/**
 * End the session as exited and tell the uploader.
 *
 * Context: normal.
 */
void kn_session_exit(struct kn_areas *a);

/**
 * Whether a session is open, and its errors so far.
 *
 * Context: normal.
 */
bool kn_session_errors(struct kn_areas *a, uint32_t *ret);
