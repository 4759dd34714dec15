#include "crash/modules.h"

#include "crash/settings.h"
#include <elf.h>
#include <errno.h>
#include <knell/journal.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    SPARE_OBJECTS = 8,        /* loaded between counting and reading */
    EH_FRAME_HDR_BYTES = 12,  /* before the table */
    EH_FRAME_HDR_TABLE = 0x3b /* DW_EH_PE_datarel | DW_EH_PE_sdata4 */
};

struct reading {
    struct kn_modules *m;
    uint32_t room;
    char *strings, *strings_end;
    size_t n_strings;
    const char *executable;
    uint64_t page;
};

static int count_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct reading *r = (struct reading *)arg;
    (void)size;
    r->room++;
    r->n_strings += strlen(info->dlpi_name) + 1;
    return 0;
}

/* The id's bytes inside a PT_NOTE segment of a loaded object. */
static void find_build_id(struct kn_module *m, uint64_t at, uint64_t n)
{
    while (n >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
        uint64_t name = (note->n_namesz + 3) & ~3ull, desc = (note->n_descsz + 3) & ~3ull;
        uint64_t all = sizeof *note + name + desc;
        if (all > n)
            return;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
            note->n_descsz <= sizeof m->build_id) {
            m->build_id_address = at + sizeof *note + name;
            m->n_build_id = note->n_descsz;
            memcpy(m->build_id, (const void *)m->build_id_address, m->n_build_id);
            return;
        }
        at += all;
        n -= all;
    }
}

/* The sorted table that linkers put behind .eh_frame_hdr's head. */
static void find_unwind_table(struct kn_module *m, uint64_t at)
{
    const uint8_t *head = (const uint8_t *)at;
    if (head[0] != 1 || head[2] != 3 || head[3] != EH_FRAME_HDR_TABLE)
        return;
    m->unwind_base = at;
    m->unwind_table = at + EH_FRAME_HDR_BYTES;
    memcpy(&m->n_unwind, head + 8, sizeof m->n_unwind);
}

/* Whether a header's part of the object is there to be read: what tools for binaries have
 * rewritten may say otherwise, and the loader does not care. */
static bool is_readable(const struct dl_phdr_info *info, uint64_t vaddr, uint64_t n)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && p->p_flags & PF_R && vaddr >= p->p_vaddr &&
            n <= p->p_memsz && vaddr - p->p_vaddr <= p->p_memsz - n)
            return true;
    }
    return false;
}

static const char *keep_path(struct reading *r, const struct dl_phdr_info *info)
{
    const char *path = info->dlpi_name;
    if (!path[0] && r->m->n == 0)
        path = r->executable;
    size_t n = strlen(path) + 1, room = (size_t)(r->strings_end - r->strings);
    if (n > room)
        return "";
    char *out = r->strings;
    memcpy(out, path, n);
    r->strings += n;
    return out;
}

static int read_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct reading *r = (struct reading *)arg;
    (void)size;
    if (r->m->n >= r->room) {
        r->m->n_dropped++;
        return 0;
    }
    struct kn_module m = {.base = ~0ull};
    uint64_t end = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uint64_t at = info->dlpi_addr + p->p_vaddr;
        if (p->p_type == PT_LOAD) {
            m.base = at < m.base ? at : m.base;
            end = at + p->p_memsz > end ? at + p->p_memsz : end;
        } else if (p->p_type == PT_NOTE && !m.n_build_id &&
                   is_readable(info, p->p_vaddr, p->p_memsz)) {
            find_build_id(&m, at, p->p_memsz);
        } else if (p->p_type == PT_GNU_EH_FRAME &&
                   is_readable(info, p->p_vaddr, EH_FRAME_HDR_BYTES)) {
            find_unwind_table(&m, at);
        }
    }
    if (!end)
        return 0;
    m.base &= ~(r->page - 1);
    m.size = ((end + r->page - 1) & ~(r->page - 1)) - m.base;
    m.path = keep_path(r, info);
    r->m->all[r->m->n++] = m;
    return 0;
}

int kn_modules_init(struct kn_modules *ret, const char *executable)
{
    struct kn_modules m = {0};
    struct reading r = {.m = &m, .executable = executable};
    r.page = (uint64_t)sysconf(_SC_PAGESIZE);
    dl_iterate_phdr(count_object, &r);
    r.room += SPARE_OBJECTS;
    if (r.room > KNELL_MAX_MODULES)
        r.room = KNELL_MAX_MODULES;
    size_t n_table = r.room * sizeof *m.all;
    size_t n_strings = r.n_strings + strlen(executable) + 1 + SPARE_OBJECTS * 64;
    m.n_bytes = n_table + n_strings;
    void *map =
        mmap(NULL, m.n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return -errno;
    m.all = (struct kn_module *)map;
    r.strings = (char *)map + n_table;
    r.strings_end = r.strings + n_strings;
    dl_iterate_phdr(read_object, &r);
    *ret = m;
    return (int)m.n;
}

void kn_modules_done(struct kn_modules *m)
{
    if (m->all)
        (void)munmap(m->all, m->n_bytes);
    *m = (struct kn_modules){0};
}

static size_t record_bytes(const struct kn_module *one)
{
    size_t n = sizeof(struct knell_journal_module) + one->n_build_id + strlen(one->path);
    return (n + 7) / 8 * 8;
}

size_t kn_modules_area_bytes(const struct kn_modules *m)
{
    size_t n = sizeof(struct knell_journal_modules);
    for (uint32_t i = 0; i < m->n; i++)
        n += record_bytes(&m->all[i]);
    return n;
}

void kn_modules_area(const struct kn_modules *m, void *out)
{
    struct knell_journal_modules head = {0};
    uint8_t *first = (uint8_t *)out + sizeof head, *p = first;
    for (uint32_t i = 0; i < m->n; i++) {
        const struct kn_module *one = &m->all[i];
        const struct knell_journal_module r = {.base = one->base,
            .size = one->size,
            .n_build_id = (uint16_t)one->n_build_id,
            .n_path = (uint16_t)strlen(one->path),
            .n_bytes = (uint32_t)record_bytes(one)};
        memcpy(p, &r, sizeof r);
        memcpy(p + sizeof r, one->build_id, one->n_build_id);
        memcpy(p + sizeof r + one->n_build_id, one->path, r.n_path);
        p += r.n_bytes;
    }
    head.n_bytes = (uint32_t)(p - first);
    head.sum = knell_journal_sum(first, head.n_bytes, head.n_bytes);
    memcpy(out, &head, sizeof head);
}

void kn_modules_release(const struct kn_modules *m, char *out, size_t n)
{
    out[0] = 0;
    if (!m->n)
        return;
    const struct kn_module *exe = &m->all[0];
    for (uint32_t i = 0; i < exe->n_build_id && 2 * i + 3 <= n; i++)
        (void)snprintf(out + (size_t)2 * i, 3, "%02x", exe->build_id[i]);
}
