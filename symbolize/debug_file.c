#include "symbolize/debug_file.h"

#include "symbolize/budget.h"

#include <elf.h>
#include <errno.h>
#include <isa-l/crc.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool format_path(char *out, const char *a, const char *b, const char *c)
{
    int n = snprintf(out, PATH_MAX, "%s%s%s", a ? a : "", b, c ? c : "");
    return n > 0 && n < PATH_MAX;
}

void debug_search_note(struct debug_search *s, int err)
{
    enum knell_symbol_status status = KNELL_SYMBOL_MISSING;
    if (err == -EBADMSG || err == -EPROTONOSUPPORT || err == -EINVAL)
        status = KNELL_SYMBOL_MALFORMED;
    else if (err == -E2BIG)
        status = KNELL_SYMBOL_TOO_LARGE;
    else if (err == -ESTALE)
        status = KNELL_SYMBOL_MISMATCH;
    else if (err == -ETIME)
        status = KNELL_SYMBOL_TIMEOUT;
    if (err == -ENOMEM)
        s->err = err;
    /* A file with another identity says more than none, and a broken one too; where time
     * was short nothing else is known for sure. */
    if (s->status == KNELL_SYMBOL_MISSING || status == KNELL_SYMBOL_TIMEOUT ||
        (status == KNELL_SYMBOL_MISMATCH && s->status != KNELL_SYMBOL_TIMEOUT))
        s->status = status == KNELL_SYMBOL_MISSING ? s->status : status;
}

bool debug_file_has_info(const struct elf_file *f)
{
    for (size_t i = 0; i < f->n_sections; i++) {
        const char *name = f->sections[i].name;
        if (f->sections[i].type != SHT_NOBITS &&
            (!strcmp(name, ".debug_info") || !strcmp(name, ".zdebug_info")))
            return true;
    }
    return false;
}

/* Open @path when it has the identity: 1, 0, or -ENOMEM. */
static int try(const char *path, const struct debug_identity *id, bool need_info,
    struct debug_search *search, struct elf_file *ret)
{
    struct elf_file f;
    int err = elf_file_open(path, &f);
    if (err < 0) {
        debug_search_note(search, err);
        return err == -ENOMEM ? err : 0;
    }
    bool same = !id->n_build_id || elf_file_is(&f, id->build_id, id->n_build_id);
    if (same && (!need_info || debug_file_has_info(&f))) {
        *ret = f;
        return 1;
    }
    if (!same)
        debug_search_note(search, -ESTALE);
    else if (f.cut)
        debug_search_note(search, -EBADMSG);
    elf_file_done(&f);
    return 0;
}

static void to_hex(const uint8_t *id, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", id[i]);
}

/* Look into the symbol store, then among what was fetched. */
static int try_store(const struct debug_places *p, const struct debug_identity *id,
    const char *what, bool need_info, struct debug_search *search, struct elf_file *ret)
{
    const char *const dirs[] = {p->store_dir, p->fetched_dir};
    char hex[2 * ELF_FILE_MAX_BUILD_ID + 1], path[PATH_MAX];
    int found = 0;
    if (!id->n_build_id || id->n_build_id > ELF_FILE_MAX_BUILD_ID)
        return 0;
    to_hex(id->build_id, id->n_build_id, hex);
    for (size_t i = 0; !found && i < sizeof dirs / sizeof *dirs; i++) {
        int n =
            dirs[i] ? snprintf(path, sizeof path, "%s/%s/%s", dirs[i], hex, what) : -1;
        if (n > 0 && n < (int)sizeof path)
            found = try(path, id, need_info, search, ret);
    }
    return found;
}

int debug_find_module(const struct debug_places *p, const struct debug_identity *id,
    struct debug_search *search, struct elf_file *ret)
{
    static const char deleted[] = " (deleted)";
    char path[PATH_MAX];
    int found = 0;
    if (id->path && *id->path == '/' && format_path(path, p->sysroot, id->path, NULL)) {
        found = try(path, id, false, search, ret);
        size_t n = strlen(path), n_mark = sizeof deleted - 1;
        /* The kernel's note on the name; another file with the same build-id may have
         * come back to the place. */
        if (found == 0 && n > n_mark && !strcmp(path + n - n_mark, deleted)) {
            path[n - n_mark] = 0;
            found = try(path, id, false, search, ret);
        }
    } else if (id->path && *id->path && *id->path != '/' && !p->sysroot) {
        found = try(id->path, id, false, search, ret);
    }
    return found ? found : try_store(p, id, "executable", false, search, ret);
}

