#include "crash/handler/mend.h"

#include "crash/handler/sys.h"
#include <errno.h>
#include <sys/mman.h>

#include "crash/handler/poison.h"

enum { NO_SUCH_REQUEST = -1, WORST_ERRNO = 4095 };

/* All atomic. */
static struct {
    uint64_t start; /* 0: none */
    uint64_t n_bytes;
    uint32_t has_lost;
} mapped[KN_N_MENDED];

void kn_mend_watch(enum kn_mended what, const void *base, size_t n_bytes)
{
    __atomic_store_n(&mapped[what].start, 0, __ATOMIC_RELEASE);
    if (!base)
        return;
    __atomic_store_n(&mapped[what].n_bytes, n_bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&mapped[what].has_lost, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&mapped[what].start, (uint64_t)base, __ATOMIC_RELEASE);
}

bool kn_mend_has_lost(enum kn_mended what)
{
    return __atomic_load_n(&mapped[what].has_lost, __ATOMIC_RELAXED);
}

/* What can be read is asked of the kernel, see memory.c. */
static void copy_readable(uint64_t to, uint64_t from, uint64_t n_bytes)
{
    if (KN_SYS4(SYS_rt_sigprocmask, NO_SUCH_REQUEST, from, 0, sizeof(uint64_t)) !=
        -EINVAL)
        return;
    for (uint64_t at = 0; at < n_bytes; at += sizeof(uint64_t))
        *(volatile uint64_t *)(uintptr_t)(to + at) =
            *(const volatile uint64_t *)(uintptr_t)(from + at);
}

static bool replace(uint64_t start, uint64_t n_bytes)
{
    long fresh = KN_SYS6(
        SYS_mmap, 0, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh < 0 && fresh >= -WORST_ERRNO)
        return false;
    copy_readable((uint64_t)fresh, start, n_bytes);
    long r = KN_SYS6(
        SYS_mremap, fresh, n_bytes, n_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, start, 0);
    if (r >= 0 || r < -WORST_ERRNO)
        return true;
    (void)KN_SYS2(SYS_munmap, fresh, n_bytes);
    return false;
}

bool kn_mend(const struct kn_process *p, int signo, const siginfo_t *info)
{
    if (signo != SIGBUS || info->si_code != BUS_ADRERR || !p->page)
        return false;
    const uint64_t at = (uint64_t)info->si_addr;
    for (int i = 0; i < KN_N_MENDED; i++) {
        uint64_t start = __atomic_load_n(&mapped[i].start, __ATOMIC_ACQUIRE);
        if (!start || at < start || at - start >= mapped[i].n_bytes ||
            !replace(at - at % p->page, p->page))
            continue;
        __atomic_store_n(&mapped[i].has_lost, 1, __ATOMIC_RELAXED);
        return true;
    }
    return false;
}
