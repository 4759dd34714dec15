#include "symbolize/wish.h"

#include "symbolize/debug_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

void wish_hex(const uint8_t *build_id, size_t n_build_id, char *out)
{
    out[0] = 0;
    for (size_t i = 0; i < n_build_id; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", build_id[i]);
}

static bool wants_more(const struct knell_symbol_result *r)
{
    return r->status == KNELL_SYMBOL_SYMTAB_ONLY || r->status == KNELL_SYMBOL_MISSING ||
           r->status == KNELL_SYMBOL_MISMATCH;
}

static void add(struct wishes *w, const struct knell_symbol_module *m)
{
    if (!m->n_build_id || m->n_build_id > ELF_FILE_MAX_BUILD_ID || m->image)
        return;
    for (size_t i = 0; i < w->n; i++) {
        if (w->list[i].n_build_id == m->n_build_id &&
            !memcmp(w->list[i].build_id, m->build_id, m->n_build_id))
            return;
    }
    if (w->n == WISHES_MAX) {
        w->n_dropped++;
        return;
    }
    struct wish *new = &w->list[w->n++];
    new->n_build_id = m->n_build_id;
    memcpy(new->build_id, m->build_id, m->n_build_id);
}

void wishes_add(struct wishes *w, const struct knell_symbol_module *modules,
    size_t n_modules, const struct knell_symbol_query *queries, size_t n_queries,
    const struct knell_symbol_result *results)
{
    for (size_t i = 0; i < n_queries; i++) {
        if (queries[i].module < n_modules && wants_more(&results[i]))
            add(w, &modules[queries[i].module]);
    }
}

static int check(const struct wish *w, const char *path, uint64_t max_bytes)
{
    struct elf_file f;
    int err = elf_file_open(path, &f);
    if (err < 0)
        return err;
    if (f.n_bytes > max_bytes)
        err = -E2BIG;
    else if (!elf_file_is(&f, w->build_id, w->n_build_id))
        err = -ESTALE;
    else if (!debug_file_has_info(&f))
        err = -ENODATA;
    elf_file_done(&f);
    return err;
}

int wish_grant(
    const char *store_dir, const struct wish *w, const char *path, uint64_t max_bytes)
{
    char hex[2 * ELF_FILE_MAX_BUILD_ID + 1], to[PATH_MAX];
    int err = check(w, path, max_bytes);
    if (err < 0)
        return err;
    wish_hex(w->build_id, w->n_build_id, hex);
    int n = snprintf(to, sizeof to, "%s/%s", store_dir, hex);
    if (n < 0 || n >= (int)sizeof to - 16)
        return -ENAMETOOLONG;
    if (mkdir(to, 0700) < 0 && errno != EEXIST)
        return -errno;
    memcpy(to + n, "/debuginfo", sizeof "/debuginfo");
    return rename(path, to) < 0 ? -errno : 0;
}
