#include "symbolize/module.h"

#include "symbolize/budget.h"
#include "symbolize/elf_symbols.h"

#include <elf.h>

static enum knell_symbol_status status_of(int err)
{
    switch (err) {
    case 0:
        return KNELL_SYMBOL_OK;
    case -E2BIG:
        return KNELL_SYMBOL_TOO_LARGE;
    case -ETIME:
        return KNELL_SYMBOL_TIMEOUT;
    default:
        return KNELL_SYMBOL_MALFORMED;
    }
}

static int open_files(struct module *m, const struct knell_symbol_module *from,
    const struct debug_identity *id, struct debug_search *search)
{
    int found = 0;
    if (from->image && from->n_image) {
        int err = elf_file_of_image(from->image, from->n_image, &m->main);
        if (err == 0)
            m->has_main = true;
        else
            debug_search_note(search, err);
        return err == -ENOMEM ? err : 0;
    }
    found = debug_find_module(m->places, id, search, &m->main);
    if (found < 0)
        return found;
    m->has_main = found == 1;
    if (m->has_main && debug_file_has_info(&m->main))
        return 0;
    if (m->has_main && !id->n_build_id && m->main.n_build_id)
        return 0; /* nothing to compare a separate file with */
    found = debug_find_separate(
        m->places, id, m->has_main ? &m->main : NULL, search, &m->separate);
    if (found < 0)
        return found;
    m->has_separate = found == 1;
    return 0;
}

static int open_dwarf(struct module *m)
{
    const struct elf_file *f = m->has_separate ? &m->separate : &m->main;
    if (!m->has_main && !m->has_separate)
        return 0;
    int has = dwarf_file_open(f, false, m->budget, &m->dwarf);
    if (has < 0)
        m->status = status_of(has);
    m->has_dwarf = has > 0;
    if (has == 0)
        dwarf_file_done(&m->dwarf);
    return has == -ENOMEM ? has : 0;
}

int module_open(const struct knell_symbol_module *from, const struct debug_places *places,
    struct budget *budget, struct module *ret)
{
    *ret = (struct module){
        .places = places, .budget = budget, .main = {.fd = -1}, .separate = {.fd = -1}};
    struct debug_identity id = {
        .path = from->path, .build_id = from->build_id, .n_build_id = from->n_build_id};
    struct debug_search search = {.status = KNELL_SYMBOL_MISSING};
    int err = open_files(ret, from, &id, &search);
    if (err == 0)
        err = search.err;
    if (err == 0 && !ret->has_main && !ret->has_separate)
        ret->status = search.status;
    else if (err == 0)
        err = open_dwarf(ret);
    if (err < 0) {
        module_done(ret);
        return err;
    }
    ret->first_vaddr = ret->has_main ? ret->main.first_vaddr : ret->separate.first_vaddr;
    return 0;
}

void module_done(struct module *m)
{
    dwarf_file_done(&m->dwarf);
    elf_file_done(&m->main);
    elf_file_done(&m->separate);
}

/* Add a symbol table; a broken one is as good as none. */
static int add_symbols(struct module *m, const struct elf_file *f, uint32_t type,
    const struct wanted *wanted, struct table *t)
{
    int err = elf_symbols_add(f, type, m->budget, wanted, t);
    return err == -ENOMEM ? err : 0;
}

static int fill_symbols(struct module *m, const struct wanted *wanted, struct table *t)
{
    int err = 0;
    if (m->has_main && elf_file_section(&m->main, ".symtab"))
        err = add_symbols(m, &m->main, SHT_SYMTAB, wanted, t);
    else if (m->has_separate)
        err = add_symbols(m, &m->separate, SHT_SYMTAB, wanted, t);
    if (err == 0 && m->has_main)
        err = add_symbols(m, &m->main, SHT_DYNSYM, wanted, t);
    return err < 0 ? err : table_settle(t);
}

int module_fill(struct module *m, const struct wanted *wanted, struct table *t)
{
    int err = 0;
    if (m->has_dwarf) {
        struct converter c = {.file = &m->dwarf, .table = t};
        err = convert(&c, wanted);
        converter_done(&c);
        if (err < 0 && err != -ENOMEM)
            m->status = status_of(err);
    }
    if (err == -ENOMEM)
        return err;
    return fill_symbols(m, wanted, t);
}

const char *module_answer_path(const struct module *m)
{
    return m->has_separate ? m->separate.path : m->has_main ? m->main.path : NULL;
}
