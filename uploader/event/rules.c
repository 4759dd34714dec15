#include "uploader/event/rules.h"

#include "uploader/event/build.h"
#include "uploader/report/frames.h"
#include "uploader/report/signal_words.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum rule_field {
    FIELD_SIGNAL,
    FIELD_TYPE,
    FIELD_MESSAGE,
    FIELD_FUNCTION,
    FIELD_MODULE,
    FIELD_RELEASE,
    FIELD_ENVIRONMENT,
    FIELD_APP,
    FIELD_TRANSACTION,
    N_FIELDS,
};
static const char *const field_names[N_FIELDS] = {"signal", "type", "message", "function",
    "module", "release", "environment", "app", "transaction"};

struct rule {
    enum rule_field field;
    char *pattern;
    char *value; /* fingerprint: what stands behind "->"; tags: the value */
    double rate;
    char *text; /* as it was written */
};

struct rule_list {
    struct rule *all;
    size_t n;
};

struct rules {
    struct rule_list ignore, ignore_transactions, fingerprint, sample;
    struct rule_list include, exclude, tags;
};

static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t n = strlen(s);
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\r'))
        s[--n] = 0;
    return s;
}

/* "FIELD=PATTERN": returns the pattern, or NULL. */
static char *split_field(char *line, enum rule_field *ret)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return NULL;
    *equals = 0;
    const char *name = trim(line);
    for (int i = 0; i < N_FIELDS; i++) {
        if (!strcmp(name, field_names[i])) {
            *ret = (enum rule_field)i;
            return trim(equals + 1);
        }
    }
    return NULL;
}

/* Each fills @r from its line and returns whether the line is a rule; strings are copied
 * by the caller. */
static bool parse_match(char *line, struct rule *r)
{
    r->pattern = split_field(line, &r->field);
    return r->pattern && *r->pattern;
}

static bool parse_pattern(char *line, struct rule *r)
{
    r->pattern = line;
    return true;
}

static bool parse_fingerprint(char *line, struct rule *r)
{
    char *arrow = strstr(line, "->");
    if (!arrow)
        return false;
    *arrow = 0;
    r->value = trim(arrow + 2);
    return parse_match(line, r) && *r->value;
}

static bool parse_sample(char *line, struct rule *r)
{
    char *blank = strrchr(line, ' '), *end;
    if (!blank)
        return false;
    r->rate = strtod(blank + 1, &end);
    bool number = end > blank + 1 && !*end && r->rate >= 0 && r->rate <= 1;
    *blank = 0;
    return parse_match(line, r) && number;
}

static bool parse_tag(char *line, struct rule *r)
{
    char *equals = strchr(line, '=');
    if (!equals)
        return false;
    *equals = 0;
    r->pattern = trim(line);
    r->value = trim(equals + 1);
    return *r->pattern && *r->value;
}

static void rule_done(struct rule *r)
{
    free(r->pattern);
    free(r->value);
    free(r->text);
}

static int add(struct rule_list *list, const struct rule *from, const char *text)
{
    struct rule *all = realloc(list->all, (list->n + 1) * sizeof *all);
    if (!all)
        return -ENOMEM;
    list->all = all;
    struct rule r = *from;
    r.pattern = strdup(from->pattern);
    r.value = from->value ? strdup(from->value) : NULL;
    r.text = strdup(text);
    if (!r.pattern || !r.text || (from->value && !r.value)) {
        rule_done(&r);
        return -ENOMEM;
    }
    list->all[list->n++] = r;
    return 0;
}

static int parse_lines(const char *lines, bool (*parse)(char *, struct rule *),
    struct rule_list *list, char *note, size_t n_note)
{
    CLEANUP(free_p) char *copy = lines ? strdup(lines) : NULL;
    if (!copy)
        return lines ? -ENOMEM : 0;
    char *rest = copy, *line;
    while ((line = strsep(&rest, "\n"))) {
        struct rule r = {0};
        line = trim(line);
        CLEANUP(free_p) char *text = strdup(line);
        if (!text)
            return -ENOMEM;
        if (!*line)
            continue;
        if (!parse(line, &r)) {
            if (!*note)
                (void)snprintf(note, n_note, "not a rule: %s", text);
            continue;
        }
        int err = add(list, &r, text);
        if (err)
            return err;
    }
    return 0;
}

