/* config: what is in effect and where each value came from. Secrets are masked. */
#include "uploader/config.h"
#include "uploader/destinations.h"
#include "uploader/inspect/commands.h"
#include "uploader/inspect/safe.h"
#include "uploader/pipeline.h"

#include <string.h>

struct bad_destinations {
    struct session *s;
    struct json *notes; /* NULL: stderr */
    size_t n;
};

static void put_note(struct json *j, const char *text, bool error)
{
    json_object(j, NULL);
    json_text(j, "text", text);
    json_bool(j, "error", error);
    json_end_object(j);
}

static void complain_of(void *ctx, const char *masked, const char *why)
{
    struct bad_destinations *bad = ctx;
    CLEANUP(safe_done) struct safe text = {0};
    safe_format(&text, "destination %s: %s", masked, why);
    bad->n++;
    if (bad->notes)
        put_note(bad->notes, safe_text(&text), true);
    else
        session_complain(bad->s, "%s", safe_text(&text));
}

/* Returns how many destinations cannot be understood, and says which; whether one answers
 * is for knell test. */
static size_t check_destinations(
    struct session *s, const struct config *c, struct json *notes)
{
    struct destination d[PIPELINE_MAX_DESTINATIONS];
    struct bad_destinations bad = {.s = s, .notes = notes};
    size_t n = destinations_of(c, d, PIPELINE_MAX_DESTINATIONS, complain_of, &bad);
    for (size_t i = 0; i < n; i++)
        destination_done(&d[i]);
    return bad.n;
}

/* Returns how many destinations are none, where that was asked. */
static size_t put_json(struct session *s, const struct config_set *set, bool check)
{
    struct json j = session_json(s);
    json_array(&j, "settings");
    for (size_t i = 0; i < config_n_keys(); i++) {
        struct config_line line;
        config_describe(set, i, &line);
        json_object(&j, NULL);
        json_text(&j, "section", line.section);
        json_text(&j, "key", line.key);
        json_text(&j, "value", line.value);
        json_text(&j, "origin", line.origin);
        json_end_object(&j);
    }
    json_end_array(&j);
    json_array(&j, "notes");
    for (size_t i = 0; i < set->n_notes; i++)
        put_note(&j, set->notes[i].text, set->notes[i].error);
    size_t n_bad = check ? check_destinations(s, &set->values, &j) : 0;
    json_end_array(&j);
    json_end_object(&j);
    return n_bad;
}

static void put_settings(struct session *s, const struct config_set *set)
{
    const struct out *o = &s->out;
    const char *section = "";
    for (size_t i = 0; i < config_n_keys(); i++) {
        struct config_line line;
        config_describe(set, i, &line);
        if (strcmp(line.section, section) != 0) {
            section = line.section;
            (void)fprintf(o->f, "%s%s[%s]%s\n", i ? "\n" : "", out_style(o, STYLE_BOLD),
                section, out_plain(o));
        }
        bool changed = strcmp(line.origin, "built-in") != 0;
        if (s->options.full || !o->tty)
            (void)fprintf(o->f, "# %s\n", line.doc);
        (void)fprintf(o->f, "%s = ", line.key);
        out_text(o, changed ? STYLE_BOLD : STYLE_PLAIN, line.value);
        if (changed) {
            (void)fprintf(o->f, "%s  # ", out_style(o, STYLE_DIM));
            safe_print(o->f, line.origin);
            (void)fputs(out_plain(o), o->f);
        }
        (void)fputc('\n', o->f);
    }
}

int command_config(struct session *s)
{
    const char *what = s->options.n_arguments ? s->options.arguments[0] : "show";
    bool check = strcmp(what, "check") == 0;
    if (s->options.n_arguments > 1 || (!check && strcmp(what, "show") != 0)) {
        session_complain(s, "config is show or check");
        return EXIT_USAGE;
    }
    struct config_set set;
    struct config_sources sources = {.file = s->options.config, .environ_ = environ};
    int err = config_load(&sources, &set);
    if (err)
        return session_exit_code(err);
    bool bad = false;
    for (size_t i = 0; i < set.n_notes; i++)
        bad |= set.notes[i].error || s->options.strict;
    if (s->options.json) {
        bad |= put_json(s, &set, check) != 0;
    } else {
        if (!check) {
            out_page(&s->out);
            put_settings(s, &set);
        }
        for (size_t i = 0; i < set.n_notes; i++) {
            CLEANUP(safe_done) struct safe text = {0};
            safe_put(&text, set.notes[i].text);
            session_complain(
                s, "%s%s", set.notes[i].error ? "" : "warning: ", safe_text(&text));
        }
        if (check && check_destinations(s, &set.values, NULL))
            bad = true;
        else if (check && !set.n_notes && !s->options.quiet)
            (void)fputs("The configuration is sound.\n", s->out.f);
    }
    config_done(&set);
    return bad ? EXIT_FAILED : EXIT_OK;
}
