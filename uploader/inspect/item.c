#include "uploader/inspect/item.h"

#include <errno.h>
#include <knell/types.h>
#include <stdio.h>
#include <string.h>

int item_read(const struct crash *c, struct item *ret)
{
    *ret = (struct item){0};
    struct knell_item_head head;
    if (!c->item.text || c->item.n_bytes < sizeof head)
        return 0;
    memcpy(&head, c->item.text, sizeof head);
    if (head.magic != KNELL_ITEM_MAGIC || head.version != KNELL_ITEM_VERSION)
        return 0;
    int n = journal_pairs(c->arena, (const uint8_t *)c->item.text + sizeof head,
        c->item.n_bytes - sizeof head, &ret->pairs);
    if (n < 0)
        return n;
    ret->head = head;
    ret->n_pairs = (uint32_t)n;
    return 0;
}

/* The value of the first pair with this key; NULL when there is none. */
static const char *item_text(const struct item *x, const char *key)
{
    for (uint32_t i = 0; i < x->n_pairs; i++)
        if (x->pairs[i].value.type == KNELL_VALUE_TEXT &&
            strcmp(x->pairs[i].key, key) == 0)
            return x->pairs[i].value.text;
    return NULL;
}

const char *item_level(uint32_t level)
{
    static const char *const words[] = {[KNELL_LEVEL_DEBUG] = "debug",
        [KNELL_LEVEL_INFO] = "info",
        [KNELL_LEVEL_WARNING] = "warning",
        [KNELL_LEVEL_ERROR] = "error",
        [KNELL_LEVEL_FATAL] = "fatal"};
    return level < sizeof words / sizeof *words && words[level] ? words[level] : "";
}

enum index_kind item_kind(const struct item *x)
{
    switch (x->head.kind) {
    case KNELL_ITEM_MESSAGE:
        return INDEX_KIND_MESSAGE;
    case KNELL_ITEM_ERROR:
        return INDEX_KIND_ERROR;
    case KNELL_ITEM_HANG:
        return INDEX_KIND_HANG;
    case KNELL_ITEM_OBITUARY:
        return INDEX_KIND_OBITUARY;
    default:
        return INDEX_KIND_UNKNOWN;
    }
}

static void add_note(struct explain *e, const char *before, const char *text)
{
    if (e->n_notes < EXPLAIN_MAX_NOTES)
        (void)snprintf(e->notes[e->n_notes++], sizeof e->notes[0], "%s%s", before, text);
}

static void put_title(const struct item *x, struct explain *e)
{
    static const char *const titles[] = {[INDEX_KIND_UNKNOWN] = "report without a signal",
        [INDEX_KIND_ERROR] = "handled error",
        [INDEX_KIND_MESSAGE] = "message",
        [INDEX_KIND_HANG] = "hang",
        [INDEX_KIND_OBITUARY] = "died and left no report of its own"};
    const char *type = item_text(x, "type"), *level = item_level(x->head.level);
    if (item_kind(x) == INDEX_KIND_OBITUARY)
        level = ""; /* always fatal */
    (void)snprintf(e->what, sizeof e->what, "%s%s%s%s%s%s",
        type ? type : titles[item_kind(x)], type ? " (" : "",
        type ? titles[item_kind(x)] : "",
        *level && type ? ", "
        : *level       ? " ("
                       : "",
        level, type || *level ? ")" : "");
}

/* Empty for what has nothing to show. */
static void put_value(const struct journal_value *v, char out[static 256])
{
    out[0] = '\0';
    if (v->type == KNELL_VALUE_TEXT)
        (void)snprintf(out, 256, "%s", v->text);
    else if (v->type == KNELL_VALUE_INT)
        (void)snprintf(out, 256, "%lld", (long long)v->integer);
    else if (v->type == KNELL_VALUE_DOUBLE)
        (void)snprintf(out, 256, "%g", v->real);
    else if (v->type == KNELL_VALUE_BOOL)
        (void)snprintf(out, 256, "%s", v->integer ? "true" : "false");
}

void item_explain(const struct item *x, struct explain *e)
{
    static const char evidence[] = "evidence";
    const char *message = item_text(x, "message");
    put_title(x, e);
    if (message)
        (void)snprintf(e->cause, sizeof e->cause, "%s", message);
    for (uint32_t i = 0; i < x->n_pairs; i++) {
        const struct journal_pair *p = &x->pairs[i];
        char key[64], value[256];
        put_value(&p->value, value);
        if (!*value || strcmp(p->key, "type") == 0 || strcmp(p->key, "message") == 0)
            continue;
        (void)snprintf(key, sizeof key, "%.50s: ", p->key);
        bool is_evidence = strncmp(p->key, evidence, sizeof evidence - 1) == 0;
        add_note(e, is_evidence ? "- " : key, value);
    }
    if (x->head.n_suppressed) {
        char text[64];
        (void)snprintf(text, sizeof text, "%u more of the same were not written.",
            x->head.n_suppressed);
        add_note(e, "", text);
    }
}
