/**
 * The strictest types of all known servers, checked before anything is sent: a server's
 * 200 does not say that the event was stored.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <cjson/cJSON.h>
#include <stddef.h>

/**
 * @event  parsed JSON of an event
 * @why    @n_why bytes; on failure the path and what is wrong: "threads.values[3].id: not
 * a number" Returns 0 or -EBADMSG.
 */
int validate_event(const cJSON *event, char *why, size_t n_why) MUST_CHECK;
