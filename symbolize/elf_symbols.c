#include "symbolize/elf_symbols.h"

#include "symbolize/budget.h"
#include "symbolize/elf_file.h"
#include "symbolize/section.h"

#include <elf.h>
#include <stdlib.h>

enum { SYMBOLS_AT_ONCE = 2048, MAX_NAME_BYTES = 1 << 16 };

/* A symbol that was taken; the name is fetched last. */
struct found {
    uint64_t low, high;
    uint32_t name, n_aliases, file;
    uint8_t rank; /* the higher the better a name for its address */
};

struct scan {
    const struct elf_file *f;
    const struct wanted *wanted;
    uint32_t file; /* name of the last STT_FILE: local symbols behind it are its */
    struct found *found;
    size_t n, max;
    struct found *labels; /* per wanted address: the last symbol before it */
};

static int add_found(struct scan *s, struct found f)
{
    if (s->n == s->max) {
        size_t max = s->max ? 2 * s->max : 256;
        struct found *more = realloc(s->found, max * sizeof *more);
        if (!more)
            return -ENOMEM;
        s->found = more;
        s->max = max;
    }
    s->found[s->n++] = f;
    return 0;
}

static uint8_t rank(const Elf64_Sym *y)
{
    uint8_t binding = ELF64_ST_BIND(y->st_info);
    return binding == STB_GLOBAL ? 3 : binding == STB_WEAK ? 2 : 1;
}

static int take(struct scan *s, const Elf64_Sym *y)
{
    uint8_t type = ELF64_ST_TYPE(y->st_info);
    if (type == STT_FILE)
        s->file = y->st_name;
    if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
        return 0;
    if (y->st_shndx == SHN_UNDEF || !y->st_name || !y->st_value)
        return 0;
    struct found f = {.low = y->st_value,
        .high = y->st_value + y->st_size,
        .name = y->st_name,
        .file = ELF64_ST_BIND(y->st_info) == STB_LOCAL ? s->file : 0,
        .rank = (uint8_t)(rank(y) + (type == STT_NOTYPE ? 0 : 4))};
    if (f.high < f.low || !elf_file_maps(s->f, f.low, true))
        return 0;
    if (s->wanted->all)
        return add_found(s, f);
    /* An assembler's label holds to the next symbol, so that one is kept as well, even
     * when it ends before the address. */
    size_t i = wanted_from(s->wanted, f.low);
    if (i < s->wanted->n &&
        (s->labels[i].low < f.low || (s->labels[i].low == f.low && y->st_size)))
        s->labels[i] = f;
    return y->st_size && wanted_any(s->wanted, f.low, f.high) ? add_found(s, f) : 0;
}

static int scan_64(struct scan *s, const struct elf_section *table)
{
    Elf64_Sym y[SYMBOLS_AT_ONCE];
    for (uint64_t at = 0; at < table->n_bytes;) {
        uint64_t left = table->n_bytes - at;
        size_t n = left < sizeof y ? (size_t)left : sizeof y;
        n -= n % sizeof *y;
        int err = n ? elf_file_read(s->f, table->offset + at, y, n) : -EBADMSG;
        for (size_t i = 0; err == 0 && i < n / sizeof *y; i++)
            err = take(s, &y[i]);
        if (err < 0)
            return err;
        at += n;
    }
    return 0;
}

static int scan_32(struct scan *s, const struct elf_section *table)
{
    for (uint64_t at = 0; at + sizeof(Elf32_Sym) <= table->n_bytes;
         at += sizeof(Elf32_Sym)) {
        Elf32_Sym y;
        int err = elf_file_read(s->f, table->offset + at, &y, sizeof y);
        Elf64_Sym wide = {.st_name = y.st_name,
            .st_info = y.st_info,
            .st_shndx = y.st_shndx,
            .st_value = y.st_value,
            .st_size = y.st_size};
        if (err == 0)
            err = take(s, &wide);
        if (err < 0)
            return err;
    }
    return 0;
}

/* Keep the symbols that are nearer to their address than the one before. */
static int add_labels(struct scan *s)
{
    uint64_t last = 0;
    for (size_t i = 0; !s->wanted->all && i < s->wanted->n; i++) {
        const struct found *l = &s->labels[i];
        if (l->low <= last)
            continue;
        last = l->low;
        int err = add_found(s, *l);
        if (err < 0)
            return err;
    }
    return 0;
}

static int by_address(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank > y->rank ? -1 : 1;
    if (x->high != y->high)
        return x->high > y->high ? -1 : 1;
    return x->name < y->name ? -1 : x->name > y->name;
}

/* One symbol an address; the others are counted. */
static size_t fold(struct found *f, size_t n)
{
    size_t out = 0;
    if (n)
        qsort(f, n, sizeof *f, by_address);
    for (size_t i = 0; i < n; i++) {
        if (out && f[out - 1].low == f[i].low) {
            f[out - 1].n_aliases += f[i].name != f[out - 1].name;
            if (f[i].high > f[out - 1].high)
                f[out - 1].high = f[i].high;
        } else {
            f[out++] = f[i];
        }
    }
    return out;
}

static int store(struct scan *s, struct section *names, struct table *t)
{
    s->n = fold(s->found, s->n);
    for (size_t i = 0; i < s->n; i++) {
        const char *name;
        int err = section_string(names, s->found[i].name, &name);
        if (err == -EBADMSG || (err == 0 && (!*name || *name == '$')))
            continue; /* $x and the like mark code and data on ARM */
        struct table_symbol y = {.low = s->found[i].low,
            .high = s->found[i].high,
            .file = TABLE_NONE,
            .n_aliases = s->found[i].n_aliases};
        if (err == 0)
            err = table_string(t, name, strnlen(name, MAX_NAME_BYTES), &y.name);
        if (err == 0 && s->found[i].file &&
            section_string(names, s->found[i].file, &name) == 0 && *name)
            err = table_string(t, name, strnlen(name, MAX_NAME_BYTES), &y.file);
        if (err == 0)
            err = table_add_symbol(t, &y);
        if (err < 0)
            return err;
    }
    return 0;
}

int elf_symbols_add(const struct elf_file *f, uint32_t type, struct budget *budget,
    const struct wanted *wanted, struct table *t)
{
    const struct elf_section *table = NULL;
    for (size_t i = 0; i < f->n_sections && !table; i++) {
        if (f->sections[i].type == type)
            table = &f->sections[i];
    }
    if (!table)
        return 0;
    if (table->link == 0 || table->link > f->n_sections)
        return -EBADMSG;
    struct section names;
    int err = section_open(f, &f->sections[table->link - 1], budget, &names);
    if (err < 0)
        return err;
    struct scan s = {.f = f, .wanted = wanted};
    s.labels = calloc(wanted->n ? wanted->n : 1, sizeof *s.labels);
    err = s.labels ? 0 : -ENOMEM;
    if (err == 0)
        err = f->is_64 ? scan_64(&s, table) : scan_32(&s, table);
    if (err == 0)
        err = add_labels(&s);
    if (err == 0)
        err = store(&s, &names, t);
    free(s.found);
    free(s.labels);
    section_done(&names);
    return err < 0 ? err : 1;
}
