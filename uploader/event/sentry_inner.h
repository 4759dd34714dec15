/** What the files that build an event share. */
#pragma once
#include "uploader/event/build.h"
#include "uploader/event/sentry.h"

/* Bytes of text by kind, as receivers cut them. Source: protocol limits of Relay. */
enum {
    EVENT_MAX_NAME = 256,
    EVENT_MAX_PATH = 256,
    EVENT_MAX_VALUE = 8192,
    EVENT_MAX_TAG_VALUE = 200,
    EVENT_MAX_RELEASE = 200,
    EVENT_MAX_LINE = 256,
};

/* Frames that keep their source lines. */
enum { EVENT_FRAMES_WITH_SOURCE = 50 };

/* The stack of a thread into @to as "stacktrace"; nothing when it has no frames. */
void event_stacktrace(struct build *b, cJSON *to, const struct crash *c,
    const struct crash_thread *t, const struct event_options *o);
/* "threads" with every thread. */
void event_threads(
    struct build *b, cJSON *event, const struct crash *c, const struct event_options *o);
/* "debug_meta" with every module that has an identity. */
void event_modules(struct build *b, cJSON *event, const struct crash *c);
/* "contexts": os, device, app, runtime, knell. */
void event_contexts(
    struct build *b, cJSON *event, const struct crash *c, const struct event_options *o);

/* When it happened, in ns since 1970. */
uint64_t event_time_ns(const struct crash *c, const struct event_options *o);

/* A text that the item of a report without a signal says; NULL: it does not. */
const char *sentry_item_text(const struct crash *c, const char *key);
/* Whether the thread's stack stands in the exception. */
bool sentry_has_exception(const struct crash *c);
