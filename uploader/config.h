/**
 * What the uploader and the knell command were told, from every place it can be told in,
 * lowest first: built-in; $PREFIX/lib/knell/knell.conf; /etc/knell/knell.conf;
 * /etc/knell/knell.conf.d/<any>.conf in order of name; standard environment variables
 * (SENTRY_DSN, SSL_CERT_FILE, OTEL_EXPORTER_OTLP_…); KNELL_SECTION_KEY (and KNELL_DSN,
 * KNELL_SPOOL); the command line. KNELL_CONFIG=FILE replaces all files by that one.
 *
 * A file is INI: [section], key = value, # or ; at the start of a line for comments,
 * "include = PATH" (relative to the file) anywhere. Sizes take K, M, G; times s, m, h, d;
 * switches yes and no.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_type {
    CONFIG_TEXT,   /* char * */
    CONFIG_SECRET, /* char *, masked when shown */
    CONFIG_LINES,  /* char *, each further setting appends a line */
    CONFIG_SWITCH, /* bool */
    CONFIG_COUNT,  /* uint64_t */
    CONFIG_BYTES,  /* uint64_t */
    CONFIG_TIME,   /* uint64_t, ms */
    CONFIG_RATE,   /* struct config_rate: COUNT/TIME, 0 for none, or auto */
    CONFIG_CHOICE, /* unsigned, index into the key's words */
};

struct config_rate {
    uint64_t count, per_ms;
    bool is_auto; /* the program decides: on for servers elsewhere, off on this machine */
};

enum config_minidump {
    CONFIG_MINIDUMP_NEVER,
    CONFIG_MINIDUMP_ATTACH,
    CONFIG_MINIDUMP_SERVER
};
enum config_compression {
    CONFIG_COMPRESS_AUTO,
    CONFIG_COMPRESS_GZIP,
    CONFIG_COMPRESS_NONE
};
enum config_consent { CONFIG_CONSENT_YES, CONFIG_CONSENT_NO, CONFIG_CONSENT_ASK };

struct config {
    /* [upload] */
    char *dsn; /* one or more destinations, separated by white space */
    char *dsn_file, *proxy, *no_proxy, *ca_file, *ca_path, *client_cert, *client_key;
    char *unix_socket, *otlp_endpoint, *otlp_logs_url, *otlp_headers;
    char *otlp_ca_file, *otlp_client_cert, *otlp_client_key;
    uint64_t otlp_timeout_ms;
    bool enabled, insecure;
    unsigned consent, compression, otlp_compression, minidump;
    uint64_t concurrency, compression_level;
    struct config_rate max_rate;
    uint64_t max_bytes_per_day;
    uint64_t connect_timeout_ms, total_timeout_ms, low_speed_time_ms, low_speed_bytes;
    uint64_t retry_base_ms, retry_max_ms, hint_max_ms, hint_default_ms, breaker_config_ms;
    uint64_t local_retry_ms, keep_alive_ms, stop_grace_ms;
    uint64_t breaker_failures, max_response_bytes, max_headers_bytes, max_body_bytes;
    /* [spool] */
    char *spool;
    uint64_t max_reports, max_bytes, keep_free_bytes, keep_free_inodes, max_age_ms;
    uint64_t keep_first, keep_last, retain_sent_ms, retain_sent_bytes, retain_bad_ms;
    uint64_t retain_bad_bytes, worker_deaths;
    /* [event] */
    bool send_default_pii, send_cmdline, scrub, frame_hints, send_fingerprint;
    bool send_changed;
    uint64_t max_event_bytes, max_threads, max_frames;
    char *scrub_patterns, *in_app_include, *in_app_exclude, *tags;
    uint64_t context_lines, attached_file_bytes;
    /* [rules] one rule a line, in the order given; the worker reads them */
    char *ignore, *ignore_transactions, *fingerprint, *sample;
    /* [throttle] */
    struct config_rate per_signature;
    uint64_t collapse_after_ms;
    /* [hooks] */
    char *before_send; /* program and arguments, split at blanks; no shell */
    uint64_t hook_timeout_ms;
    /* [symbols] */
    char *debug_dirs, *store_dir, *cache_dir, *debuginfod_urls, *debuginfod_dir;
    uint64_t debuginfod_time_ms, debuginfod_max_file_bytes, debuginfod_max_bytes;
    uint64_t symbols_deadline_ms, worker_memory_bytes, worker_cpu_ms, worker_time_ms;
    /* [telemetry] */
    char *prom_file, *journal_socket;
    unsigned journald;
};

/* What was wrong or odd; a warning unless strict. */
struct config_note {
    char *text; /* "FILE:LINE: what" */
    bool error; /* the value was not taken */
};

struct config_sources {
    const char *root;      /* put before /etc and /usr paths; NULL: none */
    const char *file;      /* replaces all files; NULL: KNELL_CONFIG, else the usual */
    char *const *environ_; /* as environ; NULL: none */
    const char *const *overrides; /* "section.key=value", NULL at the end; NULL: none */
};

struct config_origin; /* where each key's value came from */

struct config_set {
    struct config values;
    struct config_note *notes;
    size_t n_notes;
    struct config_origin *origins;
};

/**
 * Read every source. A key that is unknown or a value that does not parse is a note, not
 * a failure: a typing error must not stop crash reports.
 *
 * @ret  free with config_done()
 * Returns 0 or -ENOMEM; a named file that cannot be read is a note with error set.
 */
int config_load(const struct config_sources *sources, struct config_set *ret) MUST_CHECK;
void config_done(struct config_set *c);

/* One key as `knell config show` prints it. */
struct config_line {
    const char *section, *key, *doc; /* static */
    char value[512];                 /* secrets masked; cut to fit */
    const char *origin; /* "built-in", "/etc/knell/knell.conf:12", "KNELL_DSN", …; lives
                           as long as the set */
};
size_t config_n_keys(void);
/* @i  0 to config_n_keys() - 1 */
void config_describe(const struct config_set *c, size_t i, struct config_line *ret);

/**
 * [symbols] debuginfod_dir, or what it stands for when nobody said: symbols/ in the
 * spool.
 * @room  4096 bytes; the result may lie in there
 */
const char *config_debuginfod_dir(const struct config *c, const char *spool, char *room);

/* Replace what is secret in a DSN or URL: the key and secret before '@' become "***".
 * @out  at most @n bytes with the NUL */
void config_mask(const char *url, char *out, size_t n);
