#include "crash/handler/modules.h"

#include "crash/handler/digits.h"
#include "crash/handler/minidump.h"
#include <elf.h>
#include <string.h>

#include "crash/handler/poison.h"

enum {
    MAX_PROGRAM_HEADERS = 32,
    MAX_NOTE_BYTES = 1024,
    EH_FRAME_HDR_TABLE = 0x3b, /* DW_EH_PE_datarel | DW_EH_PE_sdata4 */
};

static bool is_stale(const struct kn_capture *c, uint32_t i)
{
    return c->stale[i / 8] & 1u << i % 8;
}

void kn_modules_check(struct kn_capture *c)
{
    const struct kn_modules *m = &c->process->modules;
    for (uint32_t i = 0; i < m->n; i++) {
        const struct kn_module *one = &m->all[i];
        uint8_t now[KNELL_MAX_BUILD_ID_BYTES];
        if (!one->n_build_id)
            continue;
        if (kn_sink_peek(&c->sink, now, one->build_id_address, one->n_build_id) ||
            memcmp(now, one->build_id, one->n_build_id) != 0)
            c->stale[i / 8] = (uint8_t)(c->stale[i / 8] | 1u << i % 8);
    }
}

/* Inside a PT_NOTE segment at @at. */
static void read_build_id(
    struct kn_capture *c, struct kn_module *m, uint64_t at, uint64_t n)
{
    uint8_t *notes = c->scratch;
    n = n < MAX_NOTE_BYTES ? n : MAX_NOTE_BYTES;
    if (kn_sink_peek(&c->sink, notes, at, (uint32_t)n))
        return;
    for (uint64_t i = 0; n - i >= sizeof(Elf64_Nhdr);) {
        Elf64_Nhdr note;
        memcpy(&note, notes + i, sizeof note);
        uint64_t name = (note.n_namesz + 3ull) & ~3ull;
        uint64_t desc = (note.n_descsz + 3ull) & ~3ull;
        if (sizeof note + name + desc > n - i)
            return;
        i += sizeof note + name;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz &&
            note.n_descsz <= sizeof m->build_id) {
            m->n_build_id = note.n_descsz;
            m->build_id_address = at + i;
            memcpy(m->build_id, notes + i, note.n_descsz);
            return;
        }
        i += desc;
    }
}

static void read_unwind_table(struct kn_capture *c, struct kn_module *m, uint64_t at)
{
    uint8_t head[12];
    if (kn_sink_peek(&c->sink, head, at, sizeof head))
        return;
    if (head[0] != 1 || head[2] != 3 || head[3] != EH_FRAME_HDR_TABLE)
        return;
    m->unwind_base = at;
    m->unwind_table = at + sizeof head;
    memcpy(&m->n_unwind, head + 8, sizeof m->n_unwind);
}

/* What modules.c does at start, for a module nobody vouches for. */
static void read_late(struct kn_capture *c, struct kn_module *m)
{
    Elf64_Ehdr e;
    if (kn_sink_peek(&c->sink, &e, m->base, sizeof e) ||
        memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 || e.e_phentsize != sizeof(Elf64_Phdr))
        return;
    uint64_t bias = m->base;
    for (unsigned i = 0; i < e.e_phnum && i < MAX_PROGRAM_HEADERS; i++) {
        Elf64_Phdr p;
        if (kn_sink_peek(&c->sink, &p, m->base + e.e_phoff + i * sizeof p, sizeof p))
            return;
        if (p.p_type == PT_LOAD && p.p_offset == 0)
            bias = m->base - p.p_vaddr;
        else if (p.p_type == PT_NOTE && !m->n_build_id)
            read_build_id(c, m, bias + p.p_vaddr, p.p_memsz);
        else if (p.p_type == PT_GNU_EH_FRAME)
            read_unwind_table(c, m, bias + p.p_vaddr);
    }
}

/* @i counts the whole list: the table, then what was loaded later. */
static const struct kn_module *nth(const struct kn_capture *c, uint32_t i)
{
    const struct kn_modules *m = &c->process->modules;
    if (i >= m->n)
        return &c->late[i - m->n];
    return is_stale(c, i) ? NULL : &m->all[i];
}

static uint32_t n_modules(const struct kn_capture *c)
{
    uint32_t n = c->process->modules.n + c->n_late;
    return n < KNELL_MAX_MODULES ? n : KNELL_MAX_MODULES;
}

static void put_parts(
    struct kn_capture *c, const struct kn_module *m, struct kn_placed *ret)
{
    const uint32_t magic = KNELL_MINIDUMP_CV_ELF;
    ret->name_rva = kn_put_utf16(c, m->path, kn_length(m->path));
    if (!m->n_build_id)
        return;
    kn_sink_align(&c->sink, 4);
    ret->id_rva = kn_sink_at(&c->sink);
    kn_sink_put(&c->sink, &magic, sizeof magic);
    kn_sink_put(&c->sink, m->build_id, m->n_build_id);
}

static void put_record(
    struct kn_capture *c, const struct kn_module *m, const struct kn_placed *at)
{
    struct knell_md_module r = {.base = m->base, .name_rva = at->name_rva};
    r.size = m->size < UINT32_MAX ? (uint32_t)m->size : UINT32_MAX;
    if (m->n_build_id) {
        r.cv_record.rva = at->id_rva;
        r.cv_record.n_bytes = (uint32_t)sizeof(uint32_t) + m->n_build_id;
    }
    kn_sink_put(&c->sink, &r, sizeof r);
}

void kn_modules_put(struct kn_capture *c)
{
    uint32_t n = 0, all = n_modules(c);
    for (uint32_t i = 0; i < c->n_late; i++)
        read_late(c, &c->late[i]);
    for (uint32_t i = 0; i < all; i++) {
        const struct kn_module *m = nth(c, i);
        if (!m)
            continue;
        put_parts(c, m, &c->placed[i]);
        n++;
    }
    kn_sink_align(&c->sink, 8);
    uint32_t at = kn_sink_at(&c->sink);
    kn_sink_put(&c->sink, &n, sizeof n);
    for (uint32_t i = 0; i < all; i++) {
        if (nth(c, i))
            put_record(c, nth(c, i), &c->placed[i]);
    }
    kn_stream(c, KNELL_STREAM_MODULE_LIST, at, kn_sink_at(&c->sink) - at);
    if (c->process->modules.n_dropped)
        kn_note(c, 0, c->process->modules.n_dropped);
}

const struct kn_module *kn_modules_find(const struct kn_capture *c, uint64_t pc)
{
    /* Most often it is the one of the question before. */
    static uint32_t last;
    uint32_t all = n_modules(c);
    for (uint32_t i = 0; i <= all; i++) {
        uint32_t k = i ? i - 1 : last;
        const struct kn_module *m = k < all ? nth(c, k) : NULL;
        if (!m || pc - m->base >= m->size)
            continue;
        last = k;
        return m;
    }
    return NULL;
}
