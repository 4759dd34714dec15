/**
 * Names for the stubs of the procedure linkage table: "write@plt".
 */
#pragma once
#include "symbolize/table.h"
#include "symbolize/wanted.h"

struct budget;
struct elf_file;

/**
 * Add a symbol for each stub around a wanted address (x86-64 and AArch64). The table is
 * not settled. Returns 0 or -ENOMEM; a table that makes no sense adds nothing.
 */
int elf_plt_add(const struct elf_file *f, struct budget *budget,
    const struct wanted *wanted, struct table *t) MUST_CHECK;
