#include "symbolize/elf_plt.h"

#include "symbolize/budget.h"
#include "symbolize/elf_file.h"
#include "symbolize/section.h"

#include <elf.h>
#include <stdio.h>

enum { STUB_BYTES = 16, MAX_PLT_BYTES = 1 << 22, MAX_NAME_BYTES = 4096 };

struct plt {
    const struct elf_file *f;
    struct budget *budget, clock;
    struct section symbols, names, relocations[2]; /* .rela.plt, .rela.dyn */
};

/* The slot of the global offset table that a stub jumps through; 0: not seen. */
static uint64_t slot_x86_64(const uint8_t *p, size_t n, uint64_t at)
{
    for (size_t i = 0; i + 6 <= n; i++) {
        if (p[i] == 0xff && p[i + 1] == 0x25) { /* jmp *disp32(%rip) */
            int32_t disp;
            memcpy(&disp, p + i + 2, sizeof disp);
            return at + i + 6 + (uint64_t)(int64_t)disp;
        }
    }
    return 0;
}

static uint64_t slot_aarch64(const uint8_t *p, size_t n, uint64_t at)
{
    for (size_t i = 0; i + 8 <= n; i += 4) {
        uint32_t adrp, ldr;
        memcpy(&adrp, p + i, 4);
        memcpy(&ldr, p + i + 4, 4);
        if ((adrp & 0x9f00001f) != 0x90000010 || (ldr & 0xffc003ff) != 0xf9400211)
            continue; /* adrp x16, page; ldr x17, [x16, #offset] */
        uint64_t pages = (adrp >> 29 & 3) | (adrp >> 5 & 0x7ffff) << 2;
        uint64_t page =
            ((at + i) & ~UINT64_C(4095)) + (uint64_t)((int64_t)(pages << 43) >> 31);
        return page + ((ldr >> 10 & 0xfff) << 3);
    }
    return 0;
}

/* The symbol that the slot is filled with: its number, or 0. */
static uint32_t symbol_of(struct plt *p, uint64_t slot)
{
    for (int k = 0; k < 2; k++) {
        struct section *s = &p->relocations[k];
        for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= s->n; at += sizeof(Elf64_Rela)) {
            Elf64_Rela r;
            if (section_need(s, at, sizeof r) < 0)
                break;
            memcpy(&r, s->bytes + at, sizeof r);
            if (r.r_offset == slot)
                return (uint32_t)ELF64_R_SYM(r.r_info);
        }
    }
    return 0;
}

static int add_stub(struct plt *p, uint64_t at, uint64_t slot, struct table *t)
{
    char text[MAX_NAME_BYTES + 8];
    Elf64_Sym y;
    const char *name;
    uint32_t number = slot ? symbol_of(p, slot) : 0;
    if (!number || section_need(&p->symbols, (uint64_t)number * sizeof y, sizeof y) < 0)
        return 0;
    memcpy(&y, p->symbols.bytes + number * sizeof y, sizeof y);
    if (section_string(&p->names, y.st_name, &name) < 0 || !*name)
        return 0;
    int n = snprintf(text, sizeof text, "%.*s@plt", MAX_NAME_BYTES, name);
    struct table_symbol add = {.low = at, .high = at + STUB_BYTES, .file = TABLE_NONE};
    int err = n > 0 ? table_string(t, text, (size_t)n, &add.name) : 0;
    return err < 0 ? err : table_add_symbol(t, &add);
}

/* From stub to stub, or from one that is asked for to the next. */
static uint64_t next_wanted(
    const struct wanted *wanted, const struct elf_section *s, uint64_t at, uint64_t stub)
{
    size_t i = wanted->all ? 0 : wanted_from(wanted, s->addr + at);
    if (wanted->all)
        return at;
    return i < wanted->n ? (wanted->pcs[i] - s->addr) / stub * stub : s->n_bytes;
}

static int add_section(struct plt *p, const struct elf_section *s,
    const struct wanted *wanted, struct table *t)
{
    uint64_t stub = !strcmp(s->name, ".plt.got") && s->entry_bytes == 8 ? 8 : STUB_BYTES;
    uint64_t at = next_wanted(wanted, s, 0, stub);
    for (; at + stub <= s->n_bytes; at = next_wanted(wanted, s, at + stub, stub)) {
        uint8_t code[STUB_BYTES];
        uint64_t address = s->addr + at;
        int late = budget_time(&p->clock);
        if (late < 0)
            return late;
        if (elf_file_read(p->f, s->offset + at, code, (size_t)stub) < 0)
            return 0;
        uint64_t slot = p->f->machine == EM_X86_64
                            ? slot_x86_64(code, (size_t)stub, address)
                            : slot_aarch64(code, (size_t)stub, address);
        int err = add_stub(p, address, slot, t);
        if (err < 0)
            return err;
    }
    return 0;
}

static void open_named(struct plt *p, const char *name, struct section *ret)
{
    const struct elf_section *s = elf_file_section(p->f, name);
    if (!s || section_open(p->f, s, p->budget, ret) < 0)
        *ret = (struct section){0};
}

int elf_plt_add(const struct elf_file *f, struct budget *budget,
    const struct wanted *wanted, struct table *t)
{
    bool opened = false;
    struct plt p = {.f = f, .budget = budget, .clock = budget_grace(budget)};
    int err = 0;
    if (!f->is_64 || (f->machine != EM_X86_64 && f->machine != EM_AARCH64))
        return 0;
    for (size_t i = 0; err == 0 && i < f->n_sections; i++) {
        const struct elf_section *s = &f->sections[i];
        if (strncmp(s->name, ".plt", 4) != 0 || s->type != SHT_PROGBITS ||
            s->n_bytes > MAX_PLT_BYTES ||
            !wanted_any(wanted, s->addr, s->addr + s->n_bytes))
            continue;
        if (!opened) {
            opened = true;
            open_named(&p, ".dynsym", &p.symbols);
            open_named(&p, ".dynstr", &p.names);
            open_named(&p, ".rela.plt", &p.relocations[0]);
            open_named(&p, ".rela.dyn", &p.relocations[1]);
        }
        err = add_section(&p, s, wanted, t);
    }
    section_done(&p.symbols);
    section_done(&p.names);
    section_done(&p.relocations[0]);
    section_done(&p.relocations[1]);
    return err;
}
