#include "crash/handler/unwind.h"

#include "crash/handler/failpoint.h"
#include "crash/handler/maps.h"
#include "crash/handler/minidump.h"
#include "crash/handler/modules.h"
#include "crash/handler/regs.h"
#include <libunwind.h>
#include <string.h>

#include "crash/handler/poison.h"

enum {
    N_PAGES = 4,
    PAGE_BYTES = 4096,
    HOW_LIBUNWIND = 1,
    HOW_FRAME_POINTERS = 2,
    MAX_FP_STEP_BYTES = 1024 * 1024,
};

/* Reads go a page at a time; a walk touches few. */
static struct {
    uint64_t address; /* 0: none */
    uint8_t bytes[PAGE_BYTES];
} pages[N_PAGES];
static unsigned next_page;

/* A call through a bad pointer has no frame of its own to unwind: the walk begins where
 * it came from. (Left to itself libunwind follows the frame pointer, past the caller.) */
static struct {
    bool on;
    uint64_t pc, sp;
} undone;

static const uint8_t *page_at(struct kn_capture *c, uint64_t address)
{
    for (unsigned i = 0; i < N_PAGES; i++) {
        if (pages[i].address == address)
            return pages[i].bytes;
    }
    unsigned i = next_page++ % N_PAGES;
    pages[i].address = 0;
    if (!address || kn_sink_peek(&c->sink, pages[i].bytes, address, PAGE_BYTES))
        return NULL;
    pages[i].address = address;
    return pages[i].bytes;
}

static bool read_memory(struct kn_capture *c, uint64_t address, void *out, size_t n)
{
    for (size_t done = 0; done < n;) {
        uint64_t at = address + done, start = at & ~(uint64_t)(PAGE_BYTES - 1);
        const uint8_t *page = page_at(c, start);
        size_t part = PAGE_BYTES - (size_t)(at - start);
        part = part < n - done ? part : n - done;
        if (!page)
            return false;
        memcpy((uint8_t *)out + done, page + (at - start), part);
        done += part;
    }
    return true;
}

static int find_procedure(
    unw_addr_space_t space, unw_word_t ip, unw_proc_info_t *ret, int need, void *arg)
{
    struct kn_capture *c = (struct kn_capture *)arg;
    const struct kn_module *m = kn_modules_find(c, ip);
    if (!m || !m->n_unwind)
        return -UNW_ENOINFO;
    unw_dyn_info_t table;
    memset(&table, 0, sizeof table);
    table.format = UNW_INFO_FORMAT_REMOTE_TABLE;
    table.start_ip = m->base;
    table.end_ip = m->base + m->size;
    table.u.rti.segbase = m->unwind_base;
    table.u.rti.table_data = m->unwind_table;
    table.u.rti.table_len = (unw_word_t)m->n_unwind * 8 / sizeof(unw_word_t);
    /* INDIRECT: libunwind, opened at start; the last step. */
    return c->process->unwinder.search_table(space, ip, &table, ret, need, arg);
}

static void put_procedure(unw_addr_space_t space, unw_proc_info_t *info, void *arg)
{
    (void)space, (void)info, (void)arg;
}

static int no_dynamic_list(unw_addr_space_t space, unw_word_t *ret, void *arg)
{
    (void)space, (void)ret, (void)arg;
    return -UNW_ENOINFO;
}

static int access_memory(
    unw_addr_space_t space, unw_word_t address, unw_word_t *value, int write, void *arg)
{
    (void)space;
    if (write || !read_memory((struct kn_capture *)arg, address, value, sizeof *value))
        return -UNW_EINVAL;
    return 0;
}

static int access_register(
    unw_addr_space_t space, unw_regnum_t i, unw_word_t *value, int write, void *arg)
{
    const struct kn_capture *c = (const struct kn_capture *)arg;
    const char *name;
    (void)space;
    if (write || i < 0 || i >= KN_N_REGISTERS)
        return -UNW_EBADREG;
    if (undone.on && (i == KN_REGISTER_PC || i == KN_REGISTER_SP))
        *value = i == KN_REGISTER_PC ? undone.pc : undone.sp;
    else
        *value = kn_regs_get(c->uc, (unsigned)i, &name);
    return 0;
}

