/* symbolize.h on this very program, and on files that are not what they seem. */
#include "symbolize/budget.h"
#include "symbolize/build.h"
#include "symbolize/cache.h"
#include "symbolize/debug_file.h"
#include "symbolize/elf_file.h"
#include "symbolize/wish.h"
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <knell/symbolize.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char self[PATH_MAX], tmp[] = "/tmp/knell-symbolizer-XXXXXX";
static struct elf_file own = {.fd = -1};

/* A function to ask about, all on one line: where its code begins is the compiler's. */
enum { TARGET_LINE = __LINE__ + 2 };
/* clang-format off */
__attribute__((noinline)) static int target(int x) { return x * 3 + 1; }
/* clang-format on */

static uint64_t own_base(void)
{
    return (uint64_t)(uintptr_t)&target;
}

/* This program as a module with its base at 0x10000 * 4096. */
static struct knell_symbol_module self_module(void)
{
    return (struct knell_symbol_module){.path = self,
        .build_id = own.build_id,
        .n_build_id = own.n_build_id,
        .base = 0x10000000};
}

static int find_base(struct dl_phdr_info *info, size_t n, void *ctx)
{
    (void)n;
    *(uint64_t *)ctx = info->dlpi_addr;
    return 1; /* the program itself comes first */
}

/* Address of target() as if the module were at 0x10000000. */
static uint64_t target_pc(void)
{
    uint64_t bias = 0;
    (void)dl_iterate_phdr(find_base, &bias);
    return own_base() - bias - own.first_vaddr + 0x10000000;
}

static int ask(const struct knell_symbolize_options *o, struct knell_symbol_module m,
    uint64_t pc, enum knell_frame_kind kind, struct knell_symbol_result *r,
    struct knell_symbolizer **ret)
{
    struct knell_symbol_query q = {.pc = pc, .kind = kind};
    if (!CHECK_INT(knell_symbolizer_new(o, ret), 0))
        return -1;
    return knell_symbolize(*ret, &m, 1, &q, 1, r);
}

static void expect_status(const struct knell_symbolize_options *o,
    struct knell_symbol_module m, enum knell_symbol_status status)
{
    struct knell_symbolizer *s;
    struct knell_symbol_result r;
    if (CHECK_INT(ask(o, m, target_pc(), KNELL_FRAME_EXACT, &r, &s), 0))
        CHECK_STR(knell_symbol_status_name(r.status), knell_symbol_status_name(status));
    knell_symbolizer_free(s);
}

static void finds_itself(void)
{
    struct knell_symbolizer *s;
    struct knell_symbol_result r;
    struct knell_symbolize_options o = {.size = sizeof o, .context_lines = 2};
    CHECK_INT(ask(&o, self_module(), target_pc(), KNELL_FRAME_EXACT, &r, &s), 0);
    if (CHECK_INT(r.status, KNELL_SYMBOL_OK) && CHECK_INT(r.n_frames, 1)) {
        CHECK_STR(r.frames[0].function, "target");
        CHECK_INT(r.frames[0].line, TARGET_LINE);
        CHECK_INT(r.frames[0].function_address, target_pc());
        CHECK(r.frames[0].file && strstr(r.frames[0].file, "test_symbolizer.c"));
        CHECK(r.frames[0].file && (*r.frames[0].file == '/' || r.frames[0].directory));
        CHECK_STR(r.frames[0].symbol, "target");
        CHECK(r.frames[0].column > 0);
        CHECK(!r.frames[0].inlined);
        CHECK_STR(r.debug_path, self);
        if (CHECK_INT(r.frames[0].n_context, 5)) {
            CHECK_INT(r.frames[0].n_before, 2);
            CHECK(strstr(r.frames[0].context[2], "static int target(int x)"));
        }
    }
    knell_symbolizer_free(s);
}

