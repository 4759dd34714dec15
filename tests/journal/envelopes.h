/**
 * What a directory destination received: every item of every envelope, parsed.
 */
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

enum { MAX_ITEMS = 256 };

struct envelope_items {
    struct received {
        char type[32], filename[64], event_id[33];
        char *text;  /* payload, terminated */
        cJSON *json; /* NULL: none */
    } all[MAX_ITEMS];
    size_t n;
};

/* Read them in; free with envelopes_free(). */
void envelopes_read(struct envelope_items *e, const char *dir);
void envelopes_free(struct envelope_items *e);

/* How many items have this type, and the @i-th of them (NULL: not so many). */
size_t envelopes_count(const struct envelope_items *e, const char *type);
const cJSON *envelopes_get(const struct envelope_items *e, const char *type, size_t i);

/* "exception/values/0/type": NULL, "" or -1 where there is nothing. */
const cJSON *json_at(const cJSON *o, const char *path);
const char *json_text(const cJSON *o, const char *path);
double json_number(const cJSON *o, const char *path);