static int try_build_id_dir(const char *root, const char *dir, const char *hex,
    const struct debug_identity *id, bool need_info, struct debug_search *search,
    struct elf_file *ret)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s%s/.build-id/%.2s/%s.debug", root ? root : "",
        dir, hex, hex + 2);
    if (n < 0 || n >= (int)sizeof path)
        return 0;
    return try(path, id, need_info, search, ret);
}

static int try_build_id_dirs(const struct debug_places *p,
    const struct debug_identity *id, bool need_info, struct debug_search *search,
    struct elf_file *ret)
{
    char hex[2 * ELF_FILE_MAX_BUILD_ID + 1];
    int found = 0;
    if (id->n_build_id < 2 || id->n_build_id > ELF_FILE_MAX_BUILD_ID)
        return 0;
    to_hex(id->build_id, id->n_build_id, hex);
    for (size_t i = 0; !found && p->debug_dirs[i]; i++) {
        if (p->sysroot)
            found = try_build_id_dir(
                p->sysroot, p->debug_dirs[i], hex, id, need_info, search, ret);
        if (!found)
            found =
                try_build_id_dir(NULL, p->debug_dirs[i], hex, id, need_info, search, ret);
    }
    return found;
}

int debug_find_by_id(const struct debug_places *p, const uint8_t *build_id,
    size_t n_build_id, struct debug_search *search, struct elf_file *ret)
{
    struct debug_identity id = {.build_id = build_id, .n_build_id = n_build_id};
    int found = try_build_id_dirs(p, &id, true, search, ret);
    return found ? found : try_store(p, &id, "debuginfo", true, search, ret);
}

/* What .gnu_debuglink says: a file name without folders, and the file's checksum. */
static bool read_debuglink(
    const struct elf_file *f, char name[NAME_MAX + 1], uint32_t *crc)
{
    const struct elf_section *s = elf_file_section(f, ".gnu_debuglink");
    uint8_t bytes[NAME_MAX + 16];
    if (!s || s->n_bytes < 6 || s->n_bytes > sizeof bytes || s->type == SHT_NOBITS ||
        elf_file_read(f, s->offset, bytes, (size_t)s->n_bytes) < 0)
        return false;
    size_t n = strnlen((const char *)bytes, (size_t)s->n_bytes);
    size_t at = (n + 4) & ~(size_t)3;
    if (n == 0 || n > NAME_MAX || at + 4 > s->n_bytes || memchr(bytes, '/', n))
        return false;
    memcpy(name, bytes, n);
    name[n] = 0;
    memcpy(crc, bytes + at, sizeof *crc);
    return true;
}

/* 0, -ESTALE when it is another one, -ETIME or what reading said. */
static int compare_checksum(
    const struct elf_file *f, uint32_t crc, const struct budget *clock)
{
    enum { CHUNK = 1 << 16 };
    CLEANUP(free_p) uint8_t *chunk = malloc(CHUNK);
    uint32_t sum = 0;
    if (!chunk)
        return -ENOMEM;
    for (uint64_t at = 0; at < f->n_bytes;) {
        uint64_t left = f->n_bytes - at;
        size_t n = left < CHUNK ? (size_t)left : CHUNK;
        int err = budget_time(clock);
        if (err == 0)
            err = elf_file_read(f, at, chunk, n);
        if (err < 0)
            return err;
        sum = crc32_gzip_refl(sum, chunk, n);
        at += n;
    }
    return sum == crc ? 0 : -ESTALE;
}

/* Whether a debuglink's file is the one. A build-id that both have tells more than the
 * checksum, and costs no reading. */
