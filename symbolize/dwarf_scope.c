#include "symbolize/budget.h"
#include "symbolize/dwarf_const.h"
#include "symbolize/dwarf_name.h"

#include <stdlib.h>

enum {
    MAX_DEPTH = 1 << 16,
    MAX_SCOPE_BYTES = 1024,
    DIES_BETWEEN_CLOCKS = 1 << 14,
};

/* An open DIE: how long the scope was before it. */
struct scope_walk {
    const struct dwarf_unit *u;
    struct bytes r;
    size_t *lengths, n_lengths, max_lengths;
    char scope[MAX_SCOPE_BYTES];
    size_t n_scope;
    const uint64_t *targets;
    size_t n_targets, next;
    int (*found)(void *ctx, size_t index, const char *scope);
    void *ctx;
};

static int push(struct scope_walk *w, size_t length)
{
    if (w->n_lengths == w->max_lengths) {
        size_t max = w->max_lengths ? 2 * w->max_lengths : 64;
        if (max > MAX_DEPTH)
            return -EBADMSG;
        size_t *more = realloc(w->lengths, max * sizeof *more);
        if (!more)
            return -ENOMEM;
        w->lengths = more;
        w->max_lengths = max;
    }
    w->lengths[w->n_lengths++] = length;
    return 0;
}

/* Put a name behind the scope; without room the scope stays as it is. */
static void append(struct scope_walk *w, const char *name)
{
    size_t n = strlen(name), sep = w->n_scope ? 2 : 0;
    if (n + sep >= MAX_SCOPE_BYTES - w->n_scope)
        return;
    memcpy(w->scope + w->n_scope, "::", sep);
    memcpy(w->scope + w->n_scope + sep, name, n + 1);
    w->n_scope += n + sep;
}

/* Read a DIE that may hold others: its name into @name, and where it ends. */
static uint64_t read_scope(
    struct scope_walk *w, const struct abbrev *a, const char **ret_name)
{
    uint64_t sibling = 0;
    for (uint32_t i = 0; i < a->n_attrs && !w->r.err; i++) {
        const struct abbrev_attr *attr = &w->u->abbrevs.attrs[a->first_attr + i];
        if (attr->at != DW_AT_SIBLING && attr->at != DW_AT_NAME) {
            dwarf_attr_skip(&w->r, w->u->sizes, attr);
            continue;
        }
        struct dwarf_value v = dwarf_attr_read(&w->r, w->u->sizes, attr);
        if (attr->at == DW_AT_SIBLING && v.class == DWARF_REF_UNIT)
            sibling = w->u->offset + v.u;
        else if (attr->at == DW_AT_NAME && dwarf_unit_text(w->u, &v, ret_name) < 0)
            *ret_name = NULL;
    }
    return sibling;
}

static int enter(struct scope_walk *w, const struct abbrev *a)
{
    size_t before = w->n_scope;
    const char *name = NULL;
    uint64_t sibling = read_scope(w, a, &name);
    /* Nothing that is looked for lies inside: jump over it. */
    if (sibling > w->r.at && sibling <= w->u->end && w->targets[w->next] >= sibling) {
        w->r.at = (size_t)sibling;
        return 0;
    }
    if (a->kind == ABBREV_SCOPE)
        append(w, name ? name : "(anonymous namespace)");
    else if (a->kind == ABBREV_TYPE && name)
        append(w, name);
    return push(w, before);
}

static int walk_scopes(struct scope_walk *w)
{
    for (uint32_t count = 1; w->r.at < w->r.n && w->next < w->n_targets; count++) {
        uint64_t die = w->r.at, code = bytes_uleb(&w->r, "DIE");
        while (w->next < w->n_targets && w->targets[w->next] <= die) {
            int err = w->targets[w->next] == die && w->n_scope
                          ? w->found(w->ctx, w->next, w->scope)
                          : 0;
            if (err < 0)
                return err;
            w->next++;
        }
        if (code == 0) {
            if (w->n_lengths == 0)
                return 0;
            w->n_scope = w->lengths[--w->n_lengths];
            w->scope[w->n_scope] = 0;
            continue;
        }
        const struct abbrev *a = abbrev_find(&w->u->abbrevs, code);
        if (!a || w->next == w->n_targets)
            return 0;
        int err = 0;
        if (a->has_children)
            err = enter(w, a);
        else
            dwarf_skip_die(&w->r, w->u->sizes, &w->u->abbrevs, a);
        if (err == 0 && count % DIES_BETWEEN_CLOCKS == 0)
            err = budget_time(w->u->file->budget);
        if (err < 0)
            return err == -EBADMSG ? 0 : err;
    }
    return 0;
}

int dwarf_scopes(const struct dwarf_unit *u, const uint64_t *targets, size_t n,
    int (*found)(void *ctx, size_t index, const char *scope), void *ctx)
{
    struct scope_walk w = {.u = u,
        .targets = targets,
        .n_targets = n,
        .found = found,
        .ctx = ctx,
        .r = dwarf_unit_reader(u, u->first_die)};
    int err = w.r.err ? w.r.err : walk_scopes(&w);
    free(w.lengths);
    return err;
}
