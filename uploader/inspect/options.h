/**
 * The one table of commands and options: the parser, `knell help`, the completions and
 * the check of the manual all come from it. Pure; nothing here touches a spool.
 */
#pragma once
#include "symbolize/cleanup.h"
#include "uploader/inspect/out.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a program ends. The same for every program of knell. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2, /* also: a selection that is ambiguous */
    EXIT_NO_MATCH = 3,
    EXIT_UNREADABLE = 4, /* permission, or no spool */
    EXIT_CORRUPT = 5,
    EXIT_LATER = 6,    /* temporary; reports remain */
    EXIT_REJECTED = 7, /* for good */
    EXIT_BUSY = 8,     /* another uploader is at work */
    EXIT_DISABLED = 9, /* no consent, no destination */
};

enum command_id {
    COMMAND_LIST = 0,
    COMMAND_SHOW,
    COMMAND_STACK,
    COMMAND_THREADS,
    COMMAND_CRUMBS,
    COMMAND_TOP,
    COMMAND_DUMP,
    COMMAND_DEBUG,
    COMMAND_STATUS,
    COMMAND_LOG,
    COMMAND_UPLOAD,
    COMMAND_RETRY,
    COMMAND_HOLD,
    COMMAND_RELEASE,
    COMMAND_RM,
    COMMAND_CLEAN,
    COMMAND_EXPORT,
    COMMAND_IMPORT,
    COMMAND_VERIFY,
    COMMAND_CONSENT,
    COMMAND_CONFIG,
    COMMAND_TEST,
    COMMAND_WATCH,
    COMMAND_REPORT,
    COMMAND_COMPLETION,
    COMMAND_HELP,
    COMMAND_N,
};

/* Which options a command takes, as bits of option_spec.commands. */
#define OPTION_FOR(c) (UINT32_C(1) << (c))

struct command_spec {
    const char *name;
    const char *arguments; /* as in the usage line */
    const char *summary;
};
/* By enum command_id. */
extern const struct command_spec command_specs[COMMAND_N];

struct option_spec {
    int id;               /* the short form where there is one, else 256 and up */
    char short_form;      /* 0: none */
    const char *name;     /* without the dashes */
    const char *argument; /* NULL: none; "[X]": may be left out, then only with "=" */
    const char *help;
    uint32_t commands; /* OPTION_FOR bits */
    const char *words; /* values, for completions; blanks between; NULL: any */
};
extern const struct option_spec option_specs[];
extern const size_t n_option_specs;

enum json_form {
    JSON_FORM_NONE = 0,
    JSON_FORM_PRETTY,
    JSON_FORM_LINES, /* one object a line */
};

enum { OPTIONS_MAX_TAGS = 16 };

/* What the command line says. Strings are argv's. */
struct options {
    enum command_id command;
    enum command_id help_of; /* with COMMAND_HELP: COMMAND_HELP is the overview */
    bool version;            /* with COMMAND_HELP: print the version instead */
    char **arguments;        /* what is left after the command */
    int n_arguments;

    const char *spool; /* NULL: $KNELL_SPOOL, else every spool found */
    const char *config;
    bool all;
    bool quiet, utc, no_pager, no_legend, full;
    enum out_colour colour;
    enum json_form json;
    const char *field, *output;

    /* selection */
    int64_t last; /* newest N; -1: no limit */
    bool one;     /* -1 */
    bool reverse;
    bool has_since, has_until;
    int64_t since_ms, until_ms;
    int signo; /* 0: any */
    const char *code, *executable, *app, *release, *environment, *signature;
    uint32_t states;                    /* bits by enum spool_state; 0: all */
    const char *tags[OPTIONS_MAX_TAGS]; /* KEY=VALUE */
    size_t n_tags;

    /* of single commands */
    bool as_sent, modules, registers, no_source, every_thread;
    bool dry_run, yes, repair, purge, strict, follow;
    const char *debugger, *debug_dir, *store, *sysroot;
    int64_t older_ms;               /* -1: not given */
    int64_t max_bytes, max_reports; /* -1: not given */
    const char *title;
    int64_t interval_ms, timeout_ms; /* -1: not given */
    const char *signal_text;         /* as given */
};

/**
 * Read the command line.
 *
 * @now_ms  for --since and --until
 * @ret     filled also on failure as far as it was read
 * Returns 0, or -EINVAL after a message on stderr (unless @quiet_errors).
 */
int options_parse(int argc, char **argv, int64_t now_ms, bool quiet_errors,
    struct options *ret) MUST_CHECK;

/* @command  COMMAND_HELP: overview of all; else one command's usage and options. */
void options_help(FILE *f, enum command_id command);

struct json;
/* The table itself, as members of an open object; of one command as above. */
void options_json(struct json *j, enum command_id command);

/* Returns the command or -EINVAL. */
int command_parse(const char *name) MUST_CHECK;

/* Whether @text is one of the words of a blank-separated list. */
bool option_word(const char *words, const char *text);
