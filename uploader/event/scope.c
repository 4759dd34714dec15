#include "uploader/event/scope.h"

#include <ctype.h>
#include <knell/types.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_CRUMBS = 100,
    MAX_TAGS = 100,
    MAX_TAG_KEY = 32,
    MAX_TAG_VALUE = 200,
    MAX_KEY = 200,
    MAX_VALUE = 16 * 1024,
    MAX_MESSAGE = 8192,
    MAX_TRANSACTION = 200,
    MAX_RELEASE = 200,
    MAX_ENVIRONMENT = 64,
};

static void shaped(struct build *b, cJSON *to, const char *key, const char *text,
    size_t max, const char *forbidden)
{
    char out[MAX_RELEASE + 1];
    (void)text_copy(out, max + 1, text, strlen(text));
    for (char *p = out; *p; p++) {
        if (strchr(forbidden, *p) || (unsigned char)*p < 0x20)
            *p = '_';
    }
    if (strcmp(out, ".") != 0 && strcmp(out, "..") != 0 && strcmp(out, "latest") != 0 &&
        strcmp(out, "none") != 0)
        build_text(b, to, key, out, sizeof out);
}

void scope_release(struct build *b, cJSON *to, const char *key, const char *text)
{
    shaped(b, to, key, text, MAX_RELEASE, "/\\");
}

void scope_environment(struct build *b, cJSON *to, const char *key, const char *text)
{
    shaped(b, to, key, text, MAX_ENVIRONMENT, "/");
}

void scope_hex(const uint8_t *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", p[i]);
    out[2 * n] = 0;
}

const char *scope_level(uint32_t level)
{
    static const char *const names[] = {[KNELL_LEVEL_DEBUG] = "debug",
        [KNELL_LEVEL_INFO] = "info",
        [KNELL_LEVEL_WARNING] = "warning",
        [KNELL_LEVEL_ERROR] = "error",
        [KNELL_LEVEL_FATAL] = "fatal"};
    return level < sizeof names / sizeof *names ? names[level] : NULL;
}

void scope_value(
    struct build *b, cJSON *to, const char *key, const struct journal_value *v)
{
    char clean[MAX_KEY + 1];
    (void)text_copy(clean, sizeof clean, key, strlen(key));
    if (!to || !*clean || build_has(to, clean))
        return;
    switch (v->type) {
    case KNELL_VALUE_TEXT:
        build_text(b, to, clean, v->text, MAX_VALUE);
        break;
    case KNELL_VALUE_INT: {
        /* Beyond 2^53 a JSON number is another one to most readers. */
        char text[32];
        if (v->integer > -(1ll << 53) && v->integer < 1ll << 53) {
            build_number(b, to, clean, (double)v->integer);
            break;
        }
        (void)snprintf(text, sizeof text, "%lld", (long long)v->integer);
        build_text(b, to, clean, text, sizeof text);
        break;
    }
    case KNELL_VALUE_DOUBLE:
        if (v->real - v->real == 0) /* neither infinite nor NaN */
            build_number(b, to, clean, v->real);
        break;
    case KNELL_VALUE_BOOL:
        build_bool(b, to, clean, v->integer != 0);
        break;
    default:
        break;
    }
}

static void as_text(const struct journal_value *v, char *out, size_t n)
{
    out[0] = 0;
    if (v->type == KNELL_VALUE_TEXT)
        (void)text_copy(out, n, v->text, strlen(v->text));
    else if (v->type == KNELL_VALUE_INT)
        (void)snprintf(out, n, "%lld", (long long)v->integer);
    else if (v->type == KNELL_VALUE_DOUBLE)
        (void)snprintf(out, n, "%.17g", v->real);
    else if (v->type == KNELL_VALUE_BOOL)
        (void)snprintf(out, n, "%s", v->integer ? "true" : "false");
}

/* One value that is no string makes some servers drop all tags. */
static void tag(struct build *b, cJSON *tags, const struct journal_fact *f)
{
    char key[MAX_TAG_KEY + 1], value[MAX_TAG_VALUE + 1];
    (void)text_copy(key, sizeof key, f->key, strlen(f->key));
    as_text(&f->value, value, sizeof value);
    for (char *p = key; *p; p++) {
        if (!isalnum((unsigned char)*p) && !strchr("_.:-", *p))
            *p = '_';
    }
    for (char *p = value; *p; p++) {
        if (*p == '\n')
            *p = ' ';
    }
    if (tags && *key && *value && !build_has(tags, key) &&
        cJSON_GetArraySize(tags) < MAX_TAGS)
        build_text(b, tags, key, value, sizeof value);
}

static cJSON *child(struct build *b, cJSON *parent, const char *key)
{
    cJSON *item = parent ? cJSON_GetObjectItemCaseSensitive(parent, key) : NULL;
    return item ? item : build_object(b, parent, key);
}

/* What the protocol has no name for goes into data: a strict server refuses the event. */
static void user(struct build *b, cJSON *who, const struct journal_fact *f)
{
    static const char *const known[] = {
        "id", "email", "ip_address", "username", "name", "segment"};
    char text[MAX_MESSAGE];
    cJSON *to = NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        to = strcmp(f->key, known[i]) ? to : who;
    to = to ? to : child(b, who, "data");
    as_text(&f->value, text, sizeof text);
    if (to && !build_has(to, f->key))
        build_text(b, to, f->key, text, sizeof text);
}

static void context(struct build *b, cJSON *contexts, const struct journal_fact *f)
{
    char group[MAX_KEY + 1];
    (void)text_copy(group, sizeof group, f->group, strlen(f->group));
    if (*group && f->value.type != KNELL_VALUE_NONE)
        scope_value(b, child(b, contexts, group), f->key, &f->value);
}