static void return_addresses_are_one_less(void)
{
    struct knell_symbolizer *s;
    struct knell_symbol_result r;
    /* The instruction before a function's first belongs to another function. */
    CHECK_INT(ask(NULL, self_module(), target_pc(), KNELL_FRAME_RETURN, &r, &s), 0);
    CHECK(r.n_frames == 0 || strcmp(r.frames[0].function, "target") != 0);
    knell_symbolizer_free(s);
    CHECK_INT(ask(NULL, self_module(), target_pc() + 1, KNELL_FRAME_RETURN, &r, &s), 0);
    if (CHECK_INT(r.n_frames, 1))
        CHECK_STR(r.frames[0].function, "target");
    knell_symbolizer_free(s);
}

static void statuses_differ(void)
{
    struct knell_symbol_module m = self_module();
    uint8_t other[20] = {1, 2, 3};
    m.build_id = other;
    expect_status(NULL, m, KNELL_SYMBOL_MISMATCH);
    m = self_module();
    m.path = "/nonexistent/program";
    expect_status(NULL, m, KNELL_SYMBOL_MISSING);
    m = self_module();
    m.path = "/etc/passwd";
    expect_status(NULL, m, KNELL_SYMBOL_MALFORMED);
    m = self_module();
    m.build_id = NULL;
    m.n_build_id = 0;
    expect_status(NULL, m, KNELL_SYMBOL_UNVERIFIED);
    struct knell_symbolize_options o = {.size = sizeof o, .max_memory_bytes = 4096};
    expect_status(&o, self_module(), KNELL_SYMBOL_TOO_LARGE);
    m = self_module();
    m.size = 1;
    expect_status(NULL, m, KNELL_SYMBOL_NO_MODULE);
}

/* What the debug information costs is over the limit, what the symbols cost is not. */
static void too_large_still_names(void)
{
    int named = 0, nothing = 0;
    for (uint64_t max = 1; max < UINT64_C(1) << 30; max *= 2) {
        struct knell_symbolizer *s;
        struct knell_symbol_result r;
        struct knell_symbolize_options o = {.size = sizeof o, .max_memory_bytes = max};
        CHECK_INT(ask(&o, self_module(), target_pc(), KNELL_FRAME_EXACT, &r, &s), 0);
        if (r.status == KNELL_SYMBOL_TOO_LARGE && r.n_frames) {
            named++;
            CHECK_STR(r.frames[0].function, "target");
            CHECK_INT(r.frames[0].line, 0);
            CHECK_INT(r.debug_status, KNELL_SYMBOL_TOO_LARGE);
        } else if (r.status != KNELL_SYMBOL_OK) {
            CHECK_INT(r.status, KNELL_SYMBOL_TOO_LARGE);
            nothing++;
        }
        knell_symbolizer_free(s);
    }
    CHECK(named > 0);
    CHECK(nothing > 0);
}

static void batch_keeps_order(void)
{
    enum { N = 1000 };
    static struct knell_symbol_query q[N];
    static struct knell_symbol_result r[N];
    struct knell_symbolizer *s;
    struct knell_symbol_module m[2] = {self_module(), self_module()};
    m[1].base += 0x20000000;
    for (uint32_t i = 0; i < N; i++)
        q[i] = (struct knell_symbol_query){.module = i % 3 == 2 ? UINT32_MAX : i % 3,
            .pc = target_pc() + (i % 3 == 1 ? 0x20000000 : 0) + (i * 7) % 5};
    if (!CHECK_INT(knell_symbolizer_new(NULL, &s), 0))
        return;
    CHECK_INT(knell_symbolize(s, m, 2, q, N, r), 0);
    for (uint32_t i = 0; i < N; i++) {
        if (i % 3 == 2)
            CHECK_INT(r[i].status, KNELL_SYMBOL_NO_MODULE);
        else if (CHECK_INT(r[i].n_frames, 1))
            CHECK_INT(r[i].frames[0].function_address,
                target_pc() + (i % 3 == 1 ? 0x20000000 : 0));
    }
    knell_symbolizer_free(s);
}

/* Two modules that claim the same addresses, one of them under another build-id: each
 * question is of the module that it names. */
