#include "symbolize/convert_name.h"

#include "symbolize/budget.h"

#include <stdlib.h>

enum {
    MAX_NAME_BYTES = 4096,
    PROBES_BETWEEN_CLOCKS = 1 << 16,
    NAMES_BETWEEN_CLOCKS = 64,
};

/* A node that gets the name of the scope that it is declared in. */
struct scoped {
    uint64_t die; /* the declaration */
    uint32_t node;
    const char *name;
};

struct naming {
    struct converter *c;
    const struct dwarf_unit *u;
    const struct functions *f;
    uint32_t *functions; /* table function of each node */
    uint32_t *first;     /* the first used node with the same origin, or itself */
    struct scoped *scoped;
    size_t n_scoped;
};

static int set_function(
    struct naming *n, uint32_t node, const char *scope, const char *name)
{
    char text[MAX_NAME_BYTES];
    struct table_function f = {.name = TABLE_NONE};
    if (n->f->nodes[node].parent == FUNCTION_NONE)
        f.entry = n->f->nodes[node].entry;
    size_t n_scope = scope ? strlen(scope) : 0, n_name = name ? strlen(name) : 0;
    if (scope && n_scope + n_name + 3 < sizeof text) {
        memcpy(text, scope, n_scope);
        memcpy(text + n_scope, "::", 2);
        memcpy(text + n_scope + 2, name, n_name);
        name = text;
        n_name += n_scope + 2;
    }
    int err = name ? table_string(n->c->table, name, n_name, &f.name) : 0;
    return err < 0 ? err : table_function(n->c->table, &f, &n->functions[node]);
}

/* One function is inlined many times: find the node that was named for all of them. */
static int find_first(struct naming *n, const bool *used)
{
    uint32_t n_nodes = n->f->n_nodes, n_slots = 64, n_probes = 0;
    while (n_slots < 2 * n_nodes)
        n_slots *= 2;
    CLEANUP(free_p) uint32_t *slots = calloc(n_slots, sizeof *slots); /* node + 1 */
    if (!slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < n_nodes; i++) {
        uint64_t origin = n->f->nodes[i].origin;
        n->first[i] = i;
        if (!used[i] || !origin)
            continue;
        uint32_t at = (uint32_t)(origin * 0x9e3779b97f4a7c15u >> 32) & (n_slots - 1);
        while (slots[at] && n->f->nodes[slots[at] - 1].origin != origin) {
            at = (at + 1) & (n_slots - 1);
            /* Places can be chosen so that all want one slot. */
            if (++n_probes % PROBES_BETWEEN_CLOCKS == 0 &&
                budget_time(n->u->file->budget) < 0)
                return -ETIME;
        }
        if (!slots[at])
            slots[at] = i + 1;
        n->first[i] = slots[at] - 1;
    }
    return 0;
}

static int name_node(struct naming *n, uint32_t i, bool scopes)
{
    const struct function_node *node = &n->f->nodes[i];
    struct dwarf_place place = {n->u, node->origin ? node->origin : node->die};
    struct dwarf_name name = {0};
    int err = budget_fatal(dwarf_name_of(place, &n->c->keeper, &name));
    if (err == 0)
        err = set_function(n, i, NULL, name.linkage ? name.linkage : name.name);
    if (err == 0 && scopes && !name.linkage && name.name && name.declared.unit == n->u)
        n->scoped[n->n_scoped++] = (struct scoped){name.declared.die, i, name.name};
    return err;
}

static int found_scope(void *ctx, size_t index, const char *scope)
{
    struct naming *n = ctx;
    const struct scoped *s = &n->scoped[index];
    return set_function(n, s->node, scope, s->name);
}

static int by_die(const void *a, const void *b)
{
    const struct scoped *x = a, *y = b;
    return x->die < y->die ? -1 : x->die > y->die;
}

/* Give the functions that have no linkage name the scope they stand in. */
static int add_scopes(struct naming *n)
{
    if (!n->n_scoped)
        return 0;
    CLEANUP(free_p) uint64_t *targets = malloc(n->n_scoped * sizeof *targets);
    if (!targets)
        return -ENOMEM;
    qsort(n->scoped, n->n_scoped, sizeof *n->scoped, by_die);
    for (size_t i = 0; i < n->n_scoped; i++)
        targets[i] = n->scoped[i].die;
    return budget_fatal(dwarf_scopes(n->u, targets, n->n_scoped, found_scope, n));
}

static int name_all(struct naming *n, const bool *used)
{
    bool scopes = dwarf_language_has_scopes(n->u->language);
    int err = find_first(n, used);
    for (uint32_t i = 0; err == 0 && i < n->f->n_nodes; i++) {
        if (i % NAMES_BETWEEN_CLOCKS == 0)
            err = budget_time(n->u->file->budget);
        if (err == 0 && used[i] && n->first[i] == i)
            err = name_node(n, i, scopes);
        if (err == 0 && i % NAMES_BETWEEN_CLOCKS == 0)
            err = budget_time(n->u->file->budget);
    }
    if (err == 0)
        err = add_scopes(n);
    for (uint32_t i = 0; err == 0 && i < n->f->n_nodes; i++) {
        if (used[i])
            n->functions[i] = n->functions[n->first[i]];
    }
    return err;
}

int convert_names(struct converter *c, const struct dwarf_unit *u,
    const struct functions *f, const bool *used, uint32_t **ret)
{
    size_t n = f->n_nodes ? f->n_nodes : 1;
    struct naming naming = {.c = c, .u = u, .f = f};
    naming.functions = *ret = malloc(n * sizeof *naming.functions);
    naming.first = malloc(n * sizeof *naming.first);
    naming.scoped = malloc(n * sizeof *naming.scoped);
    int err = naming.functions && naming.first && naming.scoped ? name_all(&naming, used)
                                                                : -ENOMEM;
    free(naming.first);
    free(naming.scoped);
    return err;
}
