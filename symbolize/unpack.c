#include "symbolize/unpack.h"

#include "symbolize/elf_file.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum {
    INPUT_BYTES = 1 << 17,
    MARK_EVERY_BYTES = 8 << 20,
    SCRATCH_BYTES = 1 << 17, /* for bytes that are passed over */
    ZLIB_HEAD_BYTES = 2,
    ZLIB_METHOD_DEFLATE = 8,
};

/* A place in a deflate stream where unpacking can start again. */
struct mark {
    uint64_t out, in; /* offsets in the unpacked and the packed bytes */
    struct inflate_state *state;
};

struct unpacker {
    const struct elf_file *file;
    enum unpack_kind kind;
    uint64_t offset, n_packed, n_read; /* n_read: bytes fetched from the file */
    uint8_t *out;
    uint64_t n_out, filled;
    struct inflate_state *deflate; /* holds the window that deflate refers back to */
    ZSTD_DStream *zstd;
    ZSTD_inBuffer zstd_in;
    struct mark *marks; /* in the order of out */
    size_t n_marks, max_marks;
    uint8_t *scratch;
    uint8_t in[INPUT_BYTES];
};

static int start(struct unpacker *u)
{
    u->n_read = 0;
    u->filled = 0;
    if (u->kind == UNPACK_ZSTD) {
        u->zstd_in = (ZSTD_inBuffer){.src = u->in};
        return ZSTD_isError(ZSTD_initDStream(u->zstd)) ? -ENOMEM : 0;
    }
    uint8_t head[ZLIB_HEAD_BYTES];
    int err = u->n_packed < sizeof head
                  ? -EBADMSG
                  : elf_file_read(u->file, u->offset, head, sizeof head);
    if (err < 0)
        return err;
    if ((head[0] & 15) != ZLIB_METHOD_DEFLATE || (head[1] & 32) ||
        (head[0] * 256 + head[1]) % 31)
        return -EBADMSG;
    u->n_read = sizeof head;
    isal_inflate_init(u->deflate);
    u->deflate->crc_flag = ISAL_ZLIB_NO_HDR_VER;
    return 0;
}

int unpacker_new(const struct elf_file *file, enum unpack_kind kind, uint64_t offset,
    uint64_t n_packed, uint8_t *out, uint64_t n_out, struct unpacker **ret)
{
    struct unpacker *u = malloc(sizeof *u);
    if (!u)
        return -ENOMEM;
    memset(u, 0, offsetof(struct unpacker, in));
    u->file = file;
    u->kind = kind;
    u->offset = offset;
    u->n_packed = n_packed;
    u->out = out;
    u->n_out = n_out;
    if (kind == UNPACK_ZSTD)
        u->zstd = ZSTD_createDStream();
    else
        u->deflate = malloc(sizeof *u->deflate);
    int err = u->zstd || u->deflate ? start(u) : -ENOMEM;
    if (err < 0) {
        unpacker_free(u);
        return err;
    }
    *ret = u;
    return 0;
}

void unpacker_free(struct unpacker *u)
{
    if (!u)
        return;
    free(u->deflate);
    (void)ZSTD_freeDStream(u->zstd);
    for (size_t i = 0; i < u->n_marks; i++)
        free(u->marks[i].state);
    free(u->marks);
    free(u->scratch);
    free(u);
}

uint64_t unpacker_filled(const struct unpacker *u)
{
    return u->filled;
}

/* Fetch the next piece of the packed bytes: its size, 0 at the end, or an error. */
static int fetch(struct unpacker *u, size_t *ret_n)
{
    uint64_t left = u->n_packed - u->n_read;
    size_t n = left < INPUT_BYTES ? (size_t)left : INPUT_BYTES;
    int err = n ? elf_file_read(u->file, u->offset + u->n_read, u->in, n) : 0;
    if (err < 0)
        return err;
    u->n_read += n;
    *ret_n = n;
    return 0;
}

static bool mark_is_due(const struct unpacker *u)
{
    uint64_t last = u->n_marks ? u->marks[u->n_marks - 1].out : 0;
    return u->filled >= last + MARK_EVERY_BYTES;
}

/* Remember the present place. Without memory it is left out: a later rewind starts
 * further back. */
