#include "symbolize/answer.h"

#include "symbolize/demangle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int answers_init(struct answers *a)
{
    const struct table *t = a->table;
    a->functions = calloc(t->functions.n ? t->functions.n : 1, sizeof *a->functions);
    a->files = calloc(t->files.n ? t->files.n : 1, sizeof *a->files);
    a->symbol_name = TABLE_NONE;
    if (a->functions && a->files)
        return 0;
    answers_done(a);
    return -ENOMEM;
}

void answers_done(struct answers *a)
{
    free(a->functions);
    free(a->files);
    a->functions = NULL;
    a->files = NULL;
}

/* Text that outlives the table. */
static int keep(struct answers *a, const char *text, const char **ret)
{
    *ret = NULL;
    if (!text)
        return 0;
    *ret = store_text(a->out, text, strlen(text));
    return *ret ? 0 : -ENOMEM;
}

/* Both forms of a name, unless @known has them. */
static int name_of(struct answers *a, uint32_t text, struct answered_function *known)
{
    const char *raw = known->readable ? NULL : table_text(a->table, text);
    if (!raw)
        return 0;
    int err = keep(a, raw, &known->raw);
    if (err == 0)
        known->readable = demangle(a->out, raw, a->demangle);
    return err == 0 && !known->readable ? -ENOMEM : err;
}

static int name_frame(
    struct answers *a, uint32_t function, struct knell_symbol_frame *frame)
{
    const struct table_function *f = table_function_at(a->table, function);
    if (!f)
        return 0;
    struct answered_function *known = &a->functions[function];
    int err = name_of(a, f->name, known);
    if (f->entry && known->readable)
        frame->function_address = f->entry + a->bias;
    frame->function = known->readable;
    frame->symbol = known->raw;
    return err;
}

static int file_frame(
    struct answers *a, const struct table_place *p, struct knell_symbol_frame *frame)
{
    frame->line = p->line;
    frame->column = p->column;
    const struct table_file *f = table_file_at(a->table, p->file);
    if (!f)
        return 0;
    struct answered_file *known = &a->files[p->file];
    int err = known->name ? 0 : keep(a, table_text(a->table, f->name), &known->name);
    if (err == 0 && !known->directory)
        err = keep(a, table_text(a->table, f->directory), &known->directory);
    frame->file = known->name;
    frame->directory = known->directory;
    return err;
}

/* The outermost frame is a function of its own, so the symbol table knows it: copies by
 * their own name, and C++ functions of internal linkage by their full one. */
static int add_symbol(struct answers *a, uint64_t vaddr, struct knell_symbol_frame *frame)
{
    const struct table_symbol *y = table_find_symbol(a->table, vaddr, frame->symbol);
    if (!y)
        return 0;
    if (a->symbol_name != y->name)
        a->symbol = (struct answered_function){0};
    a->symbol_name = y->name;
    int err = name_of(a, y->name, &a->symbol);
    if (err < 0 || !a->symbol.raw)
        return err;
    const char *name = a->symbol.raw;
    bool mangled = name[0] == '_' && (name[1] == 'Z' || name[1] == 'R');
    bool plain = frame->symbol && frame->symbol[0] != '_';
    if (!frame->function || (mangled && plain && y->n_aliases == 0))
        frame->function = a->symbol.readable;
    if (!frame->file)
        err = keep(a, table_text(a->table, y->file), &frame->file);
    if (!frame->function_address)
        frame->function_address = y->low + a->bias;
    frame->symbol = name;
    return err;
}

static uint32_t depth_of(const struct answers *a, uint32_t place)
{
    uint32_t n = 0;
    const struct table_place *p;
    for (; n < a->max_frames && (p = table_place_at(a->table, place)); n++)
        place = p->caller;
    return n;
}

int answer(struct answers *a, uint64_t vaddr, struct knell_symbol_result *ret)
{
    const struct table_range *r = table_find(a->table, vaddr);
    uint32_t place = r ? r->place : TABLE_NONE, n = depth_of(a, place);
    struct knell_symbol_frame *frames = store_array(a->out, n ? n : 1, sizeof *frames);
    if (!frames)
        return -ENOMEM;
    int err = 0;
    for (uint32_t i = 0; err == 0 && i < n; i++) {
        const struct table_place *p = table_place_at(a->table, place);
        if (!p)
            return -EBADMSG;
        frames[i].inlined = table_place_at(a->table, p->caller) != NULL;
        err = name_frame(a, p->function, &frames[i]);
        if (err == 0)
            err = file_frame(a, p, &frames[i]);
        if (err == 0)
            err = source_context(a->sources, &frames[i]);
        place = p->caller;
    }
    /* A chain that was cut at the limit does not end in the outermost function. */
    if (err == 0 && (n == 0 || !frames[n - 1].inlined))
        err = add_symbol(a, vaddr, &frames[n ? n - 1 : 0]);
    if (err < 0)
        return err;
    bool named = frames[0].function != NULL;
    ret->status = n       ? KNELL_SYMBOL_OK
                  : named ? KNELL_SYMBOL_SYMTAB_ONLY
                          : KNELL_SYMBOL_NOT_FOUND;
    ret->n_frames = n ? n : named;
    ret->frames = ret->n_frames ? frames : NULL;
    return 0;
}
