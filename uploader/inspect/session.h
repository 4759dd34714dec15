/**
 * What every command of `knell` works with: the options, where to write, the time, and
 * the symbolizer, made when first needed.
 */
#pragma once
#include "uploader/config.h"
#include "uploader/inspect/json.h"
#include "uploader/inspect/options.h"
#include "uploader/inspect/out.h"

#include "uploader/worker/settings.h"

#include <knell/symbolize.h>

struct store;

struct session {
    struct options options;
    struct out out;
    int64_t now_ms;
    const struct store *shut_in_for; /* see shut_in_before_reading() */
    /* Asked once: a process that is shut in cannot ask. */
    bool stdin_tty, stderr_tty;
    char store[512]; /* of imported bundles, when --store says no other; "": none */
    bool has_config;
    struct config_set config;            /* see session_config() */
    struct worker_settings *settings;    /* see session_settings() */
    struct knell_symbolizer *symbolizer; /* see session_symbolizer() */
    char symbols_of[4096];               /* the spool it was made for */
    char fetched_dir[4096];              /* where that one's fetched debug files are */
};

void session_init(struct session *s, const struct options *o, int64_t now_ms);
/* Ends the output. Returns EXIT_OK or EXIT_FAILED when it could not be written. */
int session_done(struct session *s);

/* The configuration, and what the uploader makes of it; read when first asked for. NULL
 * without memory. Owned by the session. */
const struct config *session_config(struct session *s);
const struct worker_settings *session_settings(struct session *s);

/* For reports of the spool with this path, by [symbols] of the configuration and by the
 * options. NULL without memory. Owned by the session, until it is asked for another
 * spool's. */
struct knell_symbolizer *session_symbolizer(struct session *s, const char *spool);

/* "knell: ..." on stderr; captured text must not be among the arguments. */
void session_complain(const struct session *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same, unless --quiet. */
void session_note(const struct session *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether a person at a terminal, asked "... [y/N]", says yes. Nobody is asked with --yes
 * and --dry-run, or where no person is: that is yes, too. */
bool session_agreed(const struct session *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A writer in the form that --json asked for, with the top object open and "schema" and
 * "command" written. Close with json_end_object(). */
struct json session_json(const struct session *s);
/* As above for one object of --json=lines, without these two members. */
struct json session_json_line(const struct session *s);

/* Whether a person sees stderr and wants to hear of progress. */
bool session_is_watched(const struct session *s);

/* The exit code for a negative errno of a spool. */
int session_exit_code(int err);
