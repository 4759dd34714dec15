#include "uploader/spool/strikes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define STRIKES_FILE "strikes"
enum { STRIKES_MAGIC = 0x4b525453 /* "STRK" */ };

struct strike {
    uint8_t id[SPOOL_EVENT_ID_BYTES];
    uint32_t deaths, suspicions;
};

struct table {
    uint32_t magic, version;
    uint32_t in_hand; /* 1: hand is valid */
    uint32_t next;    /* which strike makes room */
    uint8_t hand[SPOOL_EVENT_ID_BYTES];
    struct strike strikes[STRIKES_MAX];
};

struct strikes {
    struct table *table;
};

/* Returns a descriptor, or a negative errno: -ENOSPC and -EDQUOT no room for it. */
static int open_table(const struct spool *s)
{
    CLEANUP(close_p)
    int fd = spool_keep_file(s->fd, STRIKES_FILE, O_RDWR);
    struct stat st;
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        return -EPERM;
    if (st.st_size != sizeof(struct table)) {
        /* Its blocks now: a full disk must not become SIGBUS at a later store. */
        int r = ftruncate(fd, 0) < 0 ? errno : 0;
        if (!r)
            r = posix_fallocate(fd, 0, sizeof(struct table));
        if (r)
            return -r;
    }
    return take_fd(&fd);
}

int strikes_open(const struct spool *s, struct strikes **ret)
{
    CLEANUP(close_p) int fd = open_table(s);
    /* Sending makes room: without any, strikes count for this run alone. */
    bool full = fd == -ENOSPC || fd == -EDQUOT;
    if (fd < 0 && !full)
        return fd;
    CLEANUP(free_p) struct strikes *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->table = mmap(NULL, sizeof(struct table), PROT_READ | PROT_WRITE,
        MAP_SHARED | (full ? MAP_ANONYMOUS : 0), full ? -1 : fd, 0);
    if (t->table == MAP_FAILED)
        return -errno;
    if (t->table->magic != STRIKES_MAGIC || t->table->version != 1) {
        *t->table = (struct table){.version = 1};
        t->table->magic = STRIKES_MAGIC;
    }
    *ret = t;
    t = NULL;
    return 0;
}

void strikes_close(struct strikes *t)
{
    if (!t)
        return;
    (void)munmap(t->table, sizeof *t->table);
    free(t);
}

static struct strike *find(
    struct strikes *t, const uint8_t id[static SPOOL_EVENT_ID_BYTES], bool make)
{
    struct table *b = t->table;
    struct strike *empty = NULL;
    for (size_t i = 0; i < STRIKES_MAX; i++) {
        struct strike *s = &b->strikes[i];
        if (!s->deaths && !s->suspicions)
            empty = empty ? empty : s;
        else if (!memcmp(s->id, id, sizeof s->id))
            return s;
    }
    if (!make)
        return NULL;
    if (!empty)
        empty = &b->strikes[b->next++ % STRIKES_MAX];
    *empty = (struct strike){0};
    memcpy(empty->id, id, sizeof empty->id);
    return empty;
}

void strikes_begin(struct strikes *t, const uint8_t id[static SPOOL_EVENT_ID_BYTES])
{
    memcpy(t->table->hand, id, sizeof t->table->hand);
    __atomic_store_n(&t->table->in_hand, 1, __ATOMIC_RELEASE);
}

void strikes_end(struct strikes *t, const uint8_t id[static SPOOL_EVENT_ID_BYTES])
{
    __atomic_store_n(&t->table->in_hand, 0, __ATOMIC_RELEASE);
    struct strike *s = find(t, id, false);
    if (s)
        s->suspicions = 0;
}

unsigned strikes_death(struct strikes *t, const uint8_t id[static SPOOL_EVENT_ID_BYTES])
{
    __atomic_store_n(&t->table->in_hand, 0, __ATOMIC_RELEASE);
    struct strike *s = find(t, id, true);
    return ++s->deaths;
}

unsigned strikes_recover(struct strikes *t, uint8_t ret_id[static SPOOL_EVENT_ID_BYTES])
{
    if (!__atomic_exchange_n(&t->table->in_hand, 0, __ATOMIC_ACQ_REL))
        return 0;
    memcpy(ret_id, t->table->hand, SPOOL_EVENT_ID_BYTES);
    struct strike *s = find(t, ret_id, true);
    return ++s->suspicions;
}

void strikes_forget(struct strikes *t, const uint8_t id[static SPOOL_EVENT_ID_BYTES])
{
    struct strike *s = find(t, id, false);
    if (s)
        *s = (struct strike){0};
}
