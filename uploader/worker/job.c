#include "uploader/worker/job.h"

#include "uploader/config_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DESCRIPTORS = 2, MAX_SETTINGS_BYTES = 8 << 20, SETTINGS = 0x4b53 };

static int send_with(int socket, const void *p, size_t n, const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))];
    } control = {0};
    struct iovec io = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    if (n_fds) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    ssize_t r;
    do
        r = sendmsg(socket, &m, MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

static int take_descriptors(struct msghdr *m, int *fds, size_t n_fds)
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < k; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (n < n_fds)
                fds[n++] = fd;
            else
                (void)close(fd);
        }
    }
    if (n == n_fds)
        return 0;
    while (n)
        (void)close(fds[--n]);
    return -EBADMSG;
}

/* Exactly @n bytes and @n_fds descriptors. */
static int receive_with(int socket, void *p, size_t n, int *fds, size_t n_fds, int flags)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))];
    } control = {0};
    struct iovec io = {.iov_base = p, .iov_len = n};
    struct msghdr m = {.msg_iov = &io,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes};
    ssize_t r;
    do
        r = recvmsg(socket, &m, MSG_CMSG_CLOEXEC | flags);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno == ECONNRESET ? -ENODATA : -errno;
    if (r == 0)
        return -ENODATA;
    int err = take_descriptors(&m, fds, n_fds);
    if (!err && ((size_t)r != n || m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        for (size_t i = 0; i < n_fds; i++)
            (void)close(fds[i]);
        err = -EBADMSG;
    }
    return err;
}

/* A memfd that nobody can change any more. */
static int sealed(const void *p, size_t n)
{
    CLEANUP(close_p) int fd = memfd_create("knell-job", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const uint8_t *from = p;
    if (fd < 0)
        return -errno;
    while (n) {
        ssize_t k = write(fd, from, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -errno;
        from += k;
        n -= (size_t)k;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) <
        0)
        return -errno;
    return take_fd(&fd);
}

static bool concerns_events(const struct config_key *k)
{
    static const char *const sections[] = {"event", "rules", "hooks", "symbols"};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        if (!strcmp(k->section, sections[i]))
            return k->type != CONFIG_SECRET;
    }
    return false;
}

/* "SECTION.KEY=VALUE", a NUL behind each. */
static int print_settings(const struct config *config, char **ret, size_t *ret_n)
{
    FILE *f = open_memstream(ret, ret_n);
    if (!f)
        return -ENOMEM;
    for (size_t i = 0; i < config_n_key_table; i++) {
        const struct config_key *k = &config_keys[i];
        if (!concerns_events(k))
            continue;
        char *const *text = (char *const *)((const char *)config + k->offset);
        char value[128];
        bool long_one = k->type <= CONFIG_LINES;
        if (!long_one)
            config_value_format(config, k, value, sizeof value);
        fprintf(f, "%s.%s=%s%c", k->section, k->key,
            !long_one ? value
            : *text   ? *text
                      : "",
            0);
    }
    bool bad = ferror(f);
    return fclose(f) != 0 || bad ? -ENOMEM : 0;
}

int job_send_settings(int socket, const struct config *config)
{
    CLEANUP(free_p) char *text = NULL;
    size_t n = 0;
    int err = print_settings(config, &text, &n);
    if (err)
        return err;
    CLEANUP(close_p) int fd = sealed(text, n);
    const uint32_t word = SETTINGS;
    return fd < 0 ? fd : send_with(socket, &word, sizeof word, &fd, 1);
}

static int set_one(struct config *to, char *line)
{
    char *dot = strchr(line, '.'), *equals = dot ? strchr(dot, '=') : NULL;
    if (!equals)
        return -EBADMSG;
    *dot = *equals = 0;
    int i = config_find_key(line, dot + 1);
    if (i < 0 || !concerns_events(&config_keys[i]))
        return -EBADMSG;
    return config_value_set(to, &config_keys[i], equals + 1);
}

int job_receive_settings(int socket, struct config *ret)
{
    uint32_t word;
    struct stat st;
    CLEANUP(close_p) int fd = -1;
    int err = receive_with(socket, &word, sizeof word, &fd, 1, 0);
    if (err)
        return err;
    if (word != SETTINGS || fstat(fd, &st) < 0 || st.st_size > MAX_SETTINGS_BYTES)
        return -EBADMSG;
    size_t n = (size_t)st.st_size;
    CLEANUP(free_p) char *text = calloc(1, n + 1);
    if (!text)
        return -ENOMEM;
    if (pread(fd, text, n, 0) != (ssize_t)n)
        return -EBADMSG;
    for (char *p = text; !err && p < text + n; p += strlen(p) + 1) {
        char *next = p + strlen(p);
        err = set_one(ret, p);
        p = next;
    }
    return err;
}

static int send_request(
    int socket, const struct job_request *q, const uint8_t *bytes, int answer)
{
    CLEANUP(close_p) int fd = sealed(bytes, q->n_report);
    if (fd < 0)
        return fd;
    return send_with(socket, q, sizeof *q, (const int[]){fd, answer}, 2);
}

int job_send(int socket, const uint8_t *report, size_t n,
    const struct worker_options *options, int answer)
{
    struct job_request q = {.options = *options, .n_report = n};
    return send_request(socket, &q, report, answer);
}

int job_send_chore(int socket, const uint8_t *bytes, size_t n,
    const struct worker_chore *chore, int answer)
{
    struct job_request q = {.n_report = n, .is_chore = true, .chore = *chore};
    return send_request(socket, &q, bytes, answer);
}

int job_receive(int socket, struct job_request *ret, int *ret_report, int *ret_answer)
{
    int fds[2] = {-1, -1};
    int err = receive_with(socket, ret, sizeof *ret, fds, 2, 0);
    if (err)
        return err;
    *ret_report = fds[0];
    *ret_answer = fds[1];
    return 0;
}

int job_send_end(int socket, const struct worker_end *end)
{
    return send_with(socket, end, sizeof *end, NULL, 0);
}

int job_receive_end(int socket, struct worker_end *ret)
{
    return receive_with(socket, ret, sizeof *ret, NULL, 0, MSG_DONTWAIT);
}
