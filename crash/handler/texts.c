#include "crash/handler/texts.h"

#include "crash/handler/digits.h"
#include "crash/handler/maps.h"
#include "crash/handler/minidump.h"
#include "crash/handler/proc.h"
#include "crash/handler/regs.h"
#include "crash/handler/sanitize.h"
#include <fcntl.h>
#include <sys/resource.h>

#include "crash/handler/poison.h"

enum {
    MAX_TEXT_BYTES = 16 * 1024,
    MAX_COUNTED_FDS = 4096,
    INSTRUCTION_BYTES = 16,
    OVERFLOW_REACH_BYTES = 64 * 1024, /* a fault this near to sp is the stack's */
};

static void put_file(struct kn_capture *c, uint32_t type, int fd)
{
    if (fd < 0)
        return;
    kn_sink_align(&c->sink, 4);
    uint32_t at = kn_sink_at(&c->sink), n = 0;
    while (n < MAX_TEXT_BYTES) {
        long got = KN_SYS3(SYS_read, fd, c->scratch, sizeof c->scratch);
        if (got <= 0)
            break;
        kn_sink_put(&c->sink, c->scratch, (size_t)got);
        n += (uint32_t)got;
    }
    kn_close(fd);
    if (n)
        kn_stream(c, type, at, n);
}

static void fact(struct kn_text *t, const char *key, uint64_t value)
{
    kn_text_put(t, key);
    kn_text_put(t, "=");
    kn_text_dec(t, value);
    kn_text_put(t, "\n");
}

/* Up to MAX_COUNTED_FDS: counting is a walk over the table. */
static void count_descriptors(struct kn_capture *c, struct kn_text *t)
{
    int dir = kn_proc_open(c, "fd", O_DIRECTORY);
    if (dir < 0)
        return;
    uint64_t n_fds = 0;
    long n;
    while (n_fds < MAX_COUNTED_FDS &&
           (n = KN_SYS3(SYS_getdents64, dir, c->scratch, sizeof c->scratch)) > 0) {
        for (long at = 0; at < n; n_fds++) {
            uint16_t n_bytes; /* d_reclen of linux_dirent64, getdents(2) */
            __builtin_memcpy(&n_bytes, c->scratch + at + 16, sizeof n_bytes);
            at += n_bytes;
        }
    }
    kn_close(dir);
    fact(t, "open_fds", n_fds > 3 ? n_fds - 3 : 0); /* ".", ".." and this one */
}

static void put_limits(struct kn_text *t)
{
    static const struct {
        int what;
        const char *key;
    } limits[] = {{RLIMIT_NOFILE, "limit.nofile"}, {RLIMIT_STACK, "limit.stack"},
        {RLIMIT_AS, "limit.as"}, {RLIMIT_CORE, "limit.core"},
        {RLIMIT_FSIZE, "limit.fsize"}, {RLIMIT_NPROC, "limit.nproc"}};
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit r;
        if (KN_SYS4(SYS_prlimit64, 0, limits[i].what, 0, &r))
            continue;
        kn_text_put(t, limits[i].key);
        kn_text_put(t, "=");
        if (r.rlim_cur == RLIM_INFINITY)
            kn_text_put(t, "unlimited");
        else
            kn_text_dec(t, r.rlim_cur);
        kn_text_put(t, "\n");
    }
}

/* A fault just below the stack pointer, where nothing may be read. */
static bool is_stack_overflow(const struct kn_capture *c)
{
    if (!c->info || c->info->si_code <= 0 || (c->signo != SIGSEGV && c->signo != SIGBUS))
        return false;
    uint64_t at = (uint64_t)c->info->si_addr, sp = kn_regs_sp(c->uc);
    uint64_t away = at > sp ? at - sp : sp - at;
    const struct kn_map *m = kn_maps_find(c, at);
    return away < OVERFLOW_REACH_BYTES && (!m || !(m->end_flags & KN_MAP_READ)) &&
           kn_maps_above(c, at, OVERFLOW_REACH_BYTES * 32) != NULL;
}

static void put_fault(struct kn_capture *c, struct kn_text *t)
{
    uint8_t code[INSTRUCTION_BYTES];
    if (kn_sanitize_keeps(c, kn_regs_pc(c->uc)) &&
        !kn_sink_peek(&c->sink, code, kn_regs_pc(c->uc), sizeof code)) {
        kn_text_put(t, "instruction=");
        kn_text_hex_bytes(t, code, sizeof code);
        kn_text_put(t, "\n");
    }
    if (!c->info || c->info->si_code <= 0)
        return;
    const char access[2] = {kn_regs_fault_access(c->uc), 0};
    if (access[0] && c->info->si_code != SI_KERNEL) {
        kn_text_put(t, "fault.access=");
        kn_text_put(t, access[0] == 'w'   ? "write"
                       : access[0] == 'x' ? "execute"
                                          : "read");
        kn_text_put(t, "\n");
    }
    if (is_stack_overflow(c))
        kn_text_put(t, "fault.stack_overflow=1\n");
    if (c->signo != SIGSEGV || c->info->si_code != SI_KERNEL)
        return;
    for (unsigned i = 0; i < KN_N_REGISTERS; i++) {
        const char *name;
        uint64_t v = kn_regs_get(c->uc, i, &name);
        if (!kn_regs_non_canonical(v))
            continue;
        kn_text_put(t, "fault.non_canonical=");
        kn_text_put(t, name);
        kn_text_put(t, ":0x");
        kn_text_hex(t, v, 16);
        kn_text_put(t, "\n");
    }
}

static void put_facts(struct kn_capture *c)
{
    char text[1536];
    struct kn_text t;
    kn_text_init(&t, text, sizeof text);
    uint64_t start = c->process->start_realtime_ns;
    if (start && c->time_ns > start)
        fact(&t, "uptime_ms", (c->time_ns - start) / 1000000);
    fact(&t, "threads", c->n_threads + c->n_threads_dropped);
    if (c->sender[0]) {
        kn_text_put(&t, "sender.name=");
        kn_text_put(&t, c->sender);
        kn_text_put(&t, "\n");
    }
    put_fault(c, &t);
    put_limits(&t);
    count_descriptors(c, &t);
    fact(&t, "capture_us", (kn_now_ns(CLOCK_REALTIME) - c->time_ns) / 1000);
    kn_stream_put(c, KNELL_STREAM_FACTS, text, (uint32_t)t.n);
}

static void put_vdso(struct kn_capture *c)
{
    const struct kn_process *p = c->process;
    if (!p->vdso || !p->n_vdso)
        return;
    kn_sink_align(&c->sink, 16);
    uint32_t at = kn_sink_at(&c->sink);
    kn_memory(c, p->vdso, at, kn_sink_memory(&c->sink, p->vdso, (uint32_t)p->n_vdso));
}

void kn_texts_put(struct kn_capture *c)
{
    put_facts(c);
    put_vdso(c);
    put_file(c, KNELL_STREAM_LINUX_PROC_STATUS, kn_proc_open(c, "status", 0));
    put_file(c, KNELL_STREAM_LINUX_LSB_RELEASE,
        (int)KN_SYS4(SYS_openat, AT_FDCWD, "/etc/os-release", O_RDONLY | O_CLOEXEC, 0));
}
