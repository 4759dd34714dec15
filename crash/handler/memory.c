#include "crash/handler/memory.h"

#include "crash/handler/sys.h"
#include <errno.h>

#include "crash/handler/poison.h"

enum {
    PAGE_BYTES = 4096, /* where pages are larger they are asked about more than once */
    N_PAGES = 32,
    NO_SUCH_REQUEST = -1, /* neither SIG_BLOCK nor its kind */
};

/* Page numbers found readable; by their lowest bits. */
static uint64_t readable[N_PAGES];

void kn_memory_forget(void)
{
    for (unsigned i = 0; i < N_PAGES; i++)
        readable[i] = 0;
}

static bool page_readable(uint64_t page)
{
    if (readable[page % N_PAGES] == page && page)
        return true;
    const uint64_t start = page * PAGE_BYTES;
    if (KN_SYS4(SYS_rt_sigprocmask, NO_SUCH_REQUEST, start, 0, sizeof(uint64_t)) !=
        -EINVAL)
        return false;
    readable[page % N_PAGES] = page;
    return page != 0;
}

/**
 * Whether [address, address + n) can be read. The kernel is asked once per page: it takes
 * a signal set from there before it looks at a request that makes no sense.
 *
 * Context: signal handler.
 * Source: rt_sigprocmask(2), EFAULT before EINVAL. Where an emulator has it the other way
 * round a bad address faults, which ends the step of the capture.
 */
static bool is_readable(uint64_t address, size_t n)
{
    if (!n || address + n < address)
        return !n;
    for (uint64_t page = address / PAGE_BYTES; page <= (address + n - 1) / PAGE_BYTES;
         page++) {
        if (!page_readable(page))
            return false;
    }
    return true;
}

/* Any alignment, and nothing that a sanitizer or the program may have interposed. */
struct word {
    uint64_t value;
} __attribute__((packed));

bool kn_memory_word(uint64_t address, uint64_t *ret)
{
    if (!is_readable(address, sizeof *ret))
        return false;
    *ret = ((const struct word *)address)->value;
    return true;
}

bool kn_memory_copy(void *out, uint64_t address, size_t n)
{
    if (!is_readable(address, n))
        return false;
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = ((const volatile uint8_t *)address)[i];
    return true;
}
