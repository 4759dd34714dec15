#include "uploader/inspect/item.h"
#include "uploader/inspect/show.h"
#include "uploader/inspect/when.h"

#include <inttypes.h>
#include <string.h>

enum { CRUMBS_SHOWN = 12 };

static void put_value(const struct out *o, const struct journal_value *v)
{
    switch (v->type) {
    case KNELL_VALUE_TEXT:
        out_text(o, STYLE_PLAIN, v->text);
        break;
    case KNELL_VALUE_INT:
        (void)fprintf(o->f, "%" PRId64, v->integer);
        break;
    case KNELL_VALUE_BOOL:
        (void)fputs(v->integer ? "true" : "false", o->f);
        break;
    case KNELL_VALUE_DOUBLE:
        (void)fprintf(o->f, "%g", v->real);
        break;
    case KNELL_VALUE_BYTES:
        (void)fprintf(o->f, "%" PRIu32 " bytes", v->n);
        break;
    default:
        break;
    }
}

static enum style level_style(uint8_t level)
{
    return level >= 4 ? STYLE_RED : level == 3 ? STYLE_YELLOW : STYLE_PLAIN;
}

static void put_crumb(const struct show *x, const struct journal_crumb *c)
{
    const struct out *o = x->out;
    char age[WHEN_BYTES];
    int64_t before_ms = (int64_t)x->r->name.time_ms - (int64_t)(c->time_ns / 1000000);
    (void)fprintf(o->f, "  %s%8s before%s  ", out_style(o, STYLE_DIM),
        before_ms > 0 ? when_span(age, before_ms) : "just", out_plain(o));
    if (c->level) {
        out_text(o, level_style(c->level), item_level(c->level));
        (void)fputs("  ", o->f);
    }
    if (c->category && *c->category) {
        out_text(o, STYLE_CYAN, c->category);
        (void)fputs("  ", o->f);
    }
    out_text(o, STYLE_PLAIN, c->message);
    for (uint32_t i = 0; i < c->n_pairs; i++) {
        (void)fputs(i ? ", " : "  {", o->f);
        out_text(o, STYLE_PLAIN, c->pairs[i].key);
        (void)fputs("=", o->f);
        put_value(o, &c->pairs[i].value);
    }
    (void)fputs(c->n_pairs ? "}" : "", o->f);
    if (c->tid && c->tid != x->e.tid)
        (void)fprintf(o->f, "  %s[thread %" PRIu32 "]%s", out_style(o, STYLE_DIM), c->tid,
            out_plain(o));
    (void)fputs(c->cut ? " ...\n" : "\n", o->f);
}

void show_crumbs(const struct show *x, bool all)
{
    const struct journal *j = x->l->journal;
    if (!j || !j->n_crumbs) {
        if (all)
            (void)fputs("No breadcrumbs.\n", x->out->f);
        return;
    }
    uint32_t first = 0;
    if (!all)
        show_head(x, "Breadcrumbs");
    if (!all && j->n_crumbs > CRUMBS_SHOWN) {
        first = j->n_crumbs - CRUMBS_SHOWN;
        (void)fprintf(x->out->f,
            "  ... %" PRIu32 " older ones, `knell crumbs` shows them\n", first);
    }
    for (uint32_t i = first; i < j->n_crumbs; i++)
        put_crumb(x, &j->crumbs[i]);
}

static const struct {
    uint8_t type;
    const char *head;
} parts[] = {
    {KNELL_ENTRY_TAG, "Tags"},
    {KNELL_ENTRY_USER, "User"},
    {KNELL_ENTRY_CONTEXT, "Contexts"},
    {KNELL_ENTRY_EXTRA, "Extra"},
    {KNELL_ENTRY_TRANSACTION, "Transaction"},
    {KNELL_ENTRY_FILE, "Attachments"},
    {KNELL_ENTRY_BYTES, "Attached bytes"},
};

void show_scope(const struct show *x)
{
    const struct journal *j = x->l->journal;
    for (size_t p = 0; j && p < sizeof parts / sizeof *parts; p++) {
        bool any = false;
        for (uint32_t i = 0; i < j->n_facts; i++) {
            const struct journal_fact *f = &j->facts[i];
            if (f->type != parts[p].type || f->value.type == KNELL_VALUE_NONE)
                continue;
            if (!any)
                show_head(x, parts[p].head);
            any = true;
            (void)fputs("  ", x->out->f);
            if (f->group && *f->group) {
                out_text(x->out, STYLE_DIM, f->group);
                (void)fputs(".", x->out->f);
            }
            out_text(x->out, STYLE_PLAIN, f->key);
            (void)fputs(f->key && *f->key ? " = " : "", x->out->f);
            put_value(x->out, &f->value);
            (void)fputc('\n', x->out->f);
        }
    }
    if (j && j->trace.version && (*j->trace_op || *j->trace_name)) {
        show_head(x, "Open span");
        (void)fputs("  ", x->out->f);
        out_text(x->out, STYLE_CYAN, j->trace_op);
        (void)fputs("  ", x->out->f);
        out_text(x->out, STYLE_PLAIN, j->trace_name);
        (void)fputc('\n', x->out->f);
    }
}

static void value_json(struct json *j, const char *key, const struct journal_value *v)
{
    switch (v->type) {
    case KNELL_VALUE_TEXT:
        json_text(j, key, v->text);
        break;
    case KNELL_VALUE_INT:
        json_int(j, key, v->integer);
        break;
    case KNELL_VALUE_BOOL:
        json_bool(j, key, v->integer != 0);
        break;
    case KNELL_VALUE_DOUBLE:
        json_double(j, key, v->real);
        break;
    case KNELL_VALUE_BYTES:
        json_uint(j, key, v->n);
        break;
    default:
        json_null(j, key);
        break;
    }
}

static void crumbs_json(struct json *j, const struct journal *x)
{
    char time[WHEN_BYTES];
    json_array(j, "breadcrumbs");
    for (uint32_t i = 0; x && i < x->n_crumbs; i++) {
        const struct journal_crumb *c = &x->crumbs[i];
        json_object(j, NULL);
        json_text(j, "time", when_iso(time, (int64_t)(c->time_ns / 1000000)));
        json_text(j, "level", c->level ? item_level(c->level) : NULL);
        json_text(j, "category", c->category);
        json_text(j, "message", c->message);
        json_uint(j, "tid", c->tid);
        json_object(j, "data");
        for (uint32_t k = 0; k < c->n_pairs; k++)
            value_json(j, c->pairs[k].key, &c->pairs[k].value);
        json_end_object(j);
        json_end_object(j);
    }
    json_end_array(j);
}

void show_journal_json(struct json *j, const struct show *x)
{
    static const char *const names[] = {"tags", "user", "contexts", "extra",
        "transaction", "attachments", "attached_bytes"};
    const struct journal *from = x->l->journal;
    crumbs_json(j, from);
    json_object(j, "scope");
    for (size_t p = 0; from && p < sizeof parts / sizeof *parts; p++) {
        json_array(j, names[p]);
        for (uint32_t i = 0; i < from->n_facts; i++) {
            const struct journal_fact *f = &from->facts[i];
            if (f->type != parts[p].type || f->value.type == KNELL_VALUE_NONE)
                continue;
            json_object(j, NULL);
            json_text_if(j, "group", f->group);
            json_text(j, "key", f->key);
            value_json(j, "value", &f->value);
            json_end_object(j);
        }
        json_end_array(j);
    }
    json_end_object(j);
}
