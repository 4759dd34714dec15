/** Release health: one run of a program as a session update. */
#pragma once
#include <cjson/cJSON.h>
#include <knell/journal.h>

struct session_of {
    const char *release, *environment;
    enum knell_session_status status; /* as it ended; NONE: what the session says */
    uint64_t time_ns;                 /* of the update */
    uint32_t more_errors;             /* besides those counted: the crash itself */
};

/**
 * @s  checked copy
 * @ret  cJSON_Delete() it; NULL with 0 when there is nothing to send: no session, or no
 *       release, which servers require
 * Errors: -ENOMEM.
 * Source: develop.sentry.dev, sessions.
 */
int session_update(
    const struct knell_journal_session *s, const struct session_of *of, cJSON **ret);
