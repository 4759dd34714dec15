#include "envelopes.h"

#include "test.h"

#include <dirent.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_file(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 4 << 20);
    *ret_n = f && text ? fread(text, 1, (4 << 20) - 1, f) : 0;
    if (f)
        (void)fclose(f);
    return text;
}

static bool is_utf8(const char *text)
{
    return setlocale(LC_CTYPE, "C.UTF-8") && mbstowcs(NULL, text, 0) != (size_t)-1;
}

static void split(struct envelope_items *e, const char *text, size_t n)
{
    const char *end = text + n, *p = memchr(text, '\n', n);
    cJSON *envelope = cJSON_Parse(text);
    for (p = p ? p + 1 : end; p < end && e->n < MAX_ITEMS;) {
        struct received *r = &e->all[e->n];
        cJSON *head = cJSON_Parse(p);
        const char *payload = memchr(p, '\n', (size_t)(end - p));
        size_t length = (size_t)json_number(head, "length");
        if (!CHECK(head && payload && length <= (size_t)(end - payload - 1)))
            return;
        payload++;
        (void)snprintf(r->type, sizeof r->type, "%s", json_text(head, "type"));
        (void)snprintf(
            r->filename, sizeof r->filename, "%s", json_text(head, "filename"));
        (void)snprintf(
            r->event_id, sizeof r->event_id, "%s", json_text(envelope, "event_id"));
        r->text = strndup(payload, length);
        r->json = strcmp(r->type, "attachment") ? cJSON_Parse(r->text) : NULL;
        CHECK(!strcmp(r->type, "attachment") || (r->json && is_utf8(r->text)));
        cJSON_Delete(head);
        e->n++;
        p = payload + length + 1;
    }
    cJSON_Delete(envelope);
}

void envelopes_read(struct envelope_items *e, const char *dir)
{
    struct dirent **names = NULL;
    char path[512];
    size_t n;
    *e = (struct envelope_items){.n = 0};
    int n_names = scandir(dir, &names, NULL, alphasort);
    for (int i = 0; i < n_names; i++) {
        if (names[i]->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
            char *text = read_file(path, &n);
            split(e, text, n);
            free(text);
        }
        free(names[i]);
    }
    free(names);
}

void envelopes_free(struct envelope_items *e)
{
    for (size_t i = 0; i < e->n; i++) {
        free(e->all[i].text);
        cJSON_Delete(e->all[i].json);
    }
    e->n = 0;
}

const cJSON *envelopes_get(const struct envelope_items *e, const char *type, size_t i)
{
    for (size_t k = 0; k < e->n; k++) {
        if (!strcmp(e->all[k].type, type) && i-- == 0)
            return e->all[k].json;
    }
    return NULL;
}

size_t envelopes_count(const struct envelope_items *e, const char *type)
{
    size_t n = 0;
    for (size_t k = 0; k < e->n; k++)
        n += !strcmp(e->all[k].type, type);
    return n;
}

const cJSON *json_at(const cJSON *o, const char *path)
{
    char part[64];
    while (o && *path) {
        size_t n = strcspn(path, "/");
        (void)snprintf(part, sizeof part, "%.*s", (int)n, path);
        o = cJSON_IsArray(o) ? cJSON_GetArrayItem(o, atoi(part))
                             : cJSON_GetObjectItemCaseSensitive(o, part);
        path += n + (path[n] == '/');
    }
    return o;
}

const char *json_text(const cJSON *o, const char *path)
{
    const char *text = cJSON_GetStringValue(json_at(o, path));
    return text ? text : "";
}

double json_number(const cJSON *o, const char *path)
{
    const cJSON *v = json_at(o, path);
    return cJSON_IsNumber(v) ? v->valuedouble : -1;
}