int rules_new(
    const struct rules_text *text, struct rules **ret, char *note, size_t n_note)
{
    struct rules *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    note[0] = 0;
    const struct {
        const char *lines;
        bool (*parse)(char *, struct rule *);
        struct rule_list *list;
    } all[] = {
        {text->ignore, parse_match, &r->ignore},
        {text->ignore_transactions, parse_pattern, &r->ignore_transactions},
        {text->fingerprint, parse_fingerprint, &r->fingerprint},
        {text->sample, parse_sample, &r->sample},
        {text->in_app_include, parse_pattern, &r->include},
        {text->in_app_exclude, parse_pattern, &r->exclude},
        {text->tags, parse_tag, &r->tags},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int err = parse_lines(all[i].lines, all[i].parse, all[i].list, note, n_note);
        if (err) {
            rules_free(r);
            return err;
        }
    }
    *ret = r;
    return 0;
}

static void list_done(struct rule_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        rule_done(&list->all[i]);
    free(list->all);
}

void rules_free(struct rules *r)
{
    if (!r)
        return;
    list_done(&r->ignore);
    list_done(&r->ignore_transactions);
    list_done(&r->fingerprint);
    list_done(&r->sample);
    list_done(&r->include);
    list_done(&r->exclude);
    list_done(&r->tags);
    free(r);
}

static bool glob(const char *pattern, const char *s)
{
    return s && *s && fnmatch(pattern, s, 0) == 0;
}

static const char *frame_module(const struct crash *c, const struct crash_frame *f)
{
    return f->module < 0 ? NULL : c->modules[f->module].path;
}

static bool frame_matches(
    const struct crash *c, const struct crash_frame *f, const char *pattern)
{
    size_t n = strlen(pattern);
    bool module = strchr(pattern, '/') || strstr(pattern, ".so") ||
                  (n > 2 && !strcmp(pattern + n - 2, ".*"));
    if (!module)
        return glob(pattern, f->function);
    const char *path = frame_module(c, f);
    return glob(pattern, path) || glob(pattern, path_base(path));
}

void rules_in_app(const struct rules *r, struct crash *c)
{
    for (uint32_t t = 0; r && (r->include.n || r->exclude.n) && t < c->n_threads; t++) {
        for (uint32_t i = 0; i < c->threads[t].n_frames; i++) {
            struct crash_frame *f = &c->threads[t].frames[i];
            for (size_t k = 0; k < r->exclude.n; k++)
                f->in_app = f->in_app && !frame_matches(c, f, r->exclude.all[k].pattern);
            for (size_t k = 0; k < r->include.n; k++)
                f->in_app = f->in_app || frame_matches(c, f, r->include.all[k].pattern);
        }
    }
}

static const char *text_at(const cJSON *o, const char *key)
{
    const cJSON *v = o ? cJSON_GetObjectItemCaseSensitive(o, key) : NULL;
    return cJSON_IsString(v) ? v->valuestring : NULL;
}

static const char *exception_text(const cJSON *event, const char *key)
{
    const cJSON *e = cJSON_GetObjectItemCaseSensitive(event, "exception");
    const cJSON *values = e ? cJSON_GetObjectItemCaseSensitive(e, "values") : NULL;
    return text_at(values ? values->child : NULL, key);
}

static const char *message_of(const cJSON *event)
{
    const char *value = exception_text(event, "value");
    return value ? value
                 : text_at(
                       cJSON_GetObjectItemCaseSensitive(event, "logentry"), "formatted");
}

static bool any_frame(const struct crash *c, bool module, const char *pattern)
{
    const struct crash_thread *t =
        c->crashed_thread < 0 ? NULL : &c->threads[c->crashed_thread];
    for (uint32_t i = 0; t && i < t->n_frames; i++) {
        const struct crash_frame *f = &t->frames[i];
        const char *path = frame_module(c, f);
        if (module ? glob(pattern, path) || glob(pattern, path_base(path))
                   : glob(pattern, f->function))
            return true;
    }
    return false;
}

static bool matches(const struct rule *r, const struct crash *c, const cJSON *event)
{
    const char *name;
    switch (r->field) {
    case FIELD_SIGNAL:
        name = c->has_signal ? signal_words_name(c->signal.signo) : NULL;
        return name && (glob(r->pattern, name) || glob(r->pattern, name + 3));
    case FIELD_TYPE:
        return glob(r->pattern, exception_text(event, "type"));
    case FIELD_MESSAGE:
        return glob(r->pattern, message_of(event));
    case FIELD_FUNCTION:
        return any_frame(c, false, r->pattern);
    case FIELD_MODULE:
        return any_frame(c, true, r->pattern);
    case FIELD_RELEASE:
        return glob(r->pattern, text_at(event, "release"));
    case FIELD_ENVIRONMENT:
        return glob(r->pattern, text_at(event, "environment"));
    case FIELD_APP:
        return c->journal && glob(r->pattern, c->journal->app);
    case FIELD_TRANSACTION:
        return glob(r->pattern, text_at(event, "transaction"));
    case N_FIELDS:
        break;
    }
    return false;
}

