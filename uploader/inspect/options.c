#include "uploader/inspect/options.h"

#include "uploader/inspect/options_ids.h"

#include "uploader/inspect/safe.h"
#include "uploader/inspect/when.h"
#include "uploader/report/signal_words.h"
#include "uploader/spool/dir.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int command_parse(const char *name)
{
    for (int i = 0; i < COMMAND_N; i++)
        if (strcmp(command_specs[i].name, name) == 0)
            return i;
    return -EINVAL;
}

bool option_word(const char *words, const char *text)
{
    size_t n = strlen(text);
    for (const char *w = words; n && w && *w;) {
        size_t length = strcspn(w, " ");
        if (length == n && strncmp(w, text, n) == 0)
            return true;
        w += length + (w[length] == ' ');
    }
    return false;
}

struct parser {
    struct options *o;
    int64_t now_ms;
    bool quiet;
    uint64_t seen; /* bits by index of option_specs */
};

static int __attribute__((format(printf, 2, 3)))
complain(const struct parser *p, const char *format, ...)
{
    if (p->quiet)
        return -EINVAL;
    va_list args;
    va_start(args, format);
    safe_line(stderr, "knell: ", format, args);
    va_end(args);
    return -EINVAL;
}

static int parse_count(const struct parser *p, const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || end == text || *end || v < 0 || v > INT_MAX)
        return complain(p, "not a number of reports: %s", text);
    *ret = v;
    return 0;
}

static int parse_size(const struct parser *p, const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    static const char suffixes[] = "KMGT";
    const char *s = *end ? strchr(suffixes, *end) : NULL;
    if (s) {
        for (const char *i = suffixes; i <= s; i++)
            v *= 1024;
        end++;
    }
    if (errno || end == text || *end || !(v >= 0) || v > 1e18)
        return complain(p, "not a size: %s (such as 512K, 64M)", text);
    *ret = (int64_t)v;
    return 0;
}

static int parse_states(const struct parser *p, const char *text)
{
    for (const char *s = text; *s;) {
        size_t n = strcspn(s, ",");
        char word[8] = "";
        if (n < sizeof word)
            memcpy(word, s, n);
        int state = spool_state_parse(word);
        if (state < 0 || state == SPOOL_LIVE)
            return complain(p, "no such state in \"%s\"; they are " OPTION_STATES, text);
        p->o->states |= UINT32_C(1) << state;
        s += n + (s[n] == ',');
    }
    return p->o->states ? 0 : complain(p, "no state given; they are " OPTION_STATES);
}

static int parse_point(
    const struct parser *p, const char *text, int64_t *ret, bool *ret_has)
{
    int64_t ms;
    if (when_parse(text, p->now_ms, p->o->utc, &ms))
        return complain(
            p, "not a time: %s (such as today, -2h, \"2026-11-20 22:14\")", text);
    *ret = ms;
    *ret_has = true;
    return 0;
}

static int parse_span(const struct parser *p, const char *text, int64_t *ret)
{
    int64_t ms;
    if (when_parse_span(text, &ms))
        return complain(p, "not a span of time: %s (such as 30s, 14d)", text);
    *ret = ms;
    return 0;
}

static int parse_word(
    const struct parser *p, const char *text, const char *const *words, const char *what)
{
    for (int i = 0; words[i]; i++)
        if (text && strcmp(words[i], text) == 0)
            return i;
    return complain(p, "no such %s: %s", what, text ? text : "");
}

static int set_signal(const struct parser *p, const char *text)
{
    int signo = signal_words_parse(text);
    if (signo < 0)
        return complain(p, "no such signal: %s", text);
    p->o->signo = signo;
    p->o->signal_text = text;
    return 0;
}

static int add_tag(const struct parser *p, const char *text)
{
    if (!strchr(text, '=') || p->o->n_tags == OPTIONS_MAX_TAGS)
        return complain(p, "--tag wants KEY=VALUE, at most %d times", OPTIONS_MAX_TAGS);
    p->o->tags[p->o->n_tags++] = text;
    return 0;
}

