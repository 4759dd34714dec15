#include "uploader/inspect/select.h"

#include "uploader/inspect/progress.h"
#include "uploader/inspect/unadopted.h"

#include "uploader/report/frames.h"
#include "uploader/report/signal_words.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum key {
    KEY_ID,
    KEY_PID,
    KEY_APP,
    KEY_EXE,
    KEY_RELEASE,
    KEY_ENV,
    KEY_DIST,
    KEY_SERVER,
    KEY_SIGNAL,
    KEY_CODE,
    KEY_STATE,
    KEY_SIG,
    KEY_FUNCTION,
    KEY_FILE,
    KEY_MODULE,
    KEY_THREAD,
    KEY_KIND,
    KEY_TAG,  /* value is KEY=VALUE */
    KEY_WORD, /* an id's start, a PID or a name */
};

static const struct {
    const char *name;
    enum key key;
} keys[] = {
    {"id", KEY_ID},
    {"pid", KEY_PID},
    {"app", KEY_APP},
    {"exe", KEY_EXE},
    {"release", KEY_RELEASE},
    {"env", KEY_ENV},
    {"environment", KEY_ENV},
    {"dist", KEY_DIST},
    {"server", KEY_SERVER},
    {"signal", KEY_SIGNAL},
    {"code", KEY_CODE},
    {"state", KEY_STATE},
    {"sig", KEY_SIG},
    {"signature", KEY_SIG},
    {"function", KEY_FUNCTION},
    {"file", KEY_FILE},
    {"module", KEY_MODULE},
    {"thread", KEY_THREAD},
    {"kind", KEY_KIND},
};

struct condition {
    enum key key;
    const char *value;
    int64_t number; /* PID, signal, state; -1: not a number */
    bool any;       /* one of the ids and PIDs, of which one must match */
};

struct conditions {
    struct condition *list;
    size_t n;
    bool has_any, only_any;
};

static bool is_hex_prefix(const char *s)
{
    size_t n = strspn(s, "0123456789abcdef");
    return n >= 4 && n <= 32 && !s[n];
}

/* Nothing but an id: no PID has letters, and hardly a name so many such. What is asked
 * for by its id is then found without a look into the others. */
static bool is_surely_id(const char *s)
{
    return is_hex_prefix(s) && strlen(s) >= 8 && strpbrk(s, "abcdef");
}

static int64_t pid_of(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n && n < 11 && !s[n] ? strtoll(s, NULL, 10) : -1;
}

static bool starts_with(const char *text, const char *start)
{
    return text && strncmp(text, start, strlen(start)) == 0;
}

static bool equal(const char *text, const char *value)
{
    return text && strcmp(text, value) == 0;
}

/* A file matches by its whole path or by its end after a slash. */
static bool path_matches(const char *path, const char *value)
{
    if (!path)
        return false;
    size_t n = strlen(path), v = strlen(value);
    return equal(path, value) ||
           (v && n > v && path[n - v - 1] == '/' && strcmp(path + n - v, value) == 0);
}

/* Release "2.4.1" matches "exampled@2.4.1". */
static bool release_matches(const char *release, const char *value)
{
    const char *at = release ? strrchr(release, '@') : NULL;
    return equal(release, value) || (at && equal(at + 1, value));
}

/* Conditions that the file name answers; 1 yes, 0 no, -1 the index must be asked. */
static int by_name(const struct report *r, const struct condition *c)
{
    char text[33];
    switch (c->key) {
    case KEY_ID:
        spool_event_id_format(r->name.event_id, text);
        return starts_with(text, c->value);
    case KEY_SIG:
        (void)snprintf(text, sizeof text, "%012" PRIx64, r->name.signature);
        return starts_with(text, c->value);
    case KEY_STATE:
        return (int64_t)r->state == c->number;
    case KEY_SIGNAL:
        return (int64_t)r->name.signo == c->number;
    case KEY_WORD:
        spool_event_id_format(r->name.event_id, text);
        if (is_hex_prefix(c->value) && starts_with(text, c->value))
            return 1;
        return is_surely_id(c->value) ? 0 : -1;
    default:
        return -1;
    }
}

static bool has_tag(const struct index_entry *e, const char *tag)
{
    for (size_t i = 0; i < e->n_tags; i++)
        if (strcmp(e->tags[i], tag) == 0)
            return true;
    return false;
}

static bool code_matches(
    const struct report *r, const struct index_entry *e, const char *v)
{
    int code;
    /* Zero is what the kernel says of kill(2), and what stands for "no signal" here. */
    return r->name.signo && e->kind == INDEX_KIND_CRASH &&
           signal_words_parse_code(r->name.signo, v, &code) == 0 && e->code == code;
}

