#include "uploader/event/otlp_values.h"

#include "uploader/event/scope.h"

#include <knell/knell.h>
#include <stdio.h>
#include <string.h>

enum { MAX_KEY = 256, SEVERITY_FATAL = 21 };

static cJSON *value_of(struct build *b, cJSON *list, const char *key)
{
    cJSON *one = build_object(b, list, NULL);
    build_text(b, one, "key", key, MAX_KEY);
    return build_object(b, one, "value");
}

void otlp_text_max(
    struct build *b, cJSON *list, const char *key, const char *value, size_t max)
{
    if (value && *value)
        build_text(b, value_of(b, list, key), "stringValue", value, max);
}

void otlp_text(struct build *b, cJSON *list, const char *key, const char *value)
{
    otlp_text_max(b, list, key, value, OTLP_MAX_VALUE);
}

void otlp_integer(struct build *b, cJSON *list, const char *key, int64_t value)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%lld", (long long)value);
    build_text(b, value_of(b, list, key), "intValue", digits, sizeof digits);
}

/* Keys of one list are to be unique. */
static bool has(const cJSON *list, const char *key)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, list)
    {
        const char *name =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "key"));
        if (name && !strcmp(name, key))
            return true;
    }
    return false;
}

void otlp_value(
    struct build *b, cJSON *list, const char *key, const struct journal_value *v)
{
    char clean[MAX_KEY];
    (void)text_copy(clean, sizeof clean, key, strlen(key));
    if (!list || !*clean || has(list, clean))
        return;
    switch (v->type) {
    case KNELL_VALUE_TEXT:
        otlp_text(b, list, clean, v->text);
        break;
    case KNELL_VALUE_INT:
        otlp_integer(b, list, clean, v->integer);
        break;
    case KNELL_VALUE_BOOL:
        build_bool(b, value_of(b, list, clean), "boolValue", v->integer != 0);
        break;
    case KNELL_VALUE_DOUBLE:
        if (v->real - v->real == 0) /* neither infinite nor NaN */
            build_number(b, value_of(b, list, clean), "doubleValue", v->real);
        break;
    default:
        break;
    }
}

void otlp_nanoseconds(struct build *b, cJSON *to, const char *key, uint64_t ns)
{
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)ns);
    build_text(b, to, key, digits, sizeof digits);
}

/* All zeros is no id. */
void otlp_id(struct build *b, cJSON *to, const char *key, const uint8_t *id, size_t n)
{
    static const uint8_t none[16];
    char hex[33];
    if (n > 16 || !memcmp(id, none, n))
        return;
    scope_hex(id, n, hex);
    build_text(b, to, key, hex, 2 * n);
}

void otlp_severity(struct build *b, cJSON *record, const char *level)
{
    static const struct {
        const char *level, *word;
        int number;
    } levels[] = {{"fatal", "FATAL", SEVERITY_FATAL}, {"error", "ERROR", 17},
        {"warning", "WARN", 13}, {"info", "INFO", 9}, {"debug", "DEBUG", 5}};
    size_t k = level ? 0 : 1;
    for (size_t i = 0; level && i < sizeof levels / sizeof *levels; i++)
        k = strcmp(level, levels[i].level) ? k : i;
    build_number(b, record, "severityNumber", levels[k].number);
    build_text(b, record, "severityText", levels[k].word, 16);
}

cJSON *otlp_resource(struct build *b, cJSON *to, const struct otlp_service *service)
{
    cJSON *list = build_array(b, build_object(b, to, "resource"), "attributes");
    bool named = service->name && *service->name;
    otlp_text(b, list, "service.name", named ? service->name : "unknown_service");
    otlp_text(b, list, "service.version", service->version);
    otlp_text(b, list, "deployment.environment.name", service->environment);
    otlp_text(b, list, "deployment.environment", service->environment); /* older */
    otlp_text(b, list, "host.name", service->host);
    otlp_text(b, list, "os.type", "linux");
    otlp_text(b, list, "telemetry.sdk.name", "knell");
    otlp_text(b, list, "telemetry.sdk.language", "cpp");
    otlp_text(b, list, "telemetry.sdk.version", KNELL_VERSION);
    return list;
}

static void drop_key(cJSON *list, const char *key)
{
    for (cJSON *one = list ? list->child : NULL; one; one = one->next) {
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(one, "key");
        if (cJSON_IsString(name) && !strcmp(name->valuestring, key)) {
            cJSON_Delete(cJSON_DetachItemViaPointer(list, one));
            return;
        }
    }
}

void otlp_resource_own(struct build *b, cJSON *list, const struct otlp_service *service)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, service->own)
    {
        if (!cJSON_IsString(one) || !*one->valuestring)
            continue;
        drop_key(list, one->string); /* keys are unique */
        otlp_text(b, list, one->string, one->valuestring);
    }
}

void otlp_scope(struct build *b, cJSON *to)
{
    cJSON *scope = build_object(b, to, "scope");
    build_text(b, scope, "name", "knell", 16);
    build_text(b, scope, "version", KNELL_VERSION, 16);
}
