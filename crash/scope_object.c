#include "crash/scope_object.h"

#include "crash/self.h"
#include "crash/span.h"

#include <errno.h>
#include <knell/knell.h>
#include <stdlib.h>

enum { FIRST_BYTES = 512 };

static int new_list(struct kn_list *list, uint32_t capacity)
{
    struct knell_journal_scope *s = calloc(1, kn_list_bytes(capacity));
    if (!s)
        return -ENOMEM;
    s->capacity = capacity;
    *list = (struct kn_list){.scope = s};
    return 0;
}

int kn_scope_object_put(struct knell_scope *s, const struct kn_entry *entry)
{
    int r = kn_list_put(&s->list, entry);
    while (r == -ENOSPC && s->list.scope->capacity < KN_LIST_BYTES) {
        struct kn_list larger;
        if (new_list(&larger, 2 * s->list.scope->capacity))
            return -ENOMEM;
        r = kn_list_copy(&larger, &s->list);
        free(s->list.scope);
        s->list = larger;
        if (!r)
            r = kn_list_put(&s->list, entry);
    }
    return r;
}

struct knell_scope *knell_scope_new(void)
{
    int saved = errno;
    struct knell_scope *s = calloc(1, sizeof *s);
    if (s && new_list(&s->list, FIRST_BYTES)) {
        free(s);
        s = NULL;
    }
    errno = saved;
    return s;
}

void knell_scope_free(struct knell_scope *scope)
{
    if (!scope)
        return;
    if (kn_self_tls.bound == scope)
        knell_scope_bind(NULL);
    kn_span_let_go(&scope->span);
    free(scope->list.scope);
    free(scope);
}