static int access_float(
    unw_addr_space_t space, unw_regnum_t i, unw_fpreg_t *value, int write, void *arg)
{
    (void)space, (void)i, (void)value, (void)write, (void)arg;
    return -UNW_EBADREG;
}

static int no_resume(unw_addr_space_t space, unw_cursor_t *cursor, void *arg)
{
    (void)space, (void)cursor, (void)arg;
    return -UNW_EINVAL;
}

static int no_name(unw_addr_space_t space, unw_word_t address, char *out, size_t n,
    unw_word_t *offset, void *arg)
{
    (void)space, (void)address, (void)out, (void)n, (void)offset, (void)arg;
    return -UNW_ENOINFO;
}

void *kn_unwind_accessors(void)
{
    static unw_accessors_t accessors = {find_procedure, put_procedure, no_dynamic_list,
        access_memory, access_register, access_float, no_resume, no_name};
    return &accessors;
}

static void undo_wild_call(struct kn_capture *c)
{
    uint64_t pc = kn_regs_pc(c->uc), top = 0;
    const struct kn_map *m = kn_maps_find(c, pc);
    undone.on = false;
    if (!c->n_maps || (m && m->end_flags & KN_MAP_EXEC) ||
        !read_memory(c, kn_regs_sp(c->uc), &top, sizeof top))
        return;
    kn_regs_undo_call(c->uc, top, &undone.pc, &undone.sp);
    if (!kn_modules_find(c, undone.pc))
        return;
    undone.on = true;
    c->frames[c->n_frames++] = pc;
}

static void walk_libunwind(struct kn_capture *c)
{
    static unw_cursor_t cursor;
    const struct kn_unwinder *u = &c->process->unwinder;
    /* INDIRECT: libunwind, opened at start; the last step. */
    if (!u->space || u->init_remote(&cursor, u->space, c) < 0)
        return;
    int more = 1;
    while (more > 0 && c->n_frames < KNELL_MAX_FRAMES) {
        uintptr_t pc;
        /* INDIRECT: libunwind. */
        if (u->get_reg(&cursor, UNW_REG_IP, &pc) < 0 || (!pc && c->n_frames))
            break;
        c->frames[c->n_frames++] = pc;
        KN_FAILPOINT("unwind.step");
        more = u->step(&cursor); /* INDIRECT: libunwind. */
    }
    c->frames_how = HOW_LIBUNWIND;
}

static void walk_frame_pointers(struct kn_capture *c)
{
    uint64_t fp = kn_regs_fp(c->uc), sp = kn_regs_sp(c->uc);
    c->n_frames = 0;
    c->frames[c->n_frames++] = kn_regs_pc(c->uc);
    while (c->n_frames < KNELL_MAX_FRAMES) {
        uint64_t link[2]; /* the caller's frame pointer, the return address */
        if (fp < sp || fp - sp > MAX_FP_STEP_BYTES || fp % 8 ||
            !read_memory(c, fp, link, sizeof link) || !link[1] ||
            !kn_modules_find(c, link[1]))
            break;
        c->frames[c->n_frames++] = link[1];
        sp = fp + sizeof link;
        fp = link[0];
    }
    c->frames_how = HOW_FRAME_POINTERS;
}

void kn_unwind(struct kn_capture *c)
{
    for (unsigned i = 0; i < N_PAGES; i++)
        pages[i].address = 0;
    c->n_frames = 0;
    undo_wild_call(c);
    walk_libunwind(c);
    if (c->n_frames < (undone.on ? 3u : 2u))
        walk_frame_pointers(c);
    const struct knell_frames_head head = {
        .tid = c->tid, .how = c->frames_how, .n_frames = c->n_frames};
    kn_sink_align(&c->sink, 8);
    uint32_t at = kn_sink_at(&c->sink);
    kn_sink_put(&c->sink, &head, sizeof head);
    kn_sink_put(&c->sink, c->frames, c->n_frames * sizeof *c->frames);
    kn_stream(c, KNELL_STREAM_FRAMES, at, kn_sink_at(&c->sink) - at);
}
