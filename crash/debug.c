#include "crash/debug.h"

#include "crash/muted.h"
#include "crash/uncancelled.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_BYTES = 1024 };

bool kn_debug_is_on;

void kn_debug_switch(bool on)
{
    __atomic_store_n(&kn_debug_is_on, on, __ATOMIC_RELAXED);
}

void kn_debug_say(const char *format, ...)
{
    char line[LINE_BYTES];
    int saved = errno, n = snprintf(line, sizeof line, "knell[%d]: ", (int)getpid());
    va_list args;
    va_start(args, format);
    int more = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
    va_end(args);
    n += more < 0 ? 0 : more;
    if (n > (int)sizeof line - 2)
        n = (int)sizeof line - 2;
    for (char *p = line; p < line + n; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) /* of texts that are not ours */
            *p = ' ';
    }
    line[n++] = '\n';
    int cancel = kn_cancel_hold();
    struct kn_muted muted;
    kn_mute(&muted);
    ssize_t written = write(STDERR_FILENO, line, (size_t)n);
    (void)written; /* whoever closed it does not want to read */
    kn_unmute(&muted);
    kn_cancel_allow(cancel);
    errno = saved;
}
