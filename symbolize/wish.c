#include "symbolize/wish.h"

#include "symbolize/debug_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HOUR_S = 3600, DAY_S = 86400 };

static const char *const words[] = {
    [WISH_NOT_ASKED] = "not_asked",
    [WISH_GRANTED] = "ok",
    [WISH_MISSING] = "missing",
    [WISH_MISMATCH] = "build_id_mismatch",
    [WISH_MALFORMED] = "malformed",
    [WISH_NO_DEBUG] = "no_debug_info",
    [WISH_TOO_LARGE] = "too_large",
    [WISH_TIMEOUT] = "timeout",
    [WISH_UNREACHABLE] = "unreachable",
    [WISH_LOCAL] = "not_kept",
};

const char *wish_answer_name(enum wish_answer a)
{
    return (size_t)a < sizeof words / sizeof *words ? words[a] : "unknown";
}

static const struct {
    const char *name, *new, *note, *temporary;
} names[] = {
    [WISH_DEBUGINFO] = {"debuginfo", "new", "note", "note.tmp"},
    [WISH_EXECUTABLE] = {"executable", "executable.new", "executable.note",
        "executable.note.tmp"},
};

const char *wish_kind_name(enum wish_kind kind)
{
    return names[kind].name;
}

const char *wish_new_name(enum wish_kind kind)
{
    return names[kind].new;
}

void wish_hex(const struct wish *w, char out[WISH_HEX_BYTES])
{
    out[0] = 0;
    for (size_t i = 0; i < w->n_build_id && i < ELF_FILE_MAX_BUILD_ID; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", w->build_id[i]);
}

/* DIR/<hex>/NAME */
static bool place(
    char out[PATH_MAX], const char *dir, const struct wish *w, const char *name)
{
    char hex[WISH_HEX_BYTES];
    wish_hex(w, hex);
    int n = snprintf(out, PATH_MAX, "%s/%s/%s", dir, hex, name);
    return n > 0 && n < PATH_MAX;
}

bool wish_worthy(enum knell_symbol_status debug_status)
{
    return debug_status == KNELL_SYMBOL_MISSING ||
           debug_status == KNELL_SYMBOL_MISMATCH ||
           debug_status == KNELL_SYMBOL_MALFORMED;
}

void wishes_add(
    struct wishes *w, const uint8_t *build_id, size_t n_build_id, enum wish_kind kind)
{
    if (n_build_id < 2 || n_build_id > ELF_FILE_MAX_BUILD_ID)
        return;
    for (size_t i = 0; i < w->n; i++) {
        if (w->list[i].kind == kind && w->list[i].n_build_id == n_build_id &&
            !memcmp(w->list[i].build_id, build_id, n_build_id))
            return;
    }
    if (w->n == WISHES_MAX) {
        w->n_dropped++;
        return;
    }
    struct wish *new = &w->list[w->n++];
    *new = (struct wish){.n_build_id = n_build_id, .kind = kind};
    memcpy(new->build_id, build_id, n_build_id);
}

/* For how long an answer is taken for true. */
static int64_t believed_s(enum wish_answer a)
{
    switch (a) {
    case WISH_MISSING:
    case WISH_TIMEOUT:
    case WISH_LOCAL:
        return HOUR_S;
    case WISH_MISMATCH:
    case WISH_MALFORMED:
    case WISH_NO_DEBUG:
    case WISH_TOO_LARGE:
        return DAY_S;
    default:
        return 0; /* each server has a breaker of its own */
    }
}

static bool rests(const char *dir, const struct wish *w, int64_t now_s)
{
    char path[PATH_MAX];
    int64_t time_s = 0;
    int64_t for_s = believed_s(wish_noted(dir, w, &time_s));
    /* A note from the future was written before the clock was set. */
    if (for_s && now_s >= time_s && now_s - time_s < for_s)
        return true;
    return place(path, dir, w, names[w->kind].name) && access(path, F_OK) == 0;
}

void wishes_leave_out(struct wishes *w, const char *dir, int64_t now_s)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        if (!rests(dir, &w->list[i], now_s))
            w->list[n++] = w->list[i];
    }
    w->n = n;
}

