#include "crash/handler/proc.h"

#include "crash/handler/digits.h"
#include <errno.h>
#include <fcntl.h>

#include "crash/handler/poison.h"

bool kn_file_ours(const struct kn_file *f)
{
    struct stat st;
    return f->fd >= 0 && KN_SYS2(SYS_fstat, f->fd, &st) == 0 && st.st_dev == f->device &&
           st.st_ino == f->inode;
}

void kn_close(int fd)
{
    if (fd >= 0)
        (void)KN_SYS1(SYS_close, fd);
}

static int open_once(struct kn_process *p, const char *name, int flags)
{
    /* The descriptor still leads there after a chroot(2); the path does in fork children,
     * whose folder it is not. */
    if (kn_file_ours(&p->proc))
        return (int)KN_SYS4(SYS_openat, p->proc.fd, name, flags, 0);
    char path[96];
    struct kn_text t;
    kn_text_init(&t, path, sizeof path);
    kn_text_put(&t, "/proc/self/");
    kn_text_put(&t, name);
    return (int)KN_SYS4(SYS_openat, AT_FDCWD, path, flags, 0);
}

int kn_proc_open(struct kn_capture *c, const char *name, int flags)
{
    struct kn_process *p = c->process;
    int fd = open_once(p, name, flags | O_RDONLY | O_CLOEXEC);
    if ((fd == -EMFILE || fd == -ENFILE) && kn_file_ours(&p->spare)) {
        kn_close(p->spare.fd);
        p->spare.fd = -1;
        fd = open_once(p, name, flags | O_RDONLY | O_CLOEXEC);
    }
    return fd;
}

int kn_proc_read(struct kn_capture *c, const char *name, char *out, uint32_t n)
{
    int fd = kn_proc_open(c, name, 0);
    if (fd < 0)
        return fd;
    uint32_t at = 0;
    while (at < n) {
        long got = KN_SYS3(SYS_read, fd, out + at, n - at);
        if (got == -EINTR)
            continue;
        if (got <= 0)
            break;
        at += (uint32_t)got;
    }
    kn_close(fd);
    return (int)at;
}
