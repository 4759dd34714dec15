#include "uploader/worker/settings.h"

#include "uploader/event/rules.h"
#include "uploader/event/scrub.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_ARGUMENTS = 32, MAX_DEBUG_DIRS = WORKER_MAX_FOLDERS - 1 };

struct worker_settings {
    struct rules *rules;
    struct scrub *scrub; /* NULL: switched off */
    char *command;       /* cut into argv */
    const char *argv[MAX_ARGUMENTS + 1];
    uint32_t hook_timeout_ms;
    bool send_cmdline, send_changed, raw_minidump, fingerprint;
    uint64_t max_event_bytes;
    uint32_t max_threads, max_frames;
    struct sandbox_limits limits;
    struct knell_symbolize_options symbols;
    char *store_dir, *cache_dir, *fetched_dir;
    char *debug_dir_lines; /* cut into debug_dirs */
    const char *debug_dirs[MAX_DEBUG_DIRS + 1];
};

/* At blanks; no shell looks at it. */
static int split(const char *command, struct worker_settings *s)
{
    size_t n = 0;
    if (!command || !*command)
        return 0;
    s->command = strdup(command);
    if (!s->command)
        return -ENOMEM;
    char *rest = s->command, *word;
    while ((word = strsep(&rest, " \t")) && n < MAX_ARGUMENTS) {
        if (*word)
            s->argv[n++] = word;
    }
    return 0;
}

/* A copy, NULL for none: what is made of the configuration outlives it. */
static int copy(const char *text, char **ret)
{
    *ret = text && *text ? strdup(text) : NULL;
    return text && *text && !*ret ? -ENOMEM : 0;
}

static int set_symbols(const struct config *c, struct worker_settings *s)
{
    int err = copy(c->store_dir, &s->store_dir);
    if (!err)
        err = copy(c->cache_dir, &s->cache_dir);
    if (!err)
        err = copy(c->debuginfod_dir, &s->fetched_dir);
    if (!err)
        err = copy(c->debug_dirs, &s->debug_dir_lines);
    s->symbols = (struct knell_symbolize_options){.size = sizeof s->symbols,
        .store_dir = s->store_dir,
        .cache_dir = s->cache_dir,
        .fetched_dir = s->fetched_dir,
        .deadline_ms = (uint32_t)c->symbols_deadline_ms,
        .context_lines = (uint32_t)c->context_lines};
    char *rest = s->debug_dir_lines, *line;
    for (size_t n = 0; (line = strsep(&rest, "\n")) && n < MAX_DEBUG_DIRS;) {
        if (*line)
            s->debug_dirs[n++] = line;
    }
    if (s->debug_dirs[0])
        s->symbols.debug_dirs = s->debug_dirs;
    return err;
}

int worker_settings_new(
    const struct config *config, struct worker_settings **ret, char *note, size_t n_note)
{
    struct worker_settings *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    const struct rules_text text = {
        .ignore = config->ignore,
        .ignore_transactions = config->ignore_transactions,
        .fingerprint = config->fingerprint,
        .sample = config->sample,
        .in_app_include = config->in_app_include,
        .in_app_exclude = config->in_app_exclude,
        .tags = config->tags,
    };
    char scrub_note[256] = "";
    int err = rules_new(&text, &s->rules, note, n_note);
    if (!err && config->scrub)
        err = scrub_new(config->scrub_patterns, &s->scrub, scrub_note, sizeof scrub_note);
    if (!err)
        err = split(config->before_send, s);
    if (!err)
        err = set_symbols(config, s);
    if (err) {
        worker_settings_free(s);
        return err;
    }
    if (!*note)
        strncat(note, scrub_note, n_note - 1);
    s->hook_timeout_ms = (uint32_t)config->hook_timeout_ms;
    s->send_cmdline = config->send_cmdline;
    s->send_changed = config->send_changed;
    s->raw_minidump = !config->scrub;
    s->fingerprint = config->send_fingerprint;
    s->max_event_bytes = config->max_event_bytes;
    s->max_threads = (uint32_t)config->max_threads;
    s->max_frames = (uint32_t)config->max_frames;
    s->limits = (struct sandbox_limits){.memory_bytes = config->worker_memory_bytes,
        .cpu_ms = config->worker_cpu_ms,
        .time_ms = config->worker_time_ms};
    *ret = s;
    return 0;
}

void worker_settings_free(struct worker_settings *s)
{
    if (!s)
        return;
    rules_free(s->rules);
    scrub_free(s->scrub);
    free(s->command);
    free(s->store_dir);
    free(s->cache_dir);
    free(s->fetched_dir);
    free(s->debug_dir_lines);
    free(s);
}

void worker_settings_apply(const struct worker_settings *s, struct worker_options *o)
{
    if (!s)
        return;
    o->rules = s->rules;
    o->event.scrub = s->scrub;
    o->event.send_cmdline = s->send_cmdline;
    o->before_send = s->argv[0] ? s->argv : NULL;
    o->hook_timeout_ms = s->hook_timeout_ms;
    o->send_changed = s->send_changed;
    o->raw_minidump = s->raw_minidump;
    o->max_event_bytes = s->max_event_bytes;
    o->event.fingerprint = s->fingerprint;
    if (!o->event.max_threads) /* else it is being made smaller already */
        o->event.max_threads = s->max_threads;
    if (!o->event.max_frames)
        o->event.max_frames = s->max_frames;
    o->symbols = &s->symbols;
    o->unwind.store_dir = s->symbols.store_dir;
    o->unwind.fetched_dir = s->symbols.fetched_dir;
}

struct sandbox_limits worker_settings_limits(const struct worker_settings *s)
{
    return s ? s->limits : (struct sandbox_limits){0};
}

void worker_settings_files(
    const struct worker_settings *s, const char **ret_readable, const char **ret_writable)
{
    size_t n = 0, k = 0;
    for (const char *const *p = s->debug_dirs; *p; p++)
        ret_readable[n++] = *p;
    if (s->store_dir)
        ret_readable[n++] = s->store_dir;
    ret_readable[n] = NULL;
    if (s->cache_dir)
        ret_writable[k++] = s->cache_dir;
    /* Whoever fetches has made it. */
    if (s->fetched_dir && access(s->fetched_dir, W_OK) == 0)
        ret_writable[k++] = s->fetched_dir;
    ret_writable[k] = NULL;
}
