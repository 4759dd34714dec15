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
    free(a->chain);
    a->chain = NULL;
    a->functions = NULL;
    a->files = NULL;
}

int answers_keep_names(const struct answers *a, struct table *t)
{
    int err = 0;
    for (uint32_t i = 0; err == 0 && a->demangle && i < t->functions.n; i++) {
        if (a->functions[i].readable && table_readable_at(t, i) == TABLE_NONE)
            err = table_add_readable(t, i, a->functions[i].readable);
    }
    return err;
}

static bool has_room(const struct answers *a)
{
    return a->out->n_bytes < STORE_TEXT_BYTES;
}

/* Text that outlives the table; none where the batch has too much of it. */
static int keep(struct answers *a, const char *text, const char **ret)
{
    *ret = a->texts_stay ? text : NULL;
    if (!text || a->texts_stay || !has_room(a))
        return 0;
    *ret = store_text(a->out, text, strlen(text));
    return *ret ? 0 : -ENOMEM;
}

/* Both forms of a name. @readable: its string, when there is one. */
static int name_of(
    struct answers *a, uint32_t text, uint32_t readable, struct answered_function *known)
{
    const char *raw = table_text(a->table, text);
    int err = keep(a, raw, &known->raw);
    if (err < 0 || !known->raw)
        return err;
    const char *ready = a->demangle ? table_text(a->table, readable) : NULL;
    if (ready)
        return keep(a, ready, &known->readable);
    known->readable = demangle(a->out, known->raw, a->demangle && has_room(a));
    return known->readable ? 0 : -ENOMEM;
}

static int name_frame(
    struct answers *a, uint32_t function, struct knell_symbol_frame *frame)
{
    const struct table_function *f = table_function_at(a->table, function);
    if (!f)
        return 0;
    struct answered_function *known = &a->functions[function];
    int err = known->readable
                  ? 0
                  : name_of(a, f->name, table_readable_at(a->table, function), known);
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
static int add_symbol(
    struct answers *a, const struct table_symbol *y, struct knell_symbol_frame *frame)
{
    int err = 0;
    if (a->symbol_name != y->name) {
        a->symbol = (struct answered_function){0};
        err = keep(a, table_text(a->table, y->name), &a->symbol.raw);
    }
    a->symbol_name = y->name;
    if (err < 0 || !a->symbol.raw)
        return err;
    const char *name = a->symbol.raw;
    bool mangled = name[0] == '_' && (name[1] == 'Z' || name[1] == 'R');
    bool plain = frame->symbol && frame->symbol[0] != '_';
    if (!frame->function || (mangled && plain && y->n_aliases == 0)) {
        if (!a->symbol.readable)
            a->symbol.readable = demangle(a->out, name, a->demangle && has_room(a));
        if (!a->symbol.readable)
            return -ENOMEM;
        frame->function = a->symbol.readable;
    }
    if (!frame->file)
        err = keep(a, table_text(a->table, y->file), &frame->file);
    if (!frame->function_address)
        frame->function_address = y->low + a->bias;
    frame->symbol = name;
    return err;
}

/* The chain of calls from @place on, as far as it may be told. */
static int find_chain(struct answers *a, uint32_t place)
{
    struct table_place p;
    for (a->n_chain = 0; a->n_chain < a->max_frames; place = p.caller) {
        if (!table_place_at(a->table, place, &p))
            return 0;
        if (a->n_chain == a->max_chain) {
            uint32_t max = a->max_chain ? 2 * a->max_chain : 64;
            struct table_place *more = realloc(a->chain, max * sizeof *more);
            if (!more)
                return -ENOMEM;
            a->chain = more;
            a->max_chain = max;
        }
        a->chain[a->n_chain++] = p;
    }
    return 0;
}

static const struct table_symbol *symbol_of(const struct answers *a, uint64_t vaddr)
{
    return a->last.whole ? table_find_symbol(a->table, vaddr, a->last.linkage) : NULL;
}

/* Frames of the chain, and of the symbol that it ends in. */
static int make_frames(struct answers *a, uint64_t vaddr, struct knell_symbol_result *ret)
{
    uint32_t n = a->n_chain;
    int err = 0;
    struct knell_symbol_frame *frames = store_array(a->out, n ? n : 1, sizeof *frames);
    if (!frames)
        return -ENOMEM;
    for (uint32_t i = 0; err == 0 && i < n; i++) {
        const struct table_place *p = &a->chain[i];
        frames[i].inlined = p->caller != TABLE_NONE;
        err = name_frame(a, p->function, &frames[i]);
        if (err == 0)
            err = file_frame(a, p, &frames[i]);
        if (err == 0)
            err = source_context(a->sources, &frames[i]);
    }
    struct knell_symbol_frame *outermost = &frames[n ? n - 1 : 0];
    /* A chain that was cut at the limit does not end in the outermost function. */
    a->last.whole = !outermost->inlined;
    a->last.linkage = outermost->symbol;
    a->last.symbol = err == 0 ? symbol_of(a, vaddr) : NULL;
    if (a->last.symbol)
        err = add_symbol(a, a->last.symbol, outermost);
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

int answer(struct answers *a, uint64_t vaddr, struct knell_symbol_result *ret)
{
    uint32_t place = table_find(a->table, vaddr);
    if (!a->last.known || place != a->last.place ||
        symbol_of(a, vaddr) != a->last.symbol) {
        a->last.result = (struct knell_symbol_result){0};
        int err = find_chain(a, place);
        if (err == 0)
            err = make_frames(a, vaddr, &a->last.result);
        if (err < 0)
            return err;
        a->last.place = place;
        a->last.known = true;
    }
    *ret = a->last.result;
    return 0;
}