static int set_json(const struct parser *p, const char *text)
{
    static const char *const forms[] = {"pretty", "lines", NULL};
    int form = text ? parse_word(p, text, forms, "form of JSON") : 0;
    if (form < 0)
        return form;
    p->o->json = form ? JSON_FORM_LINES : JSON_FORM_PRETTY;
    return 0;
}

static int set_colour(const struct parser *p, const char *text)
{
    static const char *const whens[] = {"auto", "always", "never", NULL};
    int when = text ? parse_word(p, text, whens, "use of colours") : OUT_COLOUR_ALWAYS;
    if (when < 0)
        return when;
    p->o->colour = (enum out_colour)when;
    return 0;
}

/* Options that are only kept, by id. */
static bool set_simple(struct options *o, int id, const char *text)
{
    const struct {
        int id;
        const char **text;
        bool *flag;
    } simple[] = {
        {'1', NULL, &o->one},
        {'r', NULL, &o->reverse},
        {'D', &o->spool, NULL},
        {'F', &o->field, NULL},
        {'o', &o->output, NULL},
        {'q', NULL, &o->quiet},
        {'y', NULL, &o->yes},
        {'f', NULL, &o->follow},
        {ID_CODE, &o->code, NULL},
        {ID_EXE, &o->executable, NULL},
        {ID_APP, &o->app, NULL},
        {ID_RELEASE, &o->release, NULL},
        {ID_ENV, &o->environment, NULL},
        {ID_SIG, &o->signature, NULL},
        {ID_ALL, NULL, &o->all},
        {ID_CONFIG, &o->config, NULL},
        {ID_UTC, NULL, &o->utc},
        {ID_NO_PAGER, NULL, &o->no_pager},
        {ID_NO_LEGEND, NULL, &o->no_legend},
        {ID_FULL, NULL, &o->full},
        {ID_AS_SENT, NULL, &o->as_sent},
        {ID_MODULES, NULL, &o->modules},
        {ID_REGISTERS, NULL, &o->registers},
        {ID_NO_SOURCE, NULL, &o->no_source},
        {ID_EVERY_THREAD, NULL, &o->every_thread},
        {ID_DRY_RUN, NULL, &o->dry_run},
        {ID_REPAIR, NULL, &o->repair},
        {ID_PURGE, NULL, &o->purge},
        {ID_STRICT, NULL, &o->strict},
        {ID_DEBUGGER, &o->debugger, NULL},
        {ID_DEBUG_DIR, &o->debug_dir, NULL},
        {ID_STORE, &o->store, NULL},
        {ID_SYSROOT, &o->sysroot, NULL},
        {ID_TITLE, &o->title, NULL},
    };
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++) {
        if (simple[i].id != id)
            continue;
        if (simple[i].text)
            *simple[i].text = text;
        else
            *simple[i].flag = true;
        return true;
    }
    return false;
}

static int set_option(const struct parser *p, int id, const char *text)
{
    struct options *o = p->o;
    if (set_simple(o, id, text))
        return 0;
    switch (id) {
    case 'n':
        return parse_count(p, text, &o->last);
    case 'S':
        return parse_point(p, text, &o->since_ms, &o->has_since);
    case 'U':
        return parse_point(p, text, &o->until_ms, &o->has_until);
    case ID_SIGNAL:
        return set_signal(p, text);
    case ID_STATE:
        return parse_states(p, text);
    case ID_TAG:
        return add_tag(p, text);
    case ID_JSON:
        return set_json(p, text);
    case ID_COLOR:
        return set_colour(p, text);
    case ID_OLDER:
        return parse_span(p, text, &o->older_ms);
    case ID_MAX_BYTES:
        return parse_size(p, text, &o->max_bytes);
    case ID_MAX_REPORTS:
        return parse_count(p, text, &o->max_reports);
    case ID_INTERVAL:
        return parse_span(p, text, &o->interval_ms);
    case ID_TIMEOUT:
        return parse_span(p, text, &o->timeout_ms);
    default:
        return complain(p, "option not handled");
    }
}