static void fingerprint(struct build *b, cJSON *event, const struct journal_fact *f)
{
    cJSON *list = build_array(b, event, "fingerprint");
    for (uint32_t at = 0; f->value.text && at < f->value.n;) {
        const char *part = f->value.text + at;
        size_t n = strnlen(part, f->value.n - at);
        build_text_n(b, list, NULL, part, n, MAX_TAG_VALUE);
        at += (uint32_t)n + 1;
    }
    build_drop_empty(event, "fingerprint");
}

static void crumbs(struct build *b, cJSON *event, const struct journal *j)
{
    if (!j->n_crumbs)
        return;
    cJSON *to = build_object(b, event, "breadcrumbs");
    cJSON *values = build_array(b, to, "values");
    uint32_t first = j->n_crumbs > MAX_CRUMBS ? j->n_crumbs - MAX_CRUMBS : 0;
    for (uint32_t i = first; i < j->n_crumbs; i++) {
        const struct journal_crumb *c = &j->crumbs[i];
        cJSON *one = build_object(b, values, NULL);
        build_time(b, one, "timestamp", c->time_ns);
        build_text(b, one, "type", "default", 16);
        build_text(b, one, "category", c->is_log ? "log" : c->category, MAX_KEY);
        build_text(b, one, "level", scope_level(c->level), 16);
        build_text(b, one, "message", c->message, MAX_MESSAGE);
        cJSON *data = build_object(b, one, "data");
        for (uint32_t k = 0; k < c->n_pairs; k++)
            scope_value(b, data, c->pairs[k].key, &c->pairs[k].value);
        if (c->tid && data && !build_has(data, "thread_id"))
            build_number(b, data, "thread_id", c->tid);
        build_drop_empty(one, "data");
    }
}

/* What the program's process had to leave out. */
static void losses(struct build *b, cJSON *contexts, const struct journal *j)
{
    static const struct {
        enum knell_journal_count what;
        const char *name;
    } shown[] = {{KNELL_COUNT_BREADCRUMBS_LOST, "breadcrumbs_lost"},
        {KNELL_COUNT_CUT, "texts_cut"}, {KNELL_COUNT_SCOPE_LOST, "scope_lost"},
        {KNELL_COUNT_SCOPES_LOST, "scopes_lost"},
        {KNELL_COUNT_SUPPRESSED, "errors_suppressed"},
        {KNELL_COUNT_SAMPLED_OUT, "errors_sampled_out"},
        {KNELL_COUNT_FAILED, "errors_not_written"}};
    cJSON *to = child(b, contexts, "knell");
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        if (j->status.counts[shown[i].what])
            build_number(b, to, shown[i].name, (double)j->status.counts[shown[i].what]);
    }
    if (j->n_torn)
        build_number(b, to, "journal_torn", j->n_torn);
}

void scope_to_event(struct build *b, cJSON *event, const struct journal *j)
{
    cJSON *tags = child(b, event, "tags"), *who = child(b, event, "user");
    cJSON *extra = child(b, event, "extra"), *contexts = child(b, event, "contexts");
    for (uint32_t i = 0; j && i < j->n_facts; i++) {
        const struct journal_fact *f = &j->facts[i];
        switch (f->type) {
        case KNELL_ENTRY_TAG:
            tag(b, tags, f);
            break;
        case KNELL_ENTRY_USER:
            user(b, who, f);
            break;
        case KNELL_ENTRY_CONTEXT:
            context(b, contexts, f);
            break;
        case KNELL_ENTRY_EXTRA:
            scope_value(b, extra, f->key, &f->value);
            break;
        case KNELL_ENTRY_FINGERPRINT:
            if (!build_has(event, "fingerprint"))
                fingerprint(b, event, f);
            break;
        case KNELL_ENTRY_TRANSACTION:
            if (f->value.text && !build_has(event, "transaction"))
                build_text(b, event, "transaction", f->value.text, MAX_TRANSACTION);
            break;
        default:
            break;
        }
    }
    build_drop_empty(event, "tags");
    build_drop_empty(event, "user");
    build_drop_empty(event, "extra");
    if (j) {
        if (*j->trace_name) { /* an open transaction has precedence */
            cJSON_DeleteItemFromObjectCaseSensitive(event, "transaction");
            build_text(b, event, "transaction", j->trace_name, MAX_TRANSACTION);
        }
        crumbs(b, event, j);
        losses(b, contexts, j);
    }
}

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i])
            return false;
    }
    return true;
}

void scope_trace(
    struct build *b, cJSON *contexts, const struct journal *j, const char *event_id)
{
    static const char zeros[] = "00000000000000000000000000000000";
    const struct knell_journal_trace *t = j && j->trace.version ? &j->trace : NULL;
    char id[33];
    cJSON *to = build_object(b, contexts, "trace");
    build_text(b, to, "type", "trace", 8);
    if (t && !is_zero(t->span_id, 8) && !is_zero(t->trace_id, 16)) {
        scope_hex(t->trace_id, 16, id);
        build_text(b, to, "trace_id", id, 32);
        scope_hex(t->span_id, 8, id);
        build_text(b, to, "span_id", id, 16);
        scope_hex(t->parent_id, 8, id);
        if (!is_zero(t->parent_id, 8))
            build_text(b, to, "parent_span_id", id, 16);
        build_text(b, to, "op", j->trace_op, 64);
        build_text(b, to, "status", "internal_error", 16);
        return;
    }
    (void)snprintf(id, sizeof id, "%.32s", strlen(event_id) == 32 ? event_id : zeros);
    id[0] = id[0] == '0' ? '1' : id[0]; /* all zeros is no id */
    build_text(b, to, "trace_id", id, 32);
    build_text_n(b, to, "span_id", id, 16, 16);
}
