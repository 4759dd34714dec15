#include "symbolize/budget.h"
#include "symbolize/dwarf_const.h"
#include "symbolize/dwarf_line.h"

#include <stdlib.h>

enum {
    MAX_FILES = 1 << 20,
    MAX_FORMATS = 64, /* columns of a version 5 table; the standard has 5 */
};

static int add_directory(struct line_table *t, struct dwarf_value v)
{
    if (t->n_directories == t->max_directories) {
        uint32_t max = t->max_directories ? 2 * t->max_directories : 32;
        if (max > MAX_FILES)
            return -E2BIG;
        struct dwarf_value *more = realloc(t->directories, max * sizeof *more);
        if (!more)
            return -ENOMEM;
        t->directories = more;
        t->max_directories = max;
    }
    t->directories[t->n_directories++] = v;
    return 0;
}

static int add_file(struct line_table *t, struct line_file file)
{
    if (t->n_files == t->max_files) {
        uint32_t max = t->max_files ? 2 * t->max_files : 64;
        if (max > MAX_FILES)
            return -E2BIG;
        struct line_file *more = realloc(t->files, max * sizeof *more);
        if (!more)
            return -ENOMEM;
        t->files = more;
        t->max_files = max;
    }
    t->files[t->n_files++] = file;
    return 0;
}

/* Up to version 4: strings until an empty one; numbers count from 1. */
static int read_old_tables(struct line_table *t, struct bytes *r)
{
    int err = add_directory(t, (struct dwarf_value){0});
    for (; err == 0 && !r->err;) {
        struct dwarf_value v = {
            .class = DWARF_TEXT, .text = bytes_string(r, "include directory")};
        if (!*v.text)
            break;
        err = add_directory(t, v);
    }
    if (err == 0)
        err = add_file(t, (struct line_file){0});
    for (; err == 0 && !r->err;) {
        struct line_file file = {.name = {.class = DWARF_TEXT}};
        file.name.text = bytes_string(r, "file name");
        if (!*file.name.text)
            break;
        file.directory = bytes_uleb(r, "directory index");
        (void)bytes_uleb(r, "file time");
        (void)bytes_uleb(r, "file size");
        err = add_file(t, file);
    }
    return err < 0 ? err : r->err;
}

struct format {
    uint16_t content, form;
};

static unsigned read_formats(struct bytes *r, struct format *formats)
{
    unsigned n = bytes_u8(r, "entry formats");
    if (n > MAX_FORMATS)
        bytes_fail(r, -EBADMSG, "entry formats");
    for (unsigned i = 0; i < n && !r->err; i++) {
        uint64_t content = bytes_uleb(r, "content"), form = bytes_uleb(r, "form");
        if (form > UINT16_MAX || form == DW_FORM_IMPLICIT_CONST)
            bytes_fail(r, -EBADMSG, "form");
        formats[i] =
            (struct format){content > UINT16_MAX ? 0 : (uint16_t)content, (uint16_t)form};
    }
    return r->err ? 0 : n;
}

/* One of the two tables of version 5; numbers count from 0. */
static int read_new_table(struct line_table *t, struct bytes *r, bool of_files)
{
    struct format formats[MAX_FORMATS];
    unsigned n_formats = read_formats(r, formats);
    uint64_t n = bytes_uleb(r, "entries");
    if (n > MAX_FILES)
        return -E2BIG;
    if (n && !n_formats)
        return -EBADMSG;
    for (uint64_t i = 0; i < n && !r->err; i++) {
        struct line_file file = {0};
        for (unsigned k = 0; k < n_formats; k++) {
            struct dwarf_value v = dwarf_form_read(r, t->sizes, formats[k].form, 0);
            if (formats[k].content == DW_LNCT_PATH)
                file.name = v;
            else if (formats[k].content == DW_LNCT_DIRECTORY_INDEX)
                file.directory = v.u;
        }
        int err = of_files ? add_file(t, file) : add_directory(t, file.name);
        if (err < 0)
            return err;
    }
    return r->err;
}

static int read_head(struct line_table *t, struct bytes *r)
{
    uint64_t n = bytes_uint(r, t->sizes.offset, "header length");
    if (r->err || n > r->n - r->at)
        return -EBADMSG;
    t->program = r->at + n;
    t->min_instruction = bytes_u8(r, "minimum instruction length");
    if (t->sizes.version >= 4)
        (void)bytes_u8(r, "operations per instruction");
    (void)bytes_u8(r, "default statement");
    t->line_base = (int8_t)bytes_u8(r, "line base");
    t->line_range = bytes_u8(r, "line range");
    t->opcode_base = bytes_u8(r, "opcode base");
    for (unsigned i = 1; i < t->opcode_base; i++)
        t->opcode_lengths[i] = bytes_u8(r, "opcode lengths");
    if (r->err)
        return r->err;
    if (t->sizes.version < 5)
        return read_old_tables(t, r);
    int err = read_new_table(t, r, false);
    return err < 0 ? err : read_new_table(t, r, true);
}

int dwarf_line_open(const struct dwarf_unit *u, struct line_table *ret)
{
    struct section *s = &u->file->sections[DWARF_LINE];
    uint64_t at = u->line_base + u->line_offset;
    if (at >= s->n || s->n - at < 16)
        return -EBADMSG;
    struct line_table t = {.u = u, .sizes = u->sizes};
    struct bytes r = section_reader(s, at, 12);
    uint64_t n = bytes_u32(&r, "line table length");
    t.sizes.offset = 4;
    if (n == 0xffffffffu) {
        n = bytes_u64(&r, "line table length");
        t.sizes.offset = 8;
    }
    if (r.err)
        return r.err;
    at += r.at;
    if (n > s->n - at)
        return -EBADMSG;
    t.end = at + n;
    int err = section_need(s, at, n);
    if (err < 0)
        return err;
    r = bytes_of(s->bytes, (size_t)t.end);
    r.at = (size_t)at;
    uint16_t version = bytes_u16(&r, "line table version");
    if (r.err || version < 2 || version > 5)
        return -EPROTONOSUPPORT;
    t.sizes.version = (uint8_t)version;
    if (t.sizes.version >= 5) {
        t.sizes.address = bytes_u8(&r, "address size");
        (void)bytes_u8(&r, "segment selector size");
    }
    err = read_head(&t, &r);
    if (err < 0) {
        line_table_done(&t);
        return err;
    }
    *ret = t;
    return 0;
}

void line_table_done(struct line_table *t)
{
    free(t->directories);
    free(t->files);
    free(t->rows);
    free(t->segments.p);
    *t = (struct line_table){0};
}

/* Where in the table the unit's own directory stands in for what is not said. */
int dwarf_line_path(const struct line_table *t, uint32_t file, const char **ret_comp_dir,
    const char **ret_directory, const char **ret_name)
{
    const char *comp_dir = NULL, *directory = NULL, *name = NULL;
    int err =
        file < t->n_files ? dwarf_unit_text(t->u, &t->files[file].name, &name) : -ENODATA;
    if (err < 0)
        return budget_fatal(err) ? err : -ENODATA;
    err = dwarf_unit_text(t->u, &t->u->comp_dir, &comp_dir);
    if (err < 0)
        comp_dir = NULL;
    uint64_t d = t->files[file].directory;
    if (!budget_fatal(err) && d < t->n_directories) {
        err = dwarf_unit_text(t->u, &t->directories[d], &directory);
        if (err < 0)
            directory = NULL;
    }
    if (budget_fatal(err))
        return err;
    *ret_comp_dir = comp_dir;
    *ret_directory = directory;
    *ret_name = name;
    return 0;
}