static void modules_may_overlap(void)
{
    struct knell_symbolizer *s;
    uint8_t other[20] = {4, 5, 6};
    struct knell_symbol_module m[3] = {self_module(), self_module(), self_module()};
    struct knell_symbol_query q[3] = {{0, target_pc(), KNELL_FRAME_EXACT},
        {1, target_pc(), KNELL_FRAME_EXACT}, {2, target_pc() + 1, KNELL_FRAME_RETURN}};
    struct knell_symbol_result r[3];
    m[1].build_id = other;
    if (!CHECK_INT(knell_symbolizer_new(NULL, &s), 0))
        return;
    CHECK_INT(knell_symbolize(s, m, 3, q, 3, r), 0);
    CHECK_INT(r[0].status, KNELL_SYMBOL_OK);
    CHECK_INT(r[1].status, KNELL_SYMBOL_MISMATCH);
    CHECK_INT(r[1].n_frames, 0);
    CHECK_INT(r[2].status, KNELL_SYMBOL_OK);
    CHECK(r[2].n_frames == 1 && !strcmp(r[2].frames[0].function, "target"));
    knell_symbolizer_free(s);
}

static void vdso_from_its_image(void)
{
    const uint8_t *image = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
    if (!image) {
        test_skip("no vDSO");
        return;
    }
    struct elf_file f;
    struct knell_symbol_module m = {
        .path = "linux-gate.so", .image = image, .n_image = 8192, .base = 0x7000000};
    if (elf_file_of_image(image, m.n_image, &f) < 0) {
        m.n_image = 4096;
        if (!CHECK_INT(elf_file_of_image(image, m.n_image, &f), 0))
            return;
    }
    elf_file_done(&f);
    struct knell_symbolizer *s;
    static struct knell_symbol_query q[256];
    static struct knell_symbol_result r[256];
    for (uint32_t i = 0; i < 256; i++)
        q[i] = (struct knell_symbol_query){.pc = m.base + i * 32};
    if (!CHECK_INT(knell_symbolizer_new(NULL, &s), 0))
        return;
    CHECK_INT(knell_symbolize(s, &m, 1, q, 256, r), 0);
    int clock = 0;
    for (uint32_t i = 0; i < 256; i++)
        clock +=
            r[i].n_frames && strstr(r[i].frames[0].function, "clock_gettime") != NULL;
    CHECK(clock > 0);
    knell_symbolizer_free(s);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st;
    (void)type;
    (void)f;
    return remove(path);
}

static const char *cache_dir(void)
{
    static char dir[PATH_MAX];
    (void)snprintf(dir, sizeof dir, "%s/cache", tmp);
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return dir;
}

/* The cache file of this program, or "". */
static const char *cache_file(const char *dir)
{
    static char path[2 * PATH_MAX];
    size_t n = (size_t)snprintf(path, sizeof path, "%s/", dir);
    for (size_t i = 0; i < own.n_build_id; i++)
        n += (size_t)snprintf(path + n, sizeof path - n, "%02x", own.build_id[i]);
    (void)snprintf(path + n, sizeof path - n, ".ksym");
    return path;
}

static void ask_through(const char *dir, bool expect_ok)
{
    struct knell_symbolizer *s;
    struct knell_symbol_result r;
    struct knell_symbolize_options o = {.size = sizeof o, .cache_dir = dir};
    CHECK_INT(ask(&o, self_module(), target_pc(), KNELL_FRAME_EXACT, &r, &s), 0);
    if (expect_ok && CHECK_INT(r.status, KNELL_SYMBOL_OK)) {
        CHECK_STR(r.frames[0].function, "target");
        CHECK_INT(r.frames[0].line, TARGET_LINE);
    }
    knell_symbolizer_free(s);
}

static void cache_answers_without_the_file(void)
{
    const char *dir = cache_dir();
    ask_through(dir, true);
    struct cache *c;
    if (!CHECK_INT(cache_open(dir, own.build_id, own.n_build_id, &c), 0))
        return;
    CHECK(!c->head.complete);
    cache_free(c);
    struct knell_symbolizer *s;
    struct knell_symbol_result r;
    struct knell_symbolize_options o = {.size = sizeof o, .cache_dir = dir};
    struct knell_symbol_module m = self_module();
    m.path = "/nonexistent/program";
    CHECK_INT(ask(&o, m, target_pc(), KNELL_FRAME_EXACT, &r, &s), 0);
    CHECK_INT(r.status, KNELL_SYMBOL_OK);
    CHECK_STR(r.debug_path, self);
    knell_symbolizer_free(s);
}

