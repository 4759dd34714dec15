/**
 * Function symbols of .symtab and .dynsym into a table.
 */
#pragma once
#include "symbolize/table.h"
#include "symbolize/wanted.h"

struct budget;
struct elf_file;

/**
 * Add the symbols around wanted addresses. The table is not settled.
 *
 * @type  SHT_SYMTAB or SHT_DYNSYM
 * Returns 1 when the file has such a symbol table, 0 when not, or -EBADMSG, -ENOMEM,
 * -E2BIG.
 */
int elf_symbols_add(const struct elf_file *f, uint32_t type, struct budget *budget,
    const struct wanted *wanted, struct table *t) MUST_CHECK;
