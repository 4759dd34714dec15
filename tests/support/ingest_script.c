#include "ingest_script.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what)
{
    fprintf(stderr, "ingest: bad script: %s\n", what);
    exit(2);
}

static void *need(void *p)
{
    if (!p)
        die("no memory");
    return p;
}

static void percent_decode(char *s)
{
    char *out = s;
    for (; *s; s++) {
        unsigned v;
        if (*s == '%' && sscanf(s + 1, "%2x", &v) == 1) {
            *out++ = (char)v;
            s += 2;
        } else {
            *out++ = *s;
        }
    }
    *out = 0;
}

static void set_key(struct ingest_item *it, char *key)
{
    static const struct {
        const char *key, *header;
    } headers[] = {{"retry-after", "Retry-After"}, {"limits", "X-Sentry-Rate-Limits"},
        {"location", "Location"}, {"type", "Content-Type"}, {"error", "X-Sentry-Error"}};
    char *value = strchr(key, '=');
    if (!value)
        die(key);
    *value++ = 0;
    percent_decode(value);
    if (!strcmp(key, "delay"))
        it->delay_ms = atoi(value);
    else if (!strcmp(key, "close"))
        it->close = atoi(value);
    else if (!strcmp(key, "body"))
        it->body = need(strdup(value));
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        if (strcmp(key, headers[i].key) != 0)
            continue;
        size_t n = strlen(it->headers);
        snprintf(it->headers + n, sizeof it->headers - n, "%s: %s\r\n", headers[i].header,
            value);
        return;
    }
    if (strcmp(key, "delay") != 0 && strcmp(key, "close") != 0 &&
        strcmp(key, "body") != 0)
        die(key);
}

static void set_word(struct ingest_item *it, const char *word)
{
    static const struct {
        const char *word;
        enum ingest_kind kind;
        int status;
    } words[] = {{"reset", INGEST_RESET, 0}, {"hang", INGEST_HANG, 0},
        {"partial", INGEST_PARTIAL, 200}, {"short", INGEST_SHORT, 200},
        {"early", INGEST_EARLY, 413}, {"cut", INGEST_CUT, 200},
        {"huge", INGEST_HUGE, 200}, {"bomb", INGEST_BOMB, 200},
        {"trickle", INGEST_TRICKLE, 200}};
    snprintf(it->word, sizeof it->word, "%s", word);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!strcmp(word, words[i].word)) {
            it->kind = words[i].kind;
            it->status = words[i].status;
            return;
        }
    }
    it->status = atoi(word);
    if (it->status < 100 || it->status > 599)
        die(word);
}

void ingest_script_parse(const char *text, struct ingest_script *ret)
{
    struct ingest_script s = {0};
    char *copy = need(strdup(text)), *rest = copy;
    for (char *part; (part = strsep(&rest, ","));) {
        while (isspace((unsigned char)*part))
            part++;
        s.items = need(realloc(s.items, (s.n + 1) * sizeof *s.items));
        struct ingest_item *it = &s.items[s.n++];
        *it = (struct ingest_item){.count = 1};
        char *star = strchr(part, '*'), *slash = strchr(part, '/');
        if (star && (!slash || star < slash)) {
            it->count = strtoul(part, NULL, 10);
            part = star + 1;
        }
        char *keys = part;
        set_word(it, strsep(&keys, "/"));
        for (char *key; keys && (key = strsep(&keys, "/"));)
            set_key(it, key);
    }
    free(copy);
    *ret = s;
}

const struct ingest_item *ingest_script_peek(const struct ingest_script *s)
{
    size_t at = s->at;
    while (at + 1 < s->n && !s->items[at].count)
        at++;
    return &s->items[at];
}

const struct ingest_item *ingest_script_next(struct ingest_script *s)
{
    while (s->at + 1 < s->n && !s->items[s->at].count)
        s->at++;
    struct ingest_item *it = &s->items[s->at];
    if (s->at + 1 < s->n)
        it->count--;
    return it;
}
