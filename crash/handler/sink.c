#include "crash/handler/sink.h"

#include "crash/handler/memory.h"
#include "crash/handler/sys.h"
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "crash/handler/poison.h"

enum {
    PAGE_BYTES = 4096, /* asked about and copied at a time */
};

uint32_t kn_sink_at(const struct kn_sink *s)
{
    return (uint32_t)s->written + s->n;
}

static bool is_mapped(const struct kn_sink *s, uint64_t at, uint32_t n)
{
    return s->map && at <= s->n_map && n <= s->n_map - at;
}

int kn_sink_put_at(struct kn_sink *s, const void *p, uint32_t n, uint64_t at)
{
    const uint8_t *from = (const uint8_t *)p;
    uint32_t done = 0;
    while (done < n) {
        long wrote = KN_SYS4(SYS_pwrite64, s->fd, from + done, n - done, at + done);
        if (wrote > 0) {
            done += (uint32_t)wrote;
        } else if (wrote != -EINTR) {
            if (!is_mapped(s, at, n))
                return wrote ? (int)wrote : -EIO;
            memcpy(s->map + at, from, n);
            return 0;
        }
    }
    return 0;
}

void kn_sink_flush(struct kn_sink *s)
{
    if (!s->err)
        s->err = kn_sink_put_at(s, s->buffer, s->n, s->written);
    s->written += s->n;
    s->n = 0;
}

void kn_sink_sync(struct kn_sink *s)
{
    if (KN_SYS1(SYS_fdatasync, s->fd) && s->map)
        (void)KN_SYS3(SYS_msync, s->map, s->n_map, MS_SYNC);
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

/* What the descriptor did not take. Returns how many bytes are there and have room. */
static uint32_t memory_to_map(struct kn_sink *s, uint64_t address, uint32_t n, int why)
{
    uint32_t got = 0;
    kn_sink_flush(s);
    kn_memory_forget(); /* other threads may have unmapped what was there */
    while (!s->err && got < n) {
        uint64_t from = address + got;
        uint32_t part = PAGE_BYTES - (uint32_t)(from % PAGE_BYTES);
        part = part < n - got ? part : n - got;
        if (!is_mapped(s, s->written, part)) {
            s->err = why;
            break;
        }
        if (!kn_memory_copy(s->map + s->written, from, part))
            break;
        s->written += part;
        got += part;
    }
    return got;
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
            int why = wrote ? (int)wrote : -EIO;
            return got + memory_to_map(s, address + got, n - got, why);
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
    if (put == (long)n && KN_SYS4(SYS_pread64, s->fd, out, n, s->written) == put)
        return 0;
    if (put == -EFAULT)
        return -EFAULT;
    kn_memory_forget();
    return kn_memory_copy(out, address, n) ? 0 : -EFAULT;
}