static int compare(const struct elf_file *f, const struct elf_file *main,
    const struct debug_identity *id, uint32_t crc, const struct budget *clock)
{
    if (id->n_build_id || f->n_build_id)
        return elf_file_is(f, main->build_id, main->n_build_id) ? 0 : -ESTALE;
    return compare_checksum(f, crc, clock);
}

/* @folder/@name as a debug file by its build-id, or its checksum where there is none. */
static int try_link(const char *root, const char *folder, const char *name, uint32_t crc,
    const struct debug_identity *id, const struct elf_file *main,
    struct debug_search *search, struct elf_file *ret)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s%s/%s", root ? root : "", folder, name);
    if (n < 0 || n >= (int)sizeof path)
        return 0;
    struct elf_file f;
    int err = elf_file_open(path, &f);
    if (err < 0) {
        debug_search_note(search, err);
        return err == -ENOMEM ? err : 0;
    }
    bool itself = f.identity.st_dev == main->identity.st_dev &&
                  f.identity.st_ino == main->identity.st_ino;
    if (!itself) {
        err =
            debug_file_has_info(&f) ? compare(&f, main, id, crc, search->clock) : -ESTALE;
        if (err == 0) {
            *ret = f;
            return 1;
        }
        debug_search_note(search, err);
    }
    elf_file_done(&f);
    return err == -ENOMEM ? err : 0;
}

/* A folder under the debug directories, as it is and as it is called since /lib and
 * /usr/lib are one. */
static int try_filed(const struct debug_places *p, const char *seen, const char *name,
    uint32_t crc, const struct debug_identity *id, const struct elf_file *main,
    struct debug_search *search, struct elf_file *ret)
{
    static const char usr[] = "/usr";
    bool in_usr = !strncmp(seen, "/usr/", 5);
    const char *const prefixes[] = {"", in_usr ? "" : usr};
    const char *const folders[] = {seen, in_usr ? seen + sizeof usr - 1 : seen};
    char sub[PATH_MAX];
    int found = 0;
    for (size_t i = 0; !found && p->debug_dirs[i]; i++) {
        for (int k = 0; !found && k < 2; k++) {
            int n = snprintf(sub, sizeof sub, "%s%s%s%s", p->debug_dirs[i], prefixes[k],
                *folders[k] == '/' ? "" : "/", folders[k]);
            if (n < 0 || n >= (int)sizeof sub)
                continue;
            if (p->sysroot)
                found = try_link(p->sysroot, sub, name, crc, id, main, search, ret);
            if (!found)
                found = try_link(NULL, sub, name, crc, id, main, search, ret);
        }
    }
    return found;
}

static int try_debuglink(const struct debug_places *p, const struct debug_identity *id,
    const struct elf_file *main, struct debug_search *search, struct elf_file *ret)
{
    char name[NAME_MAX + 1], folder[PATH_MAX], sub[PATH_MAX];
    uint32_t crc;
    if (!main || !main->path || !read_debuglink(main, name, &crc))
        return 0;
    if (!format_path(folder, NULL, main->path, NULL))
        return 0;
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = 0;
    else
        (void)format_path(folder, NULL, ".", NULL);
    int found = try_link(NULL, folder, name, crc, id, main, search, ret);
    if (!found && format_path(sub, folder, "/.debug", NULL))
        found = try_link(NULL, sub, name, crc, id, main, search, ret);
    /* Under the debug directories the folder stands as the dead process saw it. */
    size_t n_root = p->sysroot ? strlen(p->sysroot) : 0;
    const char *seen =
        p->sysroot && !strncmp(folder, p->sysroot, n_root) ? folder + n_root : folder;
    if (!found)
        found = try_filed(p, seen, name, crc, id, main, search, ret);
    return found;
}

int debug_find_separate(const struct debug_places *p, const struct debug_identity *id,
    const struct elf_file *main, struct debug_search *search, struct elf_file *ret)
{
    int found = try_build_id_dirs(p, id, true, search, ret);
    if (!found)
        found = try_debuglink(p, id, main, search, ret);
    return found ? found : try_store(p, id, "debuginfo", true, search, ret);
}
