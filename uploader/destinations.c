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

size_t destinations_of(const struct config *c, struct destination *ret, size_t max,
    destinations_bad *bad, void *ctx)
{
    struct list l = {.all = ret, .max = max, .bad = bad, .ctx = ctx};
    bool whole = c->otlp_logs_url && *c->otlp_logs_url;
    add(&l, c->dsn, "");
    add(&l, whole ? c->otlp_logs_url : c->otlp_endpoint, whole ? "otlp-logs+" : "otlp+");
    return l.n;
}
