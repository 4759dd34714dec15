#include "crash/breadcrumb.h"

#include "crash/crumbs.h"
#include "crash/self.h"

#include <knell/knell.h>
#include <time.h>

void kn_breadcrumb(enum knell_level level, uint8_t flags, const char *category,
    const char *message, const struct knell_data *values, size_t n)
{
    struct kn_areas *a = kn_areas_current();
    if (!a)
        return;
    struct kn_self *t = kn_self_get(a);
    struct timespec now;
    /* Through the vDSO, no system call. The coarse clock would be 19 ns cheaper, but its
     * 4 ms would lose the order of breadcrumbs between threads. */
    (void)clock_gettime(CLOCK_REALTIME, &now);
    struct kn_crumb crumb = {
        .time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
        .tid = t->tid,
        .level = (uint8_t)level,
        .flags = flags,
        .category = category,
        .message = message,
        .values = values,
        .n_values = n,
    };
    int r = t->ring ? kn_crumb_put(t->ring, &crumb) : KN_CRUMB_LOST;
    if (r)
        kn_count(a, r == KN_CRUMB_LOST ? KNELL_COUNT_BREADCRUMBS_LOST : KNELL_COUNT_CUT);
}

void knell_add_breadcrumb(
    enum knell_level level, const char *category, const char *message)
{
    kn_breadcrumb(level, 0, category, message, NULL, 0);
}

void knell_add_breadcrumb_data(enum knell_level level, const char *category,
    const char *message, const struct knell_data *values, size_t n)
{
    kn_breadcrumb(level, 0, category, message, values, n);
}
