#include "symbolize/module.h"

#include "symbolize/budget.h"
#include "symbolize/elf_plt.h"
#include "symbolize/elf_symbols.h"
#include "symbolize/mini_debug.h"

#include <elf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static enum knell_symbol_status status_of(int err)
{
    switch (err) {
    case 0:
        return KNELL_SYMBOL_OK;
    case -E2BIG:
    case -ENOMEM: /* one module's debug information may want it all: the rest is named */
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
    /* What was passed over on the way to the program is not the debug file. */
    if (m->has_main)
        search->status = m->main.cut ? KNELL_SYMBOL_MALFORMED : KNELL_SYMBOL_MISSING;
    if (m->has_main && m->main.cut)
        m->status = KNELL_SYMBOL_MALFORMED;
    found = debug_find_separate(
        m->places, id, m->has_main ? &m->main : NULL, search, &m->separate);
    if (found < 0)
        return found;
    m->has_separate = found == 1;
    if (!found && search->status == KNELL_SYMBOL_TIMEOUT)
        m->status = KNELL_SYMBOL_TIMEOUT;
    return 0;
}

/* What a file says of its alternate file, or that file of itself: a path and the build-id
 * or DWARF 5's checksum, which is as good as one. */
struct alt_link {
    uint8_t bytes[PATH_MAX + ELF_FILE_MAX_BUILD_ID + 8];
    const char *path;
    const uint8_t *id;
    size_t n_id;
};

static int link_bytes(
    const struct elf_file *f, const char *name, struct alt_link *l, struct bytes *ret)
{
    const struct elf_section *s = elf_file_section(f, name);
    if (!s || s->type == SHT_NOBITS)
        return 0;
    if (s->n_bytes > sizeof l->bytes)
        return -EBADMSG;
    *ret = bytes_of(l->bytes, (size_t)s->n_bytes);
    int err = elf_file_read(f, s->offset, l->bytes, ret->n);
    return err < 0 ? err : 1;
}

/* Each: 1 and the link, 0 when there is none, or an error. */
static int end_link(struct alt_link *l, struct bytes *b, uint64_t n_id)
{
    if (n_id == 0 || n_id > ELF_FILE_MAX_BUILD_ID)
        return -EBADMSG;
    l->n_id = (size_t)n_id;
    l->id = bytes_take(b, l->n_id, "build-id");
    return b->err ? b->err : 1;
}

static int read_gnu_link(const struct elf_file *f, struct alt_link *l)
{
    struct bytes b;
    int has = link_bytes(f, ".gnu_debugaltlink", l, &b);
    if (has <= 0)
        return has;
    l->path = bytes_string(&b, "alternate file");
    return b.err ? b.err : end_link(l, &b, b.n - b.at);
}

/* DWARF 5 §7.3.6. @itself: what the alternate file says. */
static int read_sup(const struct elf_file *f, bool itself, struct alt_link *l)
{
    struct bytes b;
    int has = link_bytes(f, ".debug_sup", l, &b);
    if (has <= 0)
        return has;
    uint16_t version = bytes_u16(&b, "version");
    bool is_other = bytes_u8(&b, "kind") != 0;
    l->path = bytes_string(&b, "alternate file");
    uint64_t n = bytes_uleb(&b, "checksum");
    if (b.err || version != 5)
        return -EBADMSG;
    return is_other == itself ? end_link(l, &b, n) : 0;
}

static bool is_alt(const struct elf_file *f, const struct alt_link *l)
{
    struct alt_link own;
    return elf_file_is(f, l->id, l->n_id) ||
           (read_sup(f, true, &own) > 0 && own.n_id == l->n_id &&
               !memcmp(own.id, l->id, l->n_id));
}

/* The alternate file by its path, relative to @f, then by its build-id. */
static int find_alt(struct module *m, const struct elf_file *f, const struct alt_link *l)
{
    char path[PATH_MAX];
    struct debug_search search = {.clock = m->budget, .status = KNELL_SYMBOL_MISSING};
    const char *slash = f->path ? strrchr(f->path, '/') : NULL;
    int n_dir = *l->path == '/' || !slash ? 0 : (int)(slash - f->path) + 1;
    int n = snprintf(path, sizeof path, "%s%.*s%s",
        *l->path == '/' && m->places->sysroot ? m->places->sysroot : "", n_dir,
        f->path ? f->path : "", l->path);
    if (n > 0 && n < (int)sizeof path) {
        int err = elf_file_open(path, &m->alt_elf);
        if (err == -ENOMEM)
            return err;
        if (err == 0 && is_alt(&m->alt_elf, l))
            return 1;
        elf_file_done(&m->alt_elf);
    }
    return debug_find_by_id(m->places, l->id, l->n_id, &search, &m->alt_elf);
}

static void open_alt(struct module *m, const struct elf_file *f)
{
    struct alt_link link;
    int has = read_gnu_link(f, &link);
    if (has == 0)
        has = read_sup(f, false, &link);
    if (has == 0)
        return;
    if (has > 0)
        has = find_alt(m, f, &link);
    if (has > 0)
        has = dwarf_file_open(&m->alt_elf, false, m->budget, &m->alt);
    if (has > 0)
        m->dwarf.alt = &m->alt;
    m->lacks_alt = has <= 0;
}

static void open_dwarf(struct module *m)
{
    const struct elf_file *f = m->has_separate ? &m->separate : &m->main;
    int has = dwarf_file_open(f, false, m->budget, &m->dwarf);
    if (has < 0)
        m->status = status_of(has);
    m->dwarf.code = m->has_main ? &m->main : &m->separate;
    m->has_dwarf = has > 0;
    if (has != 0)
        m->debug_status = m->status;
    if (has == 0)
        dwarf_file_done(&m->dwarf);
    if (has <= 0)
        return;
    m->splits = (struct dwarf_splits){.budget = m->budget,
        .sysroot = m->places->sysroot,
        .base_path = m->has_main ? m->main.path : f->path,
        .package = {.elf = {.fd = -1}},
        .last = {.elf = {.fd = -1}}};
    open_alt(m, f);
}

/* A symbol table packed into the module is used when it has none of its own. */
static int open_mini(struct module *m)
{
    if (!m->has_main || elf_file_section(&m->main, ".symtab") || m->has_separate)
        return 0;
    int has = mini_debug_open(&m->main, m->budget, &m->mini_bytes, &m->mini);
    m->has_mini = has > 0;
    return has == -ENOMEM ? has : 0;
}

int module_open(const struct knell_symbol_module *from, const struct debug_places *places,
    struct budget *budget, struct module *ret)
{
    *ret = (struct module){
        .places = places, .budget = budget, .main = {.fd = -1}, .separate = {.fd = -1}};
    struct debug_identity id = {
        .path = from->path, .build_id = from->build_id, .n_build_id = from->n_build_id};
    struct debug_search search = {.clock = budget, .status = KNELL_SYMBOL_MISSING};
    budget->lost = 0;
    int err = open_files(ret, from, &id, &search);
    if (err == 0)
        err = search.err;
    ret->debug_status = search.status;
    if (err == 0 && !ret->has_main && !ret->has_separate)
        ret->status = search.status;
    else if (err == 0)
        err = open_mini(ret);
    if (err < 0) {
        module_done(ret);
        return err;
    }
    if (ret->has_main || ret->has_separate)
        open_dwarf(ret);
    ret->first_vaddr = ret->has_main ? ret->main.first_vaddr : ret->separate.first_vaddr;
    return 0;
}

/* Give back what the debug information took. */
static void close_dwarf(struct module *m)
{
    if (m->splits.budget)
        dwarf_splits_done(&m->splits);
    dwarf_file_done(&m->dwarf);
    dwarf_file_done(&m->alt);
}

void module_done(struct module *m)
{
    close_dwarf(m);
    elf_file_done(&m->main);
    elf_file_done(&m->separate);
    elf_file_done(&m->mini);
    elf_file_done(&m->alt_elf);
    free(m->mini_bytes);
    m->mini_bytes = NULL;
}

/* What cost symbols: -ENOMEM, or 0 and a note. A broken table is as good as none. */
static int note_symbols(struct module *m, int err)
{
    if (err < 0 && err != -EBADMSG && m->status == KNELL_SYMBOL_OK)
        m->status = status_of(err);
    return err == -ENOMEM ? err : 0;
}

static int add_symbols(struct module *m, const struct elf_file *f, uint32_t type,
    const struct wanted *wanted, struct table *t)
{
    return note_symbols(m, elf_symbols_add(f, type, m->budget, wanted, t));
}

static int fill_symbols(struct module *m, const struct wanted *wanted, struct table *t)
{
    int err = 0;
    if (m->has_main && elf_file_section(&m->main, ".symtab"))
        err = add_symbols(m, &m->main, SHT_SYMTAB, wanted, t);
    else if (m->has_separate)
        err = add_symbols(m, &m->separate, SHT_SYMTAB, wanted, t);
    else if (m->has_mini)
        err = add_symbols(m, &m->mini, SHT_SYMTAB, wanted, t);
    if (err == 0 && m->has_main)
        err = add_symbols(m, &m->main, SHT_DYNSYM, wanted, t);
    if (err == 0 && m->has_main)
        err = note_symbols(m, elf_plt_add(&m->main, m->budget, wanted, t));
    return err < 0 ? err : table_settle(t);
}

static int find_split(void *ctx, const struct dwarf_unit *u, struct dwarf_unit *ret)
{
    struct module *m = ctx;
    return dwarf_split_find(&m->splits, u, ret);
}

int module_fill(struct module *m, const struct wanted *wanted, struct table *t)
{
    if (m->has_dwarf) {
        struct converter c = {
            .file = &m->dwarf, .table = t, .split = find_split, .ctx = m};
        int err = convert(&c, wanted);
        converter_done(&c);
        if (err == 0)
            err = m->budget->lost;
        if (err < 0)
            m->status = m->debug_status = status_of(err);
    }
    /* The symbols need room as well, above all when there was none for the rest. */
    close_dwarf(m);
    return fill_symbols(m, wanted, t);
}

bool module_is_whole(const struct module *m)
{
    return m->status == KNELL_SYMBOL_OK && !m->lacks_alt && !m->splits.missing;
}

const char *module_answer_path(const struct module *m)
{
    return m->has_separate ? m->separate.path : m->has_main ? m->main.path : NULL;
}
