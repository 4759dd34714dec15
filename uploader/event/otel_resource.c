#include "uploader/event/otel_resource.h"

#include <stdint.h>
#include <string.h>

const cJSON *otel_resource_of(const cJSON *event)
{
    const cJSON *contexts = cJSON_GetObjectItemCaseSensitive(event, "contexts");
    return contexts ? cJSON_GetObjectItemCaseSensitive(contexts, OTEL_RESOURCE_CONTEXT)
                    : NULL;
}

/* Names of the semantic conventions. */
static bool is_personal(const char *key)
{
    static const char *const prefixes[] = {
        "host.", "user.", "enduser.", "client.", "process.owner", "process.command"};
    if (!strcmp(key, "host.arch") || !strcmp(key, "host.type"))
        return false;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (!strncmp(key, prefixes[i], strlen(prefixes[i])))
            return true;
    }
    return false;
}

int otel_resource_clean(cJSON *event, bool pii, const struct scrub *scrub)
{
    cJSON *group = (cJSON *)(uintptr_t)otel_resource_of(event);
    if (!group)
        return 0;
    for (cJSON *one = group->child, *next; one; one = next) {
        next = one->next;
        if (!pii && is_personal(one->string))
            cJSON_Delete(cJSON_DetachItemViaPointer(group, one));
    }
    int err = scrub ? scrub_json(scrub, group) : 0;
    if (!err && scrub)
        err = scrub_homes(group);
    return err;
}
