#include "crash/handler/sink.h"

#include "crash/handler/sys.h"
#include <errno.h>
#include <string.h>

#include "crash/handler/poison.h"

uint32_t kn_sink_at(const struct kn_sink *s)
{
    return (uint32_t)s->written + s->n;
}

void kn_sink_flush(struct kn_sink *s)
{
    uint32_t at = 0;
    while (!s->err && at < s->n) {
        long n = KN_SYS4(SYS_pwrite64, s->fd, s->buffer + at, s->n - at, s->written + at);
        if (n > 0)
            at += (uint32_t)n;
        else if (n != -EINTR)
            s->err = n ? (int)n : -EIO;
    }
    s->written += s->n;
    s->n = 0;
}

void kn_sink_put(struct kn_sink *s, const void *p, size_t n)
{
    const uint8_t *from = (const uint8_t *)p;
    while (n && !s->err) {
        size_t room = sizeof s->buffer - s->n, part = n < room ? n : room;
        memcpy(s->buffer + s->n, from, part);
        s->n += (uint32_t)part;
        from += part;
        n -= part;
        if (s->n == sizeof s->buffer)
            kn_sink_flush(s);
    }
}

void kn_sink_align(struct kn_sink *s, uint32_t to)
{
    static const uint8_t zeros[16];
    uint32_t over = kn_sink_at(s) % to;
    if (over)
        kn_sink_put(s, zeros, to - over);
}

uint32_t kn_sink_memory(struct kn_sink *s, uint64_t address, uint32_t n)
{
    uint32_t got = 0;
    while (got < n && !s->err) {
        const struct iovec parts[2] = {
            {s->buffer, s->n}, {(void *)(address + got), n - got}};
        long wrote = KN_SYS4(SYS_pwritev, s->fd, parts, 2, s->written);
        if (wrote == -EINTR)
            continue;
        if (wrote == -ENOSYS || wrote == -EPERM) { /* a sandbox that forgot this call */
            kn_sink_flush(s);
            wrote = KN_SYS4(SYS_pwrite64, s->fd, address + got, n - got, s->written);
        }
        if (wrote == -EFAULT)
            break;
        if (wrote <= 0) {
            s->err = wrote ? (int)wrote : -EIO;
            break;
        }
        if ((uint64_t)wrote < s->n) { /* a full disk, most likely: the flush will say */
            kn_sink_flush(s);
            continue;
        }
        s->written += (uint64_t)wrote;
        got += (uint32_t)wrote - s->n;
        if ((uint32_t)wrote == s->n) /* nothing of the memory itself */
            n = got;
        s->n = 0;
    }
    return got;
}

void kn_sink_rewind(struct kn_sink *s, uint32_t at)
{
    s->written = at;
    s->n = 0;
    s->err = 0;
}

int kn_sink_peek(struct kn_sink *s, void *out, uint64_t address, uint32_t n)
{
    long put = KN_SYS4(SYS_pwrite64, s->fd, address, n, s->written);
    if (put != (long)n)
        return -EFAULT;
    long got = KN_SYS4(SYS_pread64, s->fd, out, n, s->written);
    return got == (long)n ? 0 : -EFAULT;
}
