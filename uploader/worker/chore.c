#include "uploader/worker/chore.h"

#include "uploader/spool/split.h"
#include "uploader/worker/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHORE_MAGIC = 0x4b4e4f43, CHORE_TROUBLE = 0x4b4e4f54, MAX_SIGNO = 99 };

struct chore_head {
    uint32_t magic;
    int32_t status;
    uint64_t n, time_ms, signature;
    uint32_t signo, segment;
};

static int write_all(int fd, const void *p, size_t n)
{
    const uint8_t *from = p;
    while (n) {
        ssize_t k = write(fd, from, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        from += k;
        n -= (size_t)k;
    }
    return 0;
}

int chore_do(const struct worker_chore *chore, const uint8_t *bytes, size_t n, int answer)
{
    CLEANUP(free_p) uint8_t *made = NULL;
    size_t n_made = 0;
    struct spool_name name = chore->name;
    int status = chore->kind == CHORE_SPLIT
                     ? split_list(bytes, n, &made, &n_made)
                     : obituary_make(bytes, n, chore->has_slot, &chore->evidence, &name,
                           &made, &n_made);
    const struct chore_head h = {.magic = CHORE_MAGIC,
        .status = status,
        .n = status ? 0 : n_made,
        .time_ms = name.time_ms,
        .signature = name.signature,
        .signo = name.signo,
        .segment = name.segment};
    int err = write_all(answer, &h, sizeof h);
    return err ? err : write_all(answer, made, h.n);
}

int chore_fail(int error, int answer)
{
    const struct chore_head h = {.magic = CHORE_TROUBLE, .status = error};
    return write_all(answer, &h, sizeof h);
}

static int read_at(int fd, void *out, size_t n, off_t at)
{
    uint8_t *to = out;
    while (n) {
        ssize_t k = pread(fd, to, n, at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return k < 0 ? -errno : -EBADMSG;
        to += k;
        at += k;
        n -= (size_t)k;
    }
    return 0;
}

/* Whether an error would be taken for what the bytes are at fault for. */
static bool is_of_bytes(int error)
{
    return error == -EBADMSG || error == -ENODATA || error == -ECHILD;
}

/* -EBADMSG: not sound. */
static int read_answer(int fd, struct chore_head *h, uint8_t **ret, size_t *ret_n)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    int err = read_at(fd, h, sizeof *h, 0);
    if (err)
        return err;
    if (h->magic == CHORE_TROUBLE && h->status < 0)
        return is_of_bytes(h->status) ? -EIO : h->status;
    if (h->magic != CHORE_MAGIC || h->status > 0 || h->n > WIRE_MAX_BYTES ||
        (uint64_t)st.st_size != sizeof *h + h->n || (h->status && h->n) ||
        h->signo > MAX_SIGNO)
        return -EBADMSG;
    CLEANUP(free_p) uint8_t *bytes = malloc(h->n ? h->n : 1);
    if (!bytes)
        return -ENOMEM;
    err = read_at(fd, bytes, h->n, sizeof *h);
    if (err || h->status)
        return err;
    *ret = bytes;
    *ret_n = h->n;
    bytes = NULL;
    return 0;
}

int chore_answer(const struct worker_end *end, int answer, struct spool_name *name,
    uint8_t **ret, size_t *ret_n)
{
    struct chore_head h;
    if (end->error)
        return end->error;
    if (!end->in_time || WIFSIGNALED(end->status))
        return -ECHILD;
    int err = read_answer(answer, &h, ret, ret_n);
    if (err)
        return err == -EBADMSG ? -ECHILD : err;
    if (h.status)
        return h.status;
    name->time_ms = h.time_ms;
    name->signature = h.signature;
    name->signo = (uint8_t)h.signo;
    name->segment = h.segment != 0;
    return 0;
}