static const struct rule *first_match(
    const struct rule_list *list, const struct crash *c, const cJSON *event)
{
    for (size_t i = 0; i < list->n; i++) {
        if (matches(&list->all[i], c, event))
            return &list->all[i];
    }
    return NULL;
}

const char *rules_ignored(
    const struct rules *r, const struct crash *c, const cJSON *event)
{
    const struct rule *hit = r ? first_match(&r->ignore, c, event) : NULL;
    return hit ? hit->text : NULL;
}

const char *rules_transaction_ignored(const struct rules *r, const char *name)
{
    for (size_t i = 0; r && i < r->ignore_transactions.n; i++) {
        if (glob(r->ignore_transactions.all[i].pattern, name))
            return r->ignore_transactions.all[i].text;
    }
    return NULL;
}

const char *rules_sampled_out(
    const struct rules *r, const struct crash *c, const cJSON *event)
{
    const struct rule *hit = r ? first_match(&r->sample, c, event) : NULL;
    const char *id = text_at(event, "event_id");
    uint64_t h = 0xcbf29ce484222325;
    for (; hit && id && *id; id++)
        h = (h ^ (unsigned char)*id) * 0x100000001b3;
    h ^= h >> 33; /* FNV's last steps hardly reach the upper bits */
    h *= 0xff51afd7ed558ccd;
    h ^= h >> 33;
    return hit && (double)(h >> 11) / (double)(1ull << 53) >= hit->rate ? hit->text
                                                                        : NULL;
}

/* What a name in "{{ name }}" stands for; NULL: nothing known. */
static const char *variable(
    const struct crash *c, const cJSON *event, const char *name, size_t n)
{
    const struct crash_frame *top = crash_top_frame(c);
    if (n == 4 && !memcmp(name, "type", n))
        return exception_text(event, "type");
    if (n == 8 && !memcmp(name, "function", n))
        return top ? top->function : NULL;
    if (n == 6 && !memcmp(name, "module", n))
        return top && top->module >= 0 ? path_base(frame_module(c, top)) : NULL;
    if (n == 6 && !memcmp(name, "signal", n))
        return c->has_signal ? signal_words_name(c->signal.signo) : NULL;
    return NULL;
}

/* One part with its variables put in. {{ default }} stays: it is the server's. */
static void part(struct build *b, cJSON *list, const struct crash *c, const cJSON *event,
    const char *text)
{
    if (strncmp(text, "{{", 2) != 0) {
        build_text(b, list, NULL, text, 200);
        return;
    }
    const char *name = text + 2 + strspn(text + 2, " ");
    size_t n = strcspn(name, " }");
    if (n == 7 && !memcmp(name, "default", n)) {
        build_text(b, list, NULL, "{{ default }}", 32);
        return;
    }
    const char *value = variable(c, event, name, n);
    build_text(b, list, NULL, value ? value : "<unknown>", 200);
}

static void fingerprint(
    struct build *b, cJSON *event, const struct crash *c, const struct rule *r)
{
    char copy[1024];
    (void)snprintf(copy, sizeof copy, "%s", r->value);
    cJSON_DeleteItemFromObjectCaseSensitive(event, "fingerprint");
    cJSON *list = build_array(b, event, "fingerprint");
    char *rest = copy, *one;
    while ((one = strsep(&rest, ","))) {
        one = trim(one);
        if (*one)
            part(b, list, c, event, one);
    }
    build_drop_empty(event, "fingerprint");
}

int rules_apply(const struct rules *r, const struct crash *c, cJSON *event)
{
    struct build b = {0};
    if (!r)
        return 0;
    const struct rule *hit = first_match(&r->fingerprint, c, event);
    if (hit)
        fingerprint(&b, event, c, hit);
    cJSON *tags = cJSON_GetObjectItemCaseSensitive(event, "tags");
    if (!tags && r->tags.n)
        tags = build_object(&b, event, "tags");
    for (size_t i = 0; i < r->tags.n; i++) {
        const struct rule *tag = &r->tags.all[i];
        if (tags && !build_has(tags, tag->pattern)) /* the program's own wins */
            build_text(&b, tags, tag->pattern, tag->value, 200);
    }
    return b.failed ? -ENOMEM : 0;
}