/* What --only-keep-debug leaves of a program has its build-id, and none of its code. */
static bool has_code(const struct elf_file *f)
{
    const struct elf_section *s = elf_file_section(f, ".text");
    return f->n_loads && (!s || s->type != SHT_NOBITS);
}

static enum wish_answer check(const struct wish *w, const char *path, uint64_t max_bytes)
{
    struct elf_file f;
    int err = elf_file_open(path, &f);
    if (err < 0)
        return err == -ENOENT ? WISH_NOT_ASKED : WISH_MALFORMED;
    enum wish_answer a = WISH_GRANTED;
    if (f.n_bytes > max_bytes)
        a = WISH_TOO_LARGE;
    else if (!elf_file_is(&f, w->build_id, w->n_build_id))
        a = WISH_MISMATCH;
    else if (w->kind == WISH_EXECUTABLE)
        a = has_code(&f) ? WISH_GRANTED : WISH_MALFORMED;
    else if (!debug_file_has_info(&f))
        a = WISH_NO_DEBUG;
    elf_file_done(&f);
    return a;
}

enum wish_answer wish_take(const char *dir, const struct wish *w, uint64_t max_bytes)
{
    char from[PATH_MAX], to[PATH_MAX], note[PATH_MAX];
    if (!place(from, dir, w, names[w->kind].new) ||
        !place(to, dir, w, names[w->kind].name) ||
        !place(note, dir, w, names[w->kind].note))
        return WISH_NOT_ASKED;
    enum wish_answer a = check(w, from, max_bytes);
    if (a == WISH_GRANTED && rename(from, to) < 0)
        a = WISH_LOCAL;
    if (a == WISH_GRANTED) {
        (void)unlink(note);
    } else if (a != WISH_NOT_ASKED) {
        (void)unlink(from);
        IGNORE(wish_note(dir, w, a), "it is asked for again");
    }
    return a;
}

void wish_take_back(const char *dir, const struct wish *w)
{
    char path[PATH_MAX];
    if (place(path, dir, w, names[w->kind].new))
        (void)unlink(path);
    if (place(path, dir, w, names[w->kind].name))
        (void)unlink(path);
}

int wish_note(const char *dir, const struct wish *w, enum wish_answer a)
{
    char path[PATH_MAX], temporary[PATH_MAX], text[32];
    if (!place(path, dir, w, ""))
        return -ENAMETOOLONG;
    IGNORE(mkdir(path, 0700) < 0, "it is there, or open(2) says why not");
    if (!place(path, dir, w, names[w->kind].note) ||
        !place(temporary, dir, w, names[w->kind].temporary))
        return -ENAMETOOLONG;
    CLEANUP(close_p)
    int fd = open(temporary,
        O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return -errno;
    int n = snprintf(text, sizeof text, "%s\n", wish_answer_name(a));
    if (write(fd, text, (size_t)n) != n || rename(temporary, path) < 0) {
        (void)unlink(temporary);
        return errno ? -errno : -EIO;
    }
    return 0;
}

enum wish_answer wish_noted(const char *dir, const struct wish *w, int64_t *ret_time_s)
{
    char path[PATH_MAX], text[32];
    struct stat st;
    if (!place(path, dir, w, names[w->kind].note))
        return WISH_NOT_ASKED;
    CLEANUP(close_p) int fd = -1;
    if (elf_open_regular(path, &fd, &st) < 0)
        return WISH_NOT_ASKED;
    ssize_t n = read(fd, text, sizeof text - 1);
    if (n <= 0)
        return WISH_NOT_ASKED;
    text[n] = 0;
    text[strcspn(text, "\n")] = 0;
    if (ret_time_s)
        *ret_time_s = st.st_mtim.tv_sec;
    for (size_t i = WISH_MISSING; i < sizeof words / sizeof *words; i++) {
        if (!strcmp(text, words[i]))
            return (enum wish_answer)i;
    }
    return WISH_NOT_ASKED;
}
