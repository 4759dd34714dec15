/**
 * From what a daemon says to what arrives: run teller, then the uploader, on a spool of
 * their own, and read the envelopes.
 */
#pragma once
#include "envelopes.h"

extern char spool[256], arrivals[256]; /* of the present place */
extern char said[65536];               /* the last program's stdout */
extern struct envelope_items got;      /* by the last upload() */

/* A spool and a destination folder, both new. */
void new_place(void);

/* Run a program to its end with its output in said. Returns its wait status. */
int run(const char *const *argv, const char *const *env);

/* Run teller in the present place; @more  NULL or one environment variable. */
int tell_with(const char *what, const char *how, const char *more);
/* … in a new place. */
int tell(const char *what, const char *how);

/* One pass of the uploader to somewhere else. Returns its exit status. */
int upload_to(const char *dsn, const char *more);

/* One pass of the uploader; what has arrived is in got. @more  as above */
void upload_with(const char *more);
void upload(void);

const cJSON *event(size_t i);
const cJSON *event_of_type(const char *exception_type);
const cJSON *transaction(const char *name);

/* Of the newest frame. */
const char *top_function(const cJSON *stacktrace);

/* Check all that teller says with "scope", but for what lies in a thread's scope. */
void check_scope(const cJSON *event);
