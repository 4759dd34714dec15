/**
 * The names of a unit's functions, into a table.
 */
#pragma once
#include "symbolize/convert.h"
#include "symbolize/dwarf_function.h"

/**
 * @u     loaded; where @f was found
 * @used  of each node of @f: whether its name is asked for
 * @ret   table function of each such node; undefined for the others. To be freed, also
 *        after an error.
 * Errors: -ENOMEM, -E2BIG, -ETIME; a name that makes no sense is left out.
 */
int convert_names(struct converter *c, const struct dwarf_unit *u,
    const struct functions *f, const bool *used, uint32_t **ret) MUST_CHECK;
