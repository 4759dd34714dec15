#include "uploader/destinations.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct list {
    struct destination *all;
    size_t n, max;
    destinations_bad *bad;
    void *ctx;
};

/* Each word of the setting is a destination. One that does not parse is told and left
 * out: its reports are kept for the others. */
static void add(struct list *l, const char *text, const char *prefix)
{
    while (text && *(text += strspn(text, " \t\n"))) {
        char word[2100], masked[256];
        const char *why = l->n < l->max ? "too long" : "too many destinations";
        size_t n = strcspn(text, " \t\n");
        int r = -E2BIG, len = snprintf(word, sizeof word, "%s%.*s", prefix, (int)n, text);
        text += n;
        if (l->n < l->max && len > 0 && (size_t)len < sizeof word)
            r = destination_parse(word, &l->all[l->n], &why);
        if (!r) {
            l->n++;
            continue;
        }
        config_mask(word, masked, sizeof masked);
        if (l->bad)
            l->bad(l->ctx, masked, why);
    }
}

/* What opens one collector is nothing for another: it is for the one that is named beside
 * it, even when that is none, or else for the only one there is. */
static void find_own(struct destination *all, size_t n)
{
    struct destination *own = NULL;
    for (size_t i = 0; i < n; i++) {
        if (all[i].kind != DESTINATION_OTLP)
            continue;
        if (own)
            return;
        own = &all[i];
    }
    if (own)
        own->otlp_own = true;
}

size_t destinations_of(const struct config *c, struct destination *ret, size_t max,
    destinations_bad *bad, void *ctx)
{
    struct list l = {.all = ret, .max = max, .bad = bad, .ctx = ctx};
    bool whole = c->otlp_logs_url && *c->otlp_logs_url;
    const char *beside = whole ? c->otlp_logs_url : c->otlp_endpoint;
    add(&l, c->dsn, "");
    size_t n_dsn = l.n;
    add(&l, beside, whole ? "otlp-logs+" : "otlp+");
    if (beside && *beside)
        find_own(ret + n_dsn, l.n - n_dsn);
    else
        find_own(ret, l.n);
    return l.n;
}
