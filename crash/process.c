#include "crash/process.h"

#include "crash/cpu.h"
#include "crash/handler/regs.h"
#include "crash/modules.h"
#include "crash/runtime.h"
#include <errno.h>
#include <fcntl.h>
#include <knell/spool.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    RESERVED_BYTES = 1 << 20, /* one report of about a hundred threads */
    FILLED_BYTES = 128 * 1024,
    VDSO_BYTES = 2 * 4096, /* at least; the tables say how much it is */
    TOUCHED_THREADS = 64,
    TOUCHED_MAPS = 1024,
};

/* The address of argc when the process began: above lie arguments and environment. */
extern void *__libc_stack_end;

static void map_dump(struct kn_process *p, int fd)
{
    void *map = mmap(NULL, FILLED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return;
    if (madvise(map, FILLED_BYTES, MADV_DONTFORK)) {
        (void)munmap(map, FILLED_BYTES);
        return;
    }
    p->dump_map = (uint8_t *)map;
    p->n_dump_map = FILLED_BYTES;
}

int kn_process_reserve(
    struct kn_process *p, const struct kn_spool *spool, const char *stem)
{
    int fd, r = kn_spool_create_live(spool, stem, KNELL_SPOOL_SUFFIX, &fd);
    if (r)
        return r;
    const struct kn_file file = kn_file_of(fd);
    if (file.fd < 0) {
        r = -errno;
        kn_spool_remove_live(spool, stem, KNELL_SPOOL_SUFFIX);
        return r;
    }
    /* The first commit's part is written with zeros: once those are on the disk, making
     * the commit durable means data only, no work of the file system's own journal.
     * Beyond RLIMIT_FSIZE this would not only fail, it would raise SIGXFSZ. */
    struct rlimit limit;
    off_t n = RESERVED_BYTES;
    if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur < (rlim_t)n)
        n = (off_t)limit.rlim_cur;
    if (n > 0)
        (void)fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, n);
    static const char zeros[4096]; /* again and again: little to have in memory */
    struct iovec parts[FILLED_BYTES / sizeof zeros];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        parts[i] =
            (struct iovec){.iov_base = (void *)(uintptr_t)zeros, .iov_len = sizeof zeros};
    bool filled = n >= FILLED_BYTES &&
                  writev(fd, parts, sizeof parts / sizeof *parts) == FILLED_BYTES;
    if (filled)
        map_dump(p, fd);
    else
        (void)ftruncate(fd, 0); /* the capture finds out by itself */
    p->dump = file;
    p->has_file = true;
    return 0;
}

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t capture_bytes(uint32_t max_threads)
{
    size_t page = page_bytes();
    return (kn_capture_bytes(max_threads) + page - 1) / page * page;
}

static void touch(void *p, size_t n)
{
    for (size_t i = 0; i < n; i += 4096)
        ((volatile char *)p)[i] = 0;
}

int kn_process_new_capture(
    struct kn_process *p, uint32_t max_threads, struct kn_capture **ret)
{
    size_t page = page_bytes(), n = capture_bytes(max_threads);
    char *map = (char *)mmap(NULL, n + 2 * page, PROT_NONE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return -errno;
    if (mprotect(map + page, n, PROT_READ | PROT_WRITE)) {
        int r = -errno;
        (void)munmap(map, n + 2 * page);
        return r;
    }
    (void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, map + page, n, "knell handler");
    struct kn_capture *c = kn_capture_at(map + page, max_threads, p);
    /* Memory may have run out when it is needed. */
    touch(c->notes, sizeof c->notes);
    touch(c->frames, sizeof *c - offsetof(struct kn_capture, frames));
    uint32_t n_threads = max_threads < TOUCHED_THREADS ? max_threads : TOUCHED_THREADS;
    touch(c->threads, n_threads * sizeof *c->threads);
    touch(c->maps, TOUCHED_MAPS * sizeof *c->maps);
    *ret = c;
    return 0;
}

void kn_process_free_capture(struct kn_capture *c)
{
    if (!c)
        return;
    size_t page = page_bytes();
    (void)munmap((char *)c - page, capture_bytes(c->max_threads) + 2 * page);
}

static void find_vdso(struct kn_process *p)
{
    p->vdso = getauxval(AT_SYSINFO_EHDR);
    for (uint32_t i = 0; p->vdso && i < p->modules.n; i++) {
        if (p->modules.all[i].base == p->vdso)
            p->n_vdso = p->modules.all[i].size;
    }
    if (p->vdso && !p->n_vdso)
        p->n_vdso = VDSO_BYTES;
}

int kn_process_ask_loader(struct kn_process *p, const char *executable)
{
    int r = kn_modules_init(&p->modules, executable);
    if (r < 0)
        return r;
    p->abort_message = kn_abort_message();
    kn_cxx_init(&p->cxx);
    return 0;
}

void kn_process_init(struct kn_process *p, const struct kn_settings *settings,
    const struct kn_identity *id, const struct kn_spool *spool,
    const struct kn_journal *journal, const char *stem)
{
    p->pid = (int32_t)id->pid;
    p->live = spool->live;
    p->fresh = spool->fresh;
    p->proc =
        kn_file_of(kn_fd_high(open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC)));
    p->spare = kn_file_of(fcntl(spool->dir.fd, F_DUPFD_CLOEXEC, spool->dir.fd));
    kn_copy_text(p->spool_path, sizeof p->spool_path, spool->path);
    (void)snprintf(p->live_name, sizeof p->live_name, "%s" KNELL_SPOOL_SUFFIX, stem);
    memcpy(p->event_id, id->event_id, sizeof p->event_id);
    memcpy(p->boot_id, id->boot_id, sizeof p->boot_id);
    p->journal = journal->head;
    p->image = journal->head;
    p->n_journal = journal->n_bytes;
    p->words = journal->words;
    p->page = page_bytes();
    find_vdso(p);
    p->main_stack_end = (uint64_t)__libc_stack_end;
    kn_copy_text(p->os, sizeof p->os, id->os);
    p->system = (struct knell_md_system_info){.arch = KN_ARCH,
        .platform = KNELL_MINIDUMP_PLATFORM_LINUX,
        .n_cpus = (uint8_t)(kn_cpus() < UINT8_MAX ? kn_cpus() : UINT8_MAX)};
    kn_cpu_describe(&p->system);
    p->start_realtime_ns = id->start_realtime_ns;
    p->deadline_ms = settings->deadline_ms;
    p->sanitizes = settings->sanitize;
}

void kn_process_done(struct kn_process *p)
{
    kn_file_close(&p->dump);
    kn_file_close(&p->proc);
    kn_file_close(&p->spare);
    if (p->dump_map)
        (void)munmap(p->dump_map, p->n_dump_map);
    p->dump_map = NULL;
    p->live.fd = p->fresh.fd = -1;
    p->has_file = false;
}