static bool by_facts(
    const struct report *r, const struct index_entry *e, const struct condition *c)
{
    const char *v = c->value;
    switch (c->key) {
    case KEY_PID:
        return c->number == (int64_t)e->pid;
    case KEY_APP:
        return equal(e->app, v);
    case KEY_EXE:
        return path_matches(e->executable, v);
    case KEY_RELEASE:
        return release_matches(e->release, v);
    case KEY_ENV:
        return equal(e->environment, v);
    case KEY_DIST:
        return equal(e->dist, v);
    case KEY_SERVER:
        return equal(e->server, v);
    case KEY_CODE:
        return code_matches(r, e, v);
    case KEY_FUNCTION:
        return equal(e->function, v);
    case KEY_FILE:
        return path_matches(e->file, v);
    case KEY_MODULE:
        return path_matches(e->module, v);
    case KEY_THREAD:
        return equal(e->thread, v);
    case KEY_KIND:
        return equal(index_kind_name(e->kind), v);
    case KEY_TAG:
        return has_tag(e, v);
    case KEY_WORD:
        return (c->number >= 0 && c->number == (int64_t)e->pid) || equal(e->app, v) ||
               (e->executable && equal(path_base(e->executable), v));
    default:
        return false;
    }
}

static bool in_time(const struct options *o, const struct report *r)
{
    int64_t t = (int64_t)r->name.time_ms;
    return !(o->has_since && t < o->since_ms) && !(o->has_until && t > o->until_ms);
}

static bool matches(struct session *s, struct store *t, const struct report *r,
    const struct conditions *all)
{
    if (!in_time(&s->options, r))
        return false;
    bool need_facts = false, any = !all->has_any;
    for (size_t i = 0; i < all->n; i++) {
        int answer = by_name(r, &all->list[i]);
        if (answer == 0 && !all->list[i].any)
            return false;
        any |= answer == 1 && all->list[i].any;
        need_facts |= answer < 0;
    }
    if (!need_facts)
        return any;
    struct index_entry e;
    loader_facts(s, t, r, &e);
    for (size_t i = 0; i < all->n; i++) {
        const struct condition *c = &all->list[i];
        if (by_name(r, c) >= 0)
            continue;
        bool yes = by_facts(r, &e, c);
        if (!yes && !c->any)
            return false;
        any |= yes && c->any;
    }
    return any;
}

static int add(struct conditions *all, enum key key, const char *value)
{
    if (!*value) /* the start of everything: not what an unset variable should mean */
        return -EINVAL;
    struct condition *list = realloc(all->list, (all->n + 1) * sizeof *list);
    if (!list)
        return -ENOMEM;
    all->list = list;
    struct condition *c = &list[all->n++];
    *c = (struct condition){.key = key, .value = value, .number = -1};
    if (key == KEY_PID || key == KEY_WORD)
        c->number = pid_of(value);
    else if (key == KEY_SIGNAL)
        c->number = signal_words_parse(value);
    else if (key == KEY_STATE)
        c->number = spool_state_parse(value);
    c->any = key == KEY_ID || key == KEY_PID ||
             (key == KEY_WORD && (is_hex_prefix(value) || c->number >= 0));
    all->has_any |= c->any;
    bool numeric = key == KEY_PID || key == KEY_SIGNAL || key == KEY_STATE;
    return numeric && c->number < 0 ? -EINVAL : 0;
}

static int add_word(struct conditions *all, const char *word)
{
    const char *sign = strchr(word, '=');
    if (*word == '/')
        return add(all, KEY_EXE, word);
    if (!sign)
        return *word ? add(all, KEY_WORD, word) : -EINVAL;
    if (strncmp(word, "tag.", 4) == 0)
        return add(all, KEY_TAG, word + 4);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strlen(keys[i].name) == (size_t)(sign - word) &&
            strncmp(keys[i].name, word, (size_t)(sign - word)) == 0)
            return add(all, keys[i].key, sign + 1);
    return -EINVAL;
}

static int build(const struct session *s, struct conditions *all)
{
    const struct options *o = &s->options;
    const struct {
        enum key key;
        const char *value;
    } given[] = {
        {KEY_CODE, o->code},
        {KEY_EXE, o->executable},
        {KEY_APP, o->app},
        {KEY_RELEASE, o->release},
        {KEY_ENV, o->environment},
        {KEY_SIG, o->signature},
        {KEY_SIGNAL, o->signo ? o->signal_text : NULL},
    };
    int err = 0;
    for (size_t i = 0; i < sizeof given / sizeof *given && !err; i++)
        if (given[i].value)
            err = add(all, given[i].key, given[i].value);
    for (size_t i = 0; i < o->n_tags && !err; i++)
        err = add(all, KEY_TAG, o->tags[i]);
    all->only_any = !all->n && o->n_arguments > 0;
    for (int i = 0; i < o->n_arguments && !err; i++) {
        err = add_word(all, o->arguments[i]);
        if (err == -EINVAL)
            session_complain(s, "no such match: %s (see `knell help`)", o->arguments[i]);
        else if (!err)
            all->only_any &= all->list[all->n - 1].any;
    }
    return err;
}