/* A flipped bit is found, or does no harm: the answer stays right. */
static void cache_bit_flips(void)
{
    const char *dir = cache_dir();
    ask_through(dir, true);
    FILE *f = fopen(cache_file(dir), "rb");
    static uint8_t bytes[1 << 22];
    size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    if (f)
        (void)fclose(f);
    if (!CHECK(n > 4096 && n < sizeof bytes))
        return;
    for (size_t at = 0; at < n; at += n < 20000 ? 97 : n / 200) {
        int fd = open(cache_file(dir), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        bytes[at] ^= (uint8_t)(1u << at % 8);
        CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
        bytes[at] ^= (uint8_t)(1u << at % 8);
        (void)close(fd);
        ask_through(dir, true);
    }
}

enum { SPREAD = 4 };

/* Ask for addresses all over the program's code, the program being gone. */
static void ask_spread(const char *dir, bool sound)
{
    struct knell_symbolizer *s;
    struct knell_symbol_module m = self_module();
    struct knell_symbol_query q[SPREAD];
    struct knell_symbol_result r[SPREAD];
    struct knell_symbolize_options o = {.size = sizeof o, .cache_dir = dir};
    m.path = "/nonexistent/program";
    for (uint32_t i = 0; i < SPREAD; i++)
        q[i] = (struct knell_symbol_query){.pc = target_pc() + UINT64_C(1024) * i};
    if (!CHECK_INT(knell_symbolizer_new(&o, &s), 0))
        return;
    CHECK_INT(knell_symbolize(s, &m, 1, q, SPREAD, r), 0);
    if (r[0].status == KNELL_SYMBOL_OK && CHECK(r[0].n_frames > 0))
        CHECK_STR(r[0].frames[0].function, "target");
    for (uint32_t i = 0; i < SPREAD; i++) {
        CHECK(!sound || r[i].status != KNELL_SYMBOL_MISSING);
        for (uint32_t k = 0; k < r[i].n_frames; k++)
            CHECK(!r[i].frames[k].function || *r[i].frames[k].function);
        if (r[i].status == KNELL_SYMBOL_MISSING)
            CHECK(!r[i].n_frames && !r[i].frames && !r[i].debug_path);
    }
    knell_symbolizer_free(s);
}

/* A page that is damaged shows when half of the answers are made. They point into the
 * cache, and there is no file to make others from. */
static void cache_pages_flip_without_the_file(void)
{
    const char *dir = cache_dir();
    static const char *const no_dirs[] = {NULL};
    const struct debug_places places = {.debug_dirs = no_dirs};
    struct budget budget = {0};
    struct build_result built;
    CHECK_INT(build_cache(self, &places, dir, UINT64_MAX, &budget, &built), 0);
    ask_spread(dir, true);
    int fd = open(cache_file(dir), O_RDWR);
    off_t n = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    CHECK(n > 16 * CACHE_PAGE_BYTES);
    for (off_t at = CACHE_PAGE_BYTES / 2; at < n; at += CACHE_PAGE_BYTES) {
        uint8_t byte = 0, other;
        CHECK_INT(pread(fd, &byte, 1, at), 1);
        other = byte ^ 1;
        CHECK_INT(pwrite(fd, &other, 1, at), 1);
        ask_spread(dir, false);
        CHECK_INT(pwrite(fd, &byte, 1, at), 1);
    }
    if (fd >= 0)
        (void)close(fd);
}

static void cache_of_others_is_not_used(void)
{
    const char *dir = cache_dir();
    struct cache *c;
    ask_through(dir, true);
    CHECK_INT(chmod(dir, 0777), 0);
    CHECK_INT(cache_open(dir, own.build_id, own.n_build_id, &c), -EPERM);
    ask_through(dir, true);
    CHECK_INT(chmod(dir, 0700), 0);
    CHECK_INT(chmod(cache_file(dir), 0666), 0);
    CHECK_INT(cache_open(dir, own.build_id, own.n_build_id, &c), -EPERM);
    CHECK_INT(unlink(cache_file(dir)), 0);
    CHECK_INT(symlink("/etc/passwd", cache_file(dir)), 0);
    CHECK_INT(cache_open(dir, own.build_id, own.n_build_id, &c), -ELOOP);
    ask_through(dir, true);
}

static void cache_trims_the_oldest(void)
{
    const char *dir = cache_dir();
    char path[2 * PATH_MAX];
    struct cache_usage u;
    CHECK_INT(mkdir(dir, 0700), 0);
    for (int i = 0; i < 5; i++) {
        (void)snprintf(path, sizeof path, "%s/%02d.ksym", dir, i);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        struct timespec t[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
        CHECK(fd >= 0 && ftruncate(fd, 1000) == 0 && futimens(fd, t) == 0);
        (void)close(fd);
    }
    (void)snprintf(path, sizeof path, "%s/.1.2.tmp", dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    CHECK(fd >= 0 && futimens(fd, old) == 0);
    (void)close(fd);
    CHECK_INT(cache_trim(dir, 2500, &u), 0);
    CHECK_INT(u.n_files, 2);
    CHECK_INT(u.n_removed, 3);
    CHECK_INT(access(path, F_OK), -1);
    (void)snprintf(path, sizeof path, "%s/04.ksym", dir);
    CHECK_INT(access(path, F_OK), 0);
}

/* Many writers of one cache, each killed at some step or not: what is there is sound. */
static void cache_writers_and_kills(void)
{
    const char *dir = cache_dir();
    pid_t pids[32];
    for (int i = 0; i < 32; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            for (int k = 0; k < 4; k++) {
                ask_through(dir, true);
                (void)unlink(cache_file(dir));
            }
            ask_through(dir, true);
            _exit(0);
        }
    }
    for (int i = 0; i < 32; i++) {
        if (i % 2) {
            (void)usleep((useconds_t)(1000 * i));
            (void)kill(pids[i], SIGKILL);
        }
    }
    for (int i = 0; i < 32; i++) {
        int status;
        CHECK_INT(waitpid(pids[i], &status, 0), pids[i]);
        if (i % 2 == 0)
            CHECK_INT(status, 0);
    }
    ask_through(dir, true);
    struct cache *c;
    if (CHECK_INT(cache_open(dir, own.build_id, own.n_build_id, &c), 0)) {
        struct table t;
        if (CHECK_INT(cache_copy(c, &t), 0))
            table_done(&t);
        cache_free(c);
    }
}

static void deadline_is_a_status(void)
{
    struct knell_symbolizer *s;
    struct knell_symbol_query q = {.pc = target_pc()};
    struct knell_symbol_result r;
    struct knell_symbol_module m = self_module();
    struct knell_symbolize_options o = {.size = sizeof o, .deadline_ms = 1};
    if (!CHECK_INT(knell_symbolizer_new(&o, &s), 0))
        return;
    (void)usleep(3000);
    CHECK_INT(knell_symbolize(s, &m, 1, &q, 1, &r), 0);
    CHECK_STR(knell_symbol_status_name(r.status), "timeout");
    if (CHECK_INT(r.n_frames, 1))
        CHECK_STR(r.frames[0].function, "target");
    knell_symbolizer_free(s);
}

static bool copy_self(const char *to)
{
    FILE *in = fopen(self, "rb"), *out = fopen(to, "wb");
    static char piece[1 << 16];
    size_t n = 0;
    while (in && out && (n = fread(piece, 1, sizeof piece, in)) > 0 &&
           fwrite(piece, 1, n, out) == n)
        ;
    if (in)
        (void)fclose(in);
    return out && fclose(out) == 0 && n == 0;
}

static bool put_new(const char *dir, const struct wish *w, bool garbage)
{
    char hex[WISH_HEX_BYTES], path[256];
    wish_hex(w, hex);
    (void)snprintf(path, sizeof path, "%s/%s", dir, hex);
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return false;
    (void)snprintf(path, sizeof path, "%s/%s/%s", dir, hex, wish_new_name(w->kind));
    if (!garbage)
        return copy_self(path);
    FILE *f = fopen(path, "w");
    return f && fputs("\177ELF?", f) >= 0 && fclose(f) == 0;
}

/* What is missing becomes a wish; a file that arrives and fits answers. */
static void wishes_come_true(void)
{
    struct knell_symbol_module m = self_module();
    struct knell_symbol_query q = {.pc = target_pc()};
    struct knell_symbol_result r;
    struct knell_symbolizer *s;
    struct wishes w = {0};
    char dir[64];
    (void)snprintf(dir, sizeof dir, "%s/fetched", tmp);
    CHECK_INT(mkdir(dir, 0700), 0);
    struct knell_symbolize_options o = {.size = sizeof o, .fetched_dir = dir};
    m.path = "/nonexistent/program";
    CHECK_INT(ask(&o, m, q.pc, q.kind, &r, &s), 0);
    CHECK(wish_worthy(r.debug_status));
    knell_symbolizer_free(s);
    wishes_add(&w, m.build_id, m.n_build_id, WISH_DEBUGINFO);
    wishes_add(&w, m.build_id, m.n_build_id, WISH_DEBUGINFO);
    wishes_add(&w, m.build_id, 1, WISH_DEBUGINFO); /* no build-id */
    if (!CHECK_INT(w.n, 1))
        return;
    const struct wish *mine = &w.list[0];
    CHECK_INT(wish_take(dir, mine, UINT64_MAX), WISH_NOT_ASKED);
    CHECK(put_new(dir, mine, false));
    CHECK_INT(wish_take(dir, mine, UINT64_MAX), WISH_GRANTED);
    CHECK_INT(wish_noted(dir, mine, NULL), WISH_NOT_ASKED);
    CHECK_INT(ask(&o, m, q.pc, q.kind, &r, &s), 0);
    if (CHECK_INT(r.status, KNELL_SYMBOL_OK))
        CHECK_STR(r.frames[0].function, "target");
    CHECK_INT(r.debug_status, KNELL_SYMBOL_OK);
    CHECK(!wish_worthy(r.debug_status));
    knell_symbolizer_free(s);
    wishes_leave_out(&w, dir, time(NULL));
    CHECK_INT(w.n, 0); /* it is there */
    wish_take_back(dir, mine);
    wishes_add(&w, m.build_id, m.n_build_id, WISH_DEBUGINFO);
    wishes_leave_out(&w, dir, time(NULL));
    CHECK_INT(w.n, 1);
}

/* The program itself is wished for beside its debug file, and each is its own matter. */
static void executables_are_wished_for(void)
{
    struct wishes w = {0};
    char dir[64];
    (void)snprintf(dir, sizeof dir, "%s/executables", tmp);
    CHECK_INT(mkdir(dir, 0700), 0);
    wishes_add(&w, own.build_id, own.n_build_id, WISH_DEBUGINFO);
    wishes_add(&w, own.build_id, own.n_build_id, WISH_EXECUTABLE);
    wishes_add(&w, own.build_id, own.n_build_id, WISH_EXECUTABLE);
    if (!CHECK_INT(w.n, 2))
        return;
    CHECK(put_new(dir, &w.list[1], true));
    CHECK_INT(wish_take(dir, &w.list[1], UINT64_MAX), WISH_MALFORMED);
    CHECK_INT(wish_noted(dir, &w.list[1], NULL), WISH_MALFORMED);
    CHECK_INT(wish_noted(dir, &w.list[0], NULL), WISH_NOT_ASKED);
    CHECK(put_new(dir, &w.list[1], false));
    CHECK_INT(wish_take(dir, &w.list[0], UINT64_MAX), WISH_NOT_ASKED);
    CHECK_INT(wish_take(dir, &w.list[1], UINT64_MAX), WISH_GRANTED);
    CHECK_INT(wish_noted(dir, &w.list[1], NULL), WISH_NOT_ASKED);
    wishes_leave_out(&w, dir, time(NULL));
    CHECK(w.n == 1 && w.list[0].kind == WISH_DEBUGINFO);
    /* It names functions, too, where the program is gone. */
    struct knell_symbol_module m = self_module();
    struct knell_symbol_result r;
    struct knell_symbolizer *s;
    struct knell_symbolize_options o = {.size = sizeof o, .fetched_dir = dir};
    m.path = "/nonexistent/program";
    CHECK_INT(ask(&o, m, target_pc(), KNELL_FRAME_EXACT, &r, &s), 0);
    if (CHECK(r.n_frames > 0))
        CHECK_STR(r.frames[0].function, "target");
    knell_symbolizer_free(s);
}

/* What arrives and does not fit is refused, and not asked for again for a while. */
static void wishes_refused(void)
{
    struct wishes w = {0};
    char dir[64];
    int64_t now = time(NULL), when = 0;
    (void)snprintf(dir, sizeof dir, "%s/refused", tmp);
    CHECK_INT(mkdir(dir, 0700), 0);
    wishes_add(&w, own.build_id, own.n_build_id, WISH_DEBUGINFO);
    struct wish mine = w.list[0], other = mine;
    other.build_id[0] ^= 1;
    CHECK(put_new(dir, &other, false));
    CHECK_INT(wish_take(dir, &other, UINT64_MAX), WISH_MISMATCH);
    CHECK_INT(wish_noted(dir, &other, &when), WISH_MISMATCH);
    CHECK(when >= now - 1);
    CHECK_INT(wish_take(dir, &other, UINT64_MAX), WISH_NOT_ASKED); /* it is gone */
    CHECK(put_new(dir, &mine, false));
    CHECK_INT(wish_take(dir, &mine, 100), WISH_TOO_LARGE);
    CHECK(put_new(dir, &mine, true));
    CHECK_INT(wish_take(dir, &mine, UINT64_MAX), WISH_MALFORMED);
    static const struct {
        enum wish_answer answer;
        int64_t believed_s;
    } rows[] = {{WISH_MISSING, 3600}, {WISH_TIMEOUT, 3600}, {WISH_LOCAL, 3600},
        {WISH_MISMATCH, 86400}, {WISH_MALFORMED, 86400}, {WISH_NO_DEBUG, 86400},
        {WISH_TOO_LARGE, 86400}, {WISH_UNREACHABLE, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wishes early = w, late = w, before = w;
        CHECK_INT(wish_note(dir, &mine, rows[i].answer), 0);
        CHECK_INT(wish_noted(dir, &mine, &when), rows[i].answer);
        wishes_leave_out(&early, dir, when + rows[i].believed_s - 1);
        wishes_leave_out(&late, dir, when + rows[i].believed_s);
        wishes_leave_out(&before, dir, when - 1); /* the clock was set back */
        CHECK_INT(early.n, rows[i].believed_s == 0);
        CHECK_INT(late.n, 1);
        CHECK_INT(before.n, 1);
    }
}

static void bad_options(void)
{
    struct knell_symbolizer *s;
    struct knell_symbolize_options o = {0};
    CHECK_INT(knell_symbolizer_new(&o, &s), -EINVAL);
    CHECK_INT(knell_symbolizer_new(NULL, NULL), -EINVAL);
    knell_symbolizer_free(NULL);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {TEST(finds_itself),
        TEST(return_addresses_are_one_less), TEST(statuses_differ),
        TEST(too_large_still_names), TEST(batch_keeps_order), TEST(modules_may_overlap),
        TEST(vdso_from_its_image), TEST(cache_answers_without_the_file),
        TEST(cache_bit_flips), TEST(cache_pages_flip_without_the_file),
        TEST(cache_of_others_is_not_used), TEST(cache_trims_the_oldest),
        TEST(cache_writers_and_kills), TEST(deadline_is_a_status), TEST(wishes_come_true),
        TEST(executables_are_wished_for), TEST(wishes_refused), TEST(bad_options)};
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0 || !mkdtemp(tmp) || elf_file_open(self, &own) < 0 || target(1) != 4) {
        perror("set-up");
        return 1;
    }
    int code = test_run(tests, sizeof tests / sizeof *tests, argc, argv);
    elf_file_done(&own);
    (void)nftw(tmp, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return code;
}