/* getopt's view of the table. */
static void build(
    struct option long_forms[static MAX_OPTIONS], char short_forms[static 128])
{
    char *s = short_forms;
    size_t n = 0;
    for (size_t i = 0; i < n_option_specs; i++) {
        const struct option_spec *spec = &option_specs[i];
        bool optional = spec->argument && spec->argument[0] == '[';
        int has = !spec->argument ? no_argument
                  : optional      ? optional_argument
                                  : required_argument;
        if (spec->name)
            long_forms[n++] = (struct option){spec->name, has, NULL, spec->id};
        if (spec->short_form) {
            *s++ = spec->short_form;
            if (has == required_argument)
                *s++ = ':';
        }
    }
    long_forms[n] = (struct option){0};
    *s = 0;
}

static void note_seen(struct parser *p, int id)
{
    for (size_t i = 0; i < n_option_specs; i++)
        if (option_specs[i].id == id)
            p->seen |= UINT64_C(1) << i;
}

static int complain_of_empty(const struct parser *p, int id)
{
    for (size_t i = 0; i < n_option_specs; i++)
        if (option_specs[i].id == id && option_specs[i].name)
            return complain(
                p, "--%s wants a value that is not empty", option_specs[i].name);
    return complain(p, "-%c wants a value that is not empty", id);
}

/* Every option that was given must be one of the command's. */
static int check_seen(const struct parser *p)
{
    for (size_t i = 0; i < n_option_specs; i++) {
        const struct option_spec *spec = &option_specs[i];
        if (!(p->seen >> i & 1) || spec->commands & OPTION_FOR(p->o->command))
            continue;
        const char *command = command_specs[p->o->command].name;
        if (spec->name)
            return complain(p, "%s does not take --%s", command, spec->name);
        return complain(p, "%s does not take -%c", command, spec->short_form);
    }
    return 0;
}

/* The first word is the command when it names one; else everything selects. */
static void take_command(struct options *o)
{
    int command = o->n_arguments ? command_parse(o->arguments[0]) : -EINVAL;
    if (command < 0)
        return;
    o->command = (enum command_id)command;
    o->arguments++;
    o->n_arguments--;
}

int options_parse(
    int argc, char **argv, int64_t now_ms, bool quiet_errors, struct options *ret)
{
    *ret = (struct options){.help_of = COMMAND_HELP,
        .last = -1,
        .older_ms = -1,
        .max_bytes = -1,
        .max_reports = -1,
        .interval_ms = -1,
        .timeout_ms = -1};
    struct parser p = {.o = ret, .now_ms = now_ms, .quiet = quiet_errors};
    struct option long_forms[MAX_OPTIONS];
    char short_forms[128];
    build(long_forms, short_forms);

    /* Times depend on it, wherever it stands. */
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        ret->utc |= strcmp(argv[i], "--utc") == 0;
    bool help = false, version = false;
    optind = 0; /* a fresh start also in glibc */
    opterr = !quiet_errors;
    for (int id; (id = getopt_long(argc, argv, short_forms, long_forms, NULL)) != -1;) {
        if (id == '?')
            return -EINVAL;
        note_seen(&p, id);
        /* What a script's unset variable leaves must not mean all. */
        if (optarg && !*optarg)
            return complain_of_empty(&p, id);
        help |= id == 'h';
        version |= id == ID_VERSION;
        int err = id == 'h' || id == ID_VERSION ? 0 : set_option(&p, id, optarg);
        if (err)
            return err;
    }
    ret->arguments = argv + optind;
    ret->n_arguments = argc - optind;
    take_command(ret);
    if (help || version) {
        ret->version = version;
        ret->help_of = help ? ret->command : COMMAND_HELP;
        if (help && ret->command == COMMAND_LIST && optind == argc)
            ret->help_of = COMMAND_HELP;
        ret->command = COMMAND_HELP;
        ret->n_arguments = 0;
        return 0;
    }
    if (ret->one)
        ret->last = 1;
    const struct command_spec *command = &command_specs[ret->command];
    if (!*command->arguments && ret->n_arguments)
        return complain(
            &p, "%s takes no words such as %s", command->name, ret->arguments[0]);
    return check_seen(&p);
}