static void set_mark(struct unpacker *u)
{
    if (u->n_marks == u->max_marks) {
        size_t max = u->max_marks ? 2 * u->max_marks : 16;
        struct mark *more = realloc(u->marks, max * sizeof *more);
        if (!more)
            return;
        u->marks = more;
        u->max_marks = max;
    }
    struct mark m = {.out = u->filled, .in = u->n_read - u->deflate->avail_in};
    m.state = malloc(sizeof *m.state);
    if (!m.state)
        return;
    *m.state = *u->deflate;
    u->marks[u->n_marks++] = m;
}

/* Where the next bytes go, and how many may. */
static uint8_t *place(struct unpacker *u, uint64_t until, bool keep, size_t *ret_room)
{
    uint64_t room = until - u->filled, max = keep ? 1u << 30 : SCRATCH_BYTES;
    *ret_room = (size_t)(room < max ? room : max);
    return keep ? u->out + u->filled : u->scratch;
}

/* More of the packed bytes, when there are none. */
static int feed(struct unpacker *u)
{
    struct inflate_state *d = u->deflate;
    size_t n;
    if (d->avail_in)
        return 0;
    int err = fetch(u, &n);
    if (err < 0)
        return err;
    d->next_in = u->in;
    d->avail_in = (uint32_t)n;
    return 0;
}

/* Behind the last byte the stream must end, and its checksum be right. It is not seen
 * before, and seldom at all: what is read has to be sound by itself. */
static int end_deflate(struct unpacker *u)
{
    struct inflate_state *d = u->deflate;
    uint8_t more;
    d->next_out = &more;
    d->avail_out = sizeof more;
    while (d->block_state != ISAL_BLOCK_FINISH) {
        int err = feed(u);
        if (err < 0)
            return err;
        uint32_t before = d->avail_in;
        int r = isal_inflate(d);
        if ((r != ISAL_DECOMP_OK && r != ISAL_END_INPUT) || d->avail_out == 0 ||
            (before == d->avail_in && d->block_state != ISAL_BLOCK_FINISH))
            return -EBADMSG;
    }
    return 0;
}

static int run_deflate(struct unpacker *u, uint64_t until, bool keep)
{
    struct inflate_state *d = u->deflate;
    while (u->filled < until) {
        int err = feed(u);
        if (err < 0)
            return err;
        size_t room;
        d->next_out = place(u, until, keep, &room);
        d->avail_out = (uint32_t)room;
        uint32_t before = d->avail_in;
        /* Some output may still be inside when the input has ended. */
        if (isal_inflate(d) != ISAL_DECOMP_OK ||
            (d->avail_out == room && d->avail_in == before))
            return -EBADMSG;
        u->filled += room - d->avail_out;
        if (mark_is_due(u))
            set_mark(u);
    }
    return u->filled == u->n_out ? end_deflate(u) : 0;
}

static int run_zstd(struct unpacker *u, uint64_t until, bool keep)
{
    while (u->filled < until) {
        ZSTD_outBuffer out = {0};
        out.dst = place(u, until, keep, &out.size);
        if (u->zstd_in.pos == u->zstd_in.size) {
            size_t n;
            int err = fetch(u, &n);
            if (err < 0)
                return err;
            u->zstd_in = (ZSTD_inBuffer){.src = u->in, .size = n};
        }
        size_t before = u->zstd_in.pos;
        size_t r = ZSTD_decompressStream(u->zstd, &out, &u->zstd_in);
        if (ZSTD_isError(r))
            return -EBADMSG;
        u->filled += out.pos;
        if (out.pos == 0 && u->zstd_in.pos == before && u->n_read == u->n_packed)
            return -EBADMSG; /* the stream has ended */
    }
    return 0;
}

int unpacker_run(struct unpacker *u, uint64_t until, bool keep)
{
    if (until > u->n_out)
        return -EBADMSG;
    if (!keep && !u->scratch)
        u->scratch = malloc(SCRATCH_BYTES);
    if (!keep && !u->scratch)
        return -ENOMEM;
    return u->kind == UNPACK_ZSTD ? run_zstd(u, until, keep)
                                  : run_deflate(u, until, keep);
}

int unpacker_rewind(struct unpacker *u, uint64_t at)
{
    size_t i = u->n_marks;
    while (i > 0 && u->marks[i - 1].out > at)
        i--;
    if (i == 0)
        return start(u);
    const struct mark *m = &u->marks[i - 1];
    *u->deflate = *m->state;
    u->deflate->avail_in = 0;
    u->n_read = m->in;
    u->filled = m->out;
    return 0;
}
