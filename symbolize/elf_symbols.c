#include "symbolize/elf_symbols.h"

#include "symbolize/budget.h"
#include "symbolize/elf_file.h"
#include "symbolize/section.h"

#include <elf.h>
#include <stdlib.h>

enum {
    SYMBOLS_AT_ONCE = 2048,
    MAX_NAME_BYTES = 1 << 16,
    MAX_ALIASES = 16,     /* names kept of one address */
    MAX_LOOKED_AT = 1024, /* symbols of it: a name may come again and again */
};

/* A symbol that was taken; the name is fetched last. */
struct found {
    uint64_t low, high;
    uint32_t name, file;
    uint8_t rank; /* the higher the better a name for its address */
};

struct scan {
    const struct elf_file *f;
    struct section *names;
    struct budget clock;
    const struct wanted *wanted;
    const struct table *t; /* what it covers is wanted as well: the cold part of a
                            * function, which has a symbol of its own */
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

/* $x, $d and the like mark code and data on ARM and RISC-V; they name nothing. */
static bool is_mark(const char *name)
{
    return *name == '$';
}

/* Whether a symbol is a label to name what follows it: 1, 0 or an error. */
static int is_label(struct scan *s, const Elf64_Sym *y)
{
    const char *name;
    if (y->st_size || y->st_info != ELF64_ST_INFO(STB_LOCAL, STT_NOTYPE))
        return 1;
    int err = section_string(s->names, y->st_name, &name);
    if (err < 0)
        return err == -EBADMSG ? 1 : err;
    return !is_mark(name);
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
        (s->labels[i].low < f.low || (s->labels[i].low == f.low && y->st_size))) {
        int label = is_label(s, y);
        if (label < 0)
            return label;
        if (label)
            s->labels[i] = f;
    }
    if (y->st_size &&
        (wanted_any(s->wanted, f.low, f.high) || table_covers_any(s->t, f.low, f.high)))
        return add_found(s, f);
    return 0;
}

static int scan_64(struct scan *s, const struct elf_section *table)
{
    Elf64_Sym y[SYMBOLS_AT_ONCE];
    for (uint64_t at = 0; at < table->n_bytes;) {
        uint64_t left = table->n_bytes - at;
        size_t n = left < sizeof y ? (size_t)left : sizeof y;
        n -= n % sizeof *y;
        int err = n ? elf_file_read(s->f, table->offset + at, y, n) : -EBADMSG;
        if (err == 0)
            err = budget_time(&s->clock);
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

/* Whether two names are those of one constructor or destructor (C1, C2; D1, D2). */
static bool are_twins(const char *a, const char *b)
{
    size_t i = 0;
    while (a[i] && a[i] == b[i])
        i++;
    return i && (a[i - 1] == 'C' || a[i - 1] == 'D') && a[i] >= '0' && a[i] <= '9' &&
           b[i] >= '0' && b[i] <= '9' && !strcmp(a + i + 1, b + i + 1);
}

/* The table's string at @name, up to one of @ends but at its start; TABLE_NONE when there
 * is none or it says nothing. */
static int text(struct section *names, uint32_t name, const char *ends, struct table *t,
    uint32_t *ret)
{
    const char *s;
    *ret = TABLE_NONE;
    int err = section_string(names, name, &s);
    if (err < 0)
        return err == -EBADMSG ? 0 : err;
    if (!*s || is_mark(s))
        return 0;
    size_t n = 1 + strcspn(s + 1, ends);
    return table_string(t, s, n < MAX_NAME_BYTES ? n : MAX_NAME_BYTES, ret);
}

/* Add the symbols of one address, the best first. Nothing tells in which of them the code
 * was written, so all have the same end and the number of the other functions. */
static int store_address(
    struct section *names, const struct found *f, size_t n, struct table *t)
{
    struct table_symbol y[MAX_ALIASES];
    uint32_t n_kept = 0, n_others = 0;
    uint64_t high = 0;
    for (size_t i = 0; i < n; i++)
        high = f[i].high > high ? f[i].high : high;
    for (size_t i = 0; i < n && i < MAX_LOOKED_AT && n_kept < MAX_ALIASES; i++) {
        struct table_symbol s = {.low = f[i].low, .high = high, .rank = f[i].rank};
        /* foo@@V1 is a version of foo (.symver). */
        int err = text(names, f[i].name, "@", t, &s.name);
        s.file = TABLE_NONE;
        if (err == 0 && f[i].file)
            err = text(names, f[i].file, "", t, &s.file);
        if (err < 0)
            return err;
        bool known = s.name == TABLE_NONE;
        for (uint32_t k = 0; k < n_kept && !known; k++)
            known = y[k].name == s.name;
        if (known)
            continue;
        n_others += n_kept && !are_twins(t->text + y[0].name, t->text + s.name);
        y[n_kept++] = s;
    }
    int err = 0;
    for (uint32_t k = 0; err == 0 && k < n_kept; k++) {
        y[k].n_aliases = n_others;
        err = table_add_symbol(t, &y[k]);
    }
    return err;
}

static int store(struct scan *s, struct table *t)
{
    int err = 0;
    if (s->n)
        qsort(s->found, s->n, sizeof *s->found, by_address);
    for (size_t i = 0, end; err == 0 && i < s->n; i = end) {
        for (end = i + 1; end < s->n && s->found[end].low == s->found[i].low;)
            end++;
        err = budget_time(&s->clock);
        if (err == 0)
            err = store_address(s->names, s->found + i, end - i, t);
    }
    return err;
}

/* A label of unknown size holds to the next symbol, but not beyond its section: a symbol
 * without a name stands at the end of each that holds code, below any other there. */
static int add_ends(const struct elf_file *f, struct table *t)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < f->n_sections; i++) {
        const struct elf_section *s = &f->sections[i];
        uint64_t end = s->addr + s->n_bytes;
        if (!(s->flags & SHF_EXECINSTR) || !(s->flags & SHF_ALLOC) || end < s->addr)
            continue;
        struct table_symbol y = {
            .low = end, .high = end, .name = TABLE_NONE, .file = TABLE_NONE};
        err = table_add_symbol(t, &y);
    }
    return err;
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
    struct scan s = {
        .f = f, .names = &names, .clock = budget_grace(budget), .wanted = wanted, .t = t};
    s.labels = calloc(wanted->n ? wanted->n : 1, sizeof *s.labels);
    err = s.labels ? 0 : -ENOMEM;
    if (err == 0)
        err = f->is_64 ? scan_64(&s, table) : scan_32(&s, table);
    if (err == 0)
        err = add_labels(&s);
    if (err == 0)
        err = store(&s, t);
    if (err == 0)
        err = add_ends(f, t);
    free(s.found);
    free(s.labels);
    section_done(&names);
    return err < 0 ? err : 1;
}
