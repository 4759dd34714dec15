/*
 * The oracle: what elfutils' libdw says of an address of a file. Its own way from an
 * address to a unit (dwarf_addrdie) needs .debug_aranges, which not all compilers write:
 * units are found by their own ranges.
 *
 * usage: libdw FILE <ADDRESSES; a line "FUNCTION FILE:LINE" for each, "?? ??:0" unknown
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_DEPTH = 64 };

/* The innermost function with code at @pc, inlined or not, below @die. */
static bool find(Dwarf_Die *die, Dwarf_Addr pc, int depth, Dwarf_Die *ret)
{
    Dwarf_Die child;
    bool found = false;
    if (depth > MAX_DEPTH || dwarf_child(die, &child) != 0)
        return false;
    do {
        int tag = dwarf_tag(&child);
        bool function = tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
        if (function && dwarf_haspc(&child, pc) == 1) {
            *ret = child;
            found = true;
        }
        /* Functions lie inside namespaces and classes, which have no addresses. */
        if (find(&child, pc, depth + 1, ret))
            found = true;
    } while (dwarf_siblingof(&child, &child) == 0);
    return found;
}

static const char *name_of(Dwarf_Die *die)
{
    Dwarf_Attribute a;
    const char *name = NULL;
    if (dwarf_attr_integrate(die, DW_AT_linkage_name, &a) ||
        dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &a) ||
        dwarf_attr_integrate(die, DW_AT_name, &a))
        name = dwarf_formstring(&a);
    return name ? name : "??";
}

static void answer(Dwarf *d, Dwarf_Addr pc)
{
    Dwarf_CU *cu = NULL;
    Dwarf_Die unit, function;
    uint8_t type;
    while (dwarf_get_units(d, cu, &cu, NULL, &type, &unit, NULL) == 0) {
        if (type != DW_UT_compile || dwarf_haspc(&unit, pc) != 1)
            continue;
        Dwarf_Line *row = dwarf_getsrc_die(&unit, pc);
        const char *file = row ? dwarf_linesrc(row, NULL, NULL) : NULL;
        int line = 0;
        if (row && dwarf_lineno(row, &line) != 0)
            line = 0;
        const char *slash = file ? strrchr(file, '/') : NULL;
        bool named = find(&unit, pc, 0, &function);
        printf("%s %s:%d\n", named ? name_of(&function) : "??",
            slash  ? slash + 1
            : file ? file
                   : "??",
            line);
        return;
    }
    puts("?? ??:0");
}

int main(int argc, char **argv)
{
    char text[64];
    int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    Dwarf *d = fd < 0 ? NULL : dwarf_begin(fd, DWARF_C_READ);
    if (!d) {
        (void)fprintf(stderr, "usage: libdw FILE <ADDRESSES\n");
        return 2;
    }
    while (fgets(text, sizeof text, stdin))
        answer(d, strtoull(text, NULL, 16));
    (void)dwarf_end(d);
    (void)close(fd);
    return 0;
}