/* Complain when a word is the start of several reports' ids. */
static int check_unique(
    const struct session *s, const struct conditions *all, const struct selection *x)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct condition *c = &all->list[i];
        size_t n = 0;
        char id[33];
        bool word = c->key == KEY_WORD && is_hex_prefix(c->value);
        if (c->key != KEY_ID && !word)
            continue;
        for (size_t k = 0; k < x->n; k++) {
            spool_event_id_format(x->reports[k]->name.event_id, id);
            n += starts_with(id, c->value);
        }
        if (n < 2)
            continue;
        enum { MOST_NAMED = 20 };
        size_t left = MOST_NAMED;
        session_complain(s, "%s is the start of %zu reports:", c->value, n);
        for (size_t k = 0; k < x->n && left; k++) {
            spool_event_id_format(x->reports[k]->name.event_id, id);
            if (starts_with(id, c->value))
                left -= fprintf(stderr, "    %s\n", id) > 0;
        }
        if (n > MOST_NAMED)
            (void)fputs("    ...\n", stderr);
        return -EINVAL;
    }
    return 0;
}

static bool is_listed(const struct selection *x, const struct report *r)
{
    /* A report that is moved while folders are read may be seen in both. */
    return x->n && memcmp(x->reports[x->n - 1]->name.event_id, r->name.event_id,
                       sizeof r->name.event_id) == 0;
}

static int pick(
    struct session *s, struct store *t, int64_t limit, bool unique, struct selection *ret)
{
    *ret = (struct selection){0};
    struct conditions all = {0};
    int err = build(s, &all);
    ret->by_id = all.only_any;
    ret->reports = err ? NULL : calloc(t->n_reports + 1, sizeof *ret->reports);
    if (!err && !ret->reports)
        err = -ENOMEM;
    struct progress bar;
    progress_begin(&bar, "Reading", t->n_reports, session_is_watched(s));
    for (size_t i = 0; i < t->n_reports && !err; i++) {
        struct report *r = store_newest(t, i);
        progress_at(&bar, i);
        if (s->options.has_since && (int64_t)r->name.time_ms < s->options.since_ms)
            break; /* the rest is older */
        if (!matches(s, t, r, &all) || is_listed(ret, r))
            continue;
        if (limit >= 0 && (int64_t)ret->n >= limit) {
            ret->more = true;
            break;
        }
        ret->reports[ret->n++] = r;
    }
    progress_end(&bar);
    if (!err && unique)
        err = check_unique(s, &all, ret);
    free(all.list);
    return err;
}

int select_new(struct session *s, struct store *t, struct selection *ret)
{
    return pick(s, t, INT64_MAX, false, ret);
}

int select_reports(
    struct session *s, struct store *t, int64_t limit, bool unique, struct selection *ret)
{
    if (limit < 0)
        limit = s->options.last;
    int err = pick(s, t, limit, unique, ret);
    if (err || ret->n || limit == 0)
        return err;
    if (!select_may_be_empty(&s->options)) {
        session_complain(s, t->n_reports ? "no report matches" : "no reports");
        if (!s->options.quiet)
            unadopted_tell(stderr, t->n_unadopted);
    }
    return -ENODATA;
}

int select_few(struct session *s, struct store *t, struct selection *ret)
{
    int err = select_reports(s, t, -1, true, ret);
    if (!err && !ret->n) {
        session_complain(s, "-n 0 is no report");
        return -ENODATA;
    }
    if (err || ret->by_id || s->options.last >= 0 || ret->n < 2)
        return err;
    if (s->options.n_arguments)
        session_note(
            s, "The newest of %zu reports that match; `knell list` shows them.", ret->n);
    ret->more = true;
    ret->n = 1;
    return 0;
}

void selection_done(struct selection *x)
{
    free(x->reports);
    *x = (struct selection){0};
}

bool select_may_be_empty(const struct options *o)
{
    return (o->command == COMMAND_LIST || o->command == COMMAND_REPORT) &&
           !o->n_arguments;
}

bool select_is_given(const struct options *o)
{
    return o->n_arguments || o->last >= 0 || o->has_since || o->has_until || o->signo ||
           o->code || o->executable || o->app || o->release || o->environment ||
           o->signature || o->states || o->n_tags;
}
