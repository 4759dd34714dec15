/**
 * One module of a report: its file, its debug file, and what they say.
 */
#pragma once
#include "symbolize/convert.h"
#include "symbolize/debug_file.h"
#include "symbolize/dwarf_package.h"
#include "symbolize/wanted.h"

struct budget;

struct module {
    const struct debug_places *places;
    struct budget *budget;
    struct elf_file main, separate; /* fd -1 and no image: not there */
    struct elf_file mini;           /* MiniDebugInfo, in mini_bytes */
    struct elf_file alt_elf;        /* dwz alternate file */
    uint8_t *mini_bytes;
    bool has_main, has_separate, has_dwarf, has_mini;
    bool lacks_alt; /* it names an alternate file that could not be had */
    struct dwarf_file dwarf, alt;
    struct dwarf_splits splits;
    enum knell_symbol_status status; /* OK, or why there is no file, or what is wrong */
    /* OK, or why there is no debug information, or no sound one */
    enum knell_symbol_status debug_status;
    uint64_t first_vaddr; /* of what answers */
};

/**
 * Find and open the files of a module.
 *
 * @m, @places, @budget  borrowed while the module is open
 * @ret    release with module_done(); also filled when nothing was found: status
 * Returns 0 or -ENOMEM.
 */
int module_open(const struct knell_symbol_module *m, const struct debug_places *places,
    struct budget *budget, struct module *ret) MUST_CHECK;
void module_done(struct module *m);

/**
 * Add what is known of @wanted (addresses of the file) to a table, settled.
 * Returns 0 or -ENOMEM, when there is no memory for the symbols alone; other troubles go
 * to m->status.
 */
int module_fill(
    struct module *m, const struct wanted *wanted, struct table *t) MUST_CHECK;

/* Whether all was there that its files refer to: else its table is not for keeping. */
bool module_is_whole(const struct module *m);

/* The file that answers, for people. NULL: none. */
const char *module_answer_path(const struct module *m);
