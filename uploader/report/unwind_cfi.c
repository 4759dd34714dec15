#include "uploader/report/unwind_cfi.h"

#include "uploader/report/parse.h"

#include <errno.h>
#include <libunwind.h>
#include <stdlib.h>
#include <string.h>

/* Exported by libunwind for its own ptrace and coredump parts, declared in no header. */
#define dwarf_search_unwind_table UNW_OBJ(dwarf_search_unwind_table)
int dwarf_search_unwind_table(unw_addr_space_t space, unw_word_t ip,
    unw_dyn_info_t *table, unw_proc_info_t *ret, int need_unwind_info, void *arg);

#if defined(__x86_64__)
enum { HOST_ARCH = KNELL_MINIDUMP_ARCH_AMD64, HOST_REGISTERS = 17, HOST_PC = 16 };
#elif defined(__aarch64__)
enum { HOST_ARCH = KNELL_MINIDUMP_ARCH_ARM64, HOST_REGISTERS = 33, HOST_PC = 32 };
#endif

/* A step of real code reads some hundred words. An expression in a hostile file may jump
 * backwards for ever: its reads end, and with them the step. */
enum { MAX_READS_PER_STEP = 20000 };

struct unwind_cfi {
    unw_addr_space_t space;
    const struct crash *c;
    struct code_map *map;
    uint64_t registers[CRASH_N_REGISTERS];
    uint32_t reads_left;
    bool found; /* this step's pc has frame information */
};

static int find_proc_info(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t *ret,
    int need_unwind_info, void *arg)
{
    struct unwind_cfi *u = arg;
    struct image_table table;
    int32_t module = crash_module_at(u->c, ip);
    struct image *image = code_map_image(u->map, module);
    if (!image || !image_unwind_table(image, &table))
        return -UNW_ENOINFO;
    const struct crash_module *m = &u->c->modules[module];
    unw_dyn_info_t di = {
        .format = UNW_INFO_FORMAT_REMOTE_TABLE,
        .start_ip = m->base,
        .end_ip = m->base + m->size,
        .u.rti = {.segbase = table.header,
            .table_data = table.table,
            .table_len = table.n_entries * 8 / sizeof(unw_word_t)},
    };
    int err = dwarf_search_unwind_table(space, ip, &di, ret, need_unwind_info, arg);
    if (!err)
        u->found = true;
    return err;
}

static void put_unwind_info(unw_addr_space_t space, unw_proc_info_t *info, void *arg)
{
    (void)space;
    (void)info;
    (void)arg;
}

static int dyn_info_list(unw_addr_space_t space, unw_word_t *ret, void *arg)
{
    (void)space;
    (void)ret;
    (void)arg;
    return -UNW_ENOINFO;
}

static int access_mem(
    unw_addr_space_t space, unw_word_t at, unw_word_t *value, int write, void *arg)
{
    struct unwind_cfi *u = arg;
    (void)space;
    if (write || !u->reads_left)
        return -UNW_EINVAL;
    u->reads_left--;
    if (code_map_read(u->map, at, value, sizeof *value))
        return 0;
    /* Functions with cleanups name their personality by a pointer in writable data, which
     * neither file nor dump tells. libunwind follows it although a walk does not ask. */
    if (crash_module_at(u->c, at) < 0)
        return -UNW_EINVAL;
    *value = 0;
    return 0;
}

static int access_reg(
    unw_addr_space_t space, unw_regnum_t reg, unw_word_t *value, int write, void *arg)
{
    struct unwind_cfi *u = arg;
    (void)space;
    if (write || reg < 0 || reg >= HOST_REGISTERS)
        return -UNW_EBADREG;
    *value = u->registers[reg];
    return 0;
}

static int access_fpreg(
    unw_addr_space_t space, unw_regnum_t reg, unw_fpreg_t *value, int write, void *arg)
{
    (void)space;
    (void)reg;
    (void)value;
    (void)write;
    (void)arg;
    return -UNW_EBADREG;
}

static int resume(unw_addr_space_t space, unw_cursor_t *cursor, void *arg)
{
    (void)space;
    (void)cursor;
    (void)arg;
    return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t space, unw_word_t ip, char *name, size_t n,
    unw_word_t *offset, void *arg)
{
    (void)space;
    (void)ip;
    (void)name;
    (void)n;
    (void)offset;
    (void)arg;
    return -UNW_ENOINFO;
}

static unw_accessors_t accessors = {
    .find_proc_info = find_proc_info,
    .put_unwind_info = put_unwind_info,
    .get_dyn_info_list_addr = dyn_info_list,
    .access_mem = access_mem,
    .access_reg = access_reg,
    .access_fpreg = access_fpreg,
    .resume = resume,
    .get_proc_name = get_proc_name,
};

int unwind_cfi_new(const struct crash *c, struct code_map *map, struct unwind_cfi **ret)
{
    *ret = NULL;
    if (c->arch != HOST_ARCH)
        return 0;
    struct unwind_cfi *u = calloc(1, sizeof *u);
    if (!u)
        return -ENOMEM;
    u->c = c;
    u->map = map;
    u->space = unw_create_addr_space(&accessors, 0);
    if (!u->space) {
        free(u);
        return -ENOMEM;
    }
    /* Without its cache libunwind asks find_proc_info() in each step, which tells a step
     * by frame information from one of its guesses; those are made in unwind.c instead.
     */
    unw_set_caching_policy(u->space, UNW_CACHE_NONE);
    *ret = u;
    return 0;
}

void unwind_cfi_free(struct unwind_cfi *u)
{
    if (!u)
        return;
    unw_destroy_addr_space(u->space);
    free(u);
}

/* To libunwind the link register of aarch64 is the pc, which it is of any frame but one
 * that a signal interrupted: there its own value is in the kernel's frame. */
static uint64_t link_register(struct unwind_cfi *u, unw_cursor_t *cursor, uint64_t pc)
{
    unw_save_loc_t at;
    uint64_t value;
    if (unw_get_save_loc(cursor, UNW_REG_IP, &at) < 0 || at.type != UNW_SLT_MEMORY ||
        !code_map_read(u->map, at.u.addr, &value, sizeof value))
        return pc;
    return value;
}

enum unwind_cfi_step unwind_cfi_step(
    struct unwind_cfi *u, uint64_t registers[CRASH_N_REGISTERS], uint64_t lookup_pc)
{
    unw_cursor_t cursor;
    memcpy(u->registers, registers, sizeof u->registers);
    u->registers[HOST_PC] = lookup_pc;
    u->reads_left = MAX_READS_PER_STEP;
    u->found = false;
    if (unw_init_remote(&cursor, u->space, u) < 0)
        return UNWIND_CFI_NONE;
    int step = unw_step(&cursor);
    if (!u->found || step < 0)
        return UNWIND_CFI_NONE;
    if (step == 0)
        return UNWIND_CFI_END;
    unw_word_t pc;
    if (unw_get_reg(&cursor, UNW_REG_IP, &pc) < 0)
        return UNWIND_CFI_NONE;
    for (int i = 0; i < HOST_REGISTERS; i++) {
        unw_word_t v;
        if (i != UNW_REG_IP && unw_get_reg(&cursor, i, &v) == 0)
            registers[i] = v;
    }
    if ((int)UNW_REG_IP != (int)HOST_PC)
        registers[UNW_REG_IP] = link_register(u, &cursor, pc);
    registers[HOST_PC] = pc;
    return UNWIND_CFI_STEP;
}
