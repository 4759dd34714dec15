/* Several files that refer to each other: a program, the debug file of its debuglink, the
 * one of its build-id, a dwz alternate file, a .dwp package and a .dwo. One part of the
 * input each, preceded by a byte of switches; an empty part is a file that is not there.
 */
#include "fuzz.h"
#include "symbolize/elf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <knell/symbolize.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* The build-id of all seeds. */
static const uint8_t build_id[] = {0xa7, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77};

static const char *const names[] = {"main", "main.debug",
    "dbg/.build-id/a7/11223344556677.debug", "alt", "main.dwp", "main.dwo"};

enum { N_FILES = sizeof names / sizeof *names };
enum { NO_BUILD_ID = 1, STORED = 2 }; /* of the first byte */

static const char in_store[] = "store/a711223344556677/debuginfo";
static char folder[64];

static void remove_folder(void)
{
    static const char *const more[] = {in_store, "store/a711223344556677", "store",
        "dbg/.build-id/a7", "dbg/.build-id", "dbg", ""};
    char path[256];
    for (size_t i = 0; i < N_FILES + sizeof more / sizeof *more; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder,
            i < N_FILES ? names[i] : more[i - N_FILES]);
        (void)remove(path);
    }
}

static void make_folder(void)
{
    static const char *const inner[] = {
        "dbg", "dbg/.build-id", "dbg/.build-id/a7", "store", "store/a711223344556677"};
    char path[256];
    bool memory = access("/dev/shm", W_OK) == 0;
    (void)snprintf(
        folder, sizeof folder, "%s/knell-fuzz-XXXXXX", memory ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder) || atexit(remove_folder) != 0)
        abort();
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, inner[i]);
        if (mkdir(path, 0700) < 0)
            abort();
    }
}

static void put_file(const char *name, struct fuzz_input part)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!part.n) {
        (void)unlink(path);
        return;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, part.p, part.n) != (ssize_t)part.n)
        abort();
    (void)close(fd);
}

/* The link's checksum is made right, else no changed debug file would be read. */
static void repair_link(struct fuzz_input debug)
{
    char path[256];
    struct elf_file f;
    (void)snprintf(path, sizeof path, "%s/%s", folder, names[0]);
    if (elf_file_open(path, &f) < 0)
        return;
    const struct elf_section *s = elf_file_section(&f, ".gnu_debuglink");
    if (s && s->n_bytes >= 8 && s->offset <= f.n_bytes &&
        s->n_bytes <= f.n_bytes - s->offset) {
        uint32_t crc = (uint32_t)crc32(0, debug.p, (uInt)debug.n);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || pwrite(fd, &crc, 4, (off_t)(s->offset + s->n_bytes - 4)) != 4)
            abort();
        (void)close(fd);
    }
    elf_file_done(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    enum { N = 32 };
    struct knell_symbol_query q[N];
    struct knell_symbol_result r[N];
    struct fuzz_input in = {data, n}, debug = {0};
    struct knell_symbolizer *s;
    char debug_dir[] = "/dbg", store[128];
    if (n == 0)
        return 0;
    if (!*folder)
        make_folder();
    uint8_t switches = *in.p++;
    in.n--;
    for (size_t i = 0; i < N_FILES; i++) {
        struct fuzz_input part = fuzz_part(&in), none = {0};
        bool stored = i == 2 && switches & STORED;
        put_file(names[i], stored ? none : part);
        if (i == 1)
            debug = part;
        if (i == 2)
            put_file(in_store, stored ? part : none);
    }
    repair_link(debug);
    (void)snprintf(store, sizeof store, "%s/store", folder);
    const char *const dirs[] = {debug_dir, NULL};
    struct knell_symbolize_options o = {.size = sizeof o,
        .debug_dirs = dirs,
        .store_dir = switches & STORED ? store : NULL,
        .sysroot = folder,
        .max_memory_bytes = 64 << 20,
        .deadline_ms = 2000};
    struct knell_symbol_module m = {.path = "/main", .base = 0x10000000};
    if (!(switches & NO_BUILD_ID)) {
        m.build_id = build_id;
        m.n_build_id = sizeof build_id;
    }
    for (uint32_t i = 0; i < N; i++)
        q[i] = (struct knell_symbol_query){.pc = m.base + i * 16};
    if (knell_symbolizer_new(&o, &s) < 0)
        return 0;
    if (knell_symbolize(s, &m, 1, q, N, r) == 0) {
        for (int i = 0; i < N; i++) {
            if (r[i].status == KNELL_SYMBOL_OK && !r[i].n_frames)
                abort();
        }
    }
    knell_symbolizer_free(s);
    return 0;
}
