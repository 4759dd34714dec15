#include "symbolize/unpack.h"

#include "symbolize/elf_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum {
    INPUT_BYTES = 1 << 17,
    WINDOW_BYTES = 32768, /* what deflate may refer back to */
    MARK_EVERY_BYTES = 16 << 20,
};

/* A place in a deflate stream where unpacking can start again. */
struct mark {
    uint64_t out, in; /* offsets in the unpacked and the packed bytes */
    int bits;         /* of the byte before @in, not yet used */
    uint8_t *window;  /* WINDOW_BYTES before @out */
};

struct unpacker {
    const struct elf_file *file;
    enum unpack_kind kind;
    uint64_t offset, n_packed, n_read; /* n_read: bytes fetched from the file */
    uint8_t *out;
    uint64_t n_out, filled;
    z_stream z;
    bool z_open;
    ZSTD_DStream *zstd;
    ZSTD_inBuffer zstd_in;
    struct mark *marks; /* in the order of out */
    size_t n_marks, max_marks;
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
    u->z.avail_in = 0;
    if (u->z_open)
        return inflateReset2(&u->z, MAX_WBITS) == Z_OK ? 0 : -ENOMEM;
    if (inflateInit(&u->z) != Z_OK)
        return -ENOMEM;
    u->z_open = true;
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
    int err = kind == UNPACK_ZSTD && !u->zstd ? -ENOMEM : start(u);
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
    if (u->z_open)
        (void)inflateEnd(&u->z);
    (void)ZSTD_freeDStream(u->zstd);
    for (size_t i = 0; i < u->n_marks; i++)
        free(u->marks[i].window);
    free(u->marks);
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

/* Remember the present place, between two deflate blocks. Without memory it is left out:
 * a later rewind starts further back. */
static void set_mark(struct unpacker *u)
{
    uint64_t last = u->n_marks ? u->marks[u->n_marks - 1].out : 0;
    if (u->filled < last + MARK_EVERY_BYTES)
        return;
    if (u->n_marks == u->max_marks) {
        size_t max = u->max_marks ? 2 * u->max_marks : 16;
        struct mark *more = realloc(u->marks, max * sizeof *more);
        if (!more)
            return;
        u->marks = more;
        u->max_marks = max;
    }
    struct mark m = {.out = u->filled, .in = u->n_read - u->z.avail_in};
    m.bits = u->z.data_type & 7;
    m.window = malloc(WINDOW_BYTES);
    uInt n = WINDOW_BYTES;
    if (!m.window || inflateGetDictionary(&u->z, m.window, &n) != Z_OK ||
        n != WINDOW_BYTES) {
        free(m.window);
        return;
    }
    u->marks[u->n_marks++] = m;
}

static int run_zlib(struct unpacker *u, uint64_t until)
{
    while (u->filled < until) {
        if (u->z.avail_in == 0) {
            size_t n;
            int err = fetch(u, &n);
            if (err < 0)
                return err;
            if (n == 0)
                return -EBADMSG;
            u->z.next_in = u->in;
            u->z.avail_in = (uInt)n;
        }
        uint64_t room = until - u->filled;
        u->z.next_out = u->out + u->filled;
        u->z.avail_out = room < (1u << 30) ? (uInt)room : 1u << 30;
        uInt before = u->z.avail_out;
        int r = inflate(&u->z, Z_BLOCK);
        u->filled += before - u->z.avail_out;
        if (r == Z_STREAM_END)
            return u->filled >= until ? 0 : -EBADMSG;
        if (r != Z_OK && r != Z_BUF_ERROR)
            return r == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
        if ((u->z.data_type & 128) && !(u->z.data_type & 64))
            set_mark(u);
    }
    return 0;
}

static int run_zstd(struct unpacker *u, uint64_t until)
{
    while (u->filled < until) {
        ZSTD_outBuffer out = {
            .dst = u->out + u->filled, .size = (size_t)(until - u->filled)};
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

int unpacker_run(struct unpacker *u, uint64_t until)
{
    if (until > u->n_out)
        return -EBADMSG;
    return u->kind == UNPACK_ZSTD ? run_zstd(u, until) : run_zlib(u, until);
}

/* Put the inflater where @m was taken. The stream's checksum is not checked from there
 * on; the bytes were checked by having been unpacked before. */
static int resume(struct unpacker *u, const struct mark *m)
{
    if (inflateReset2(&u->z, -MAX_WBITS) != Z_OK)
        return -ENOMEM;
    u->z.avail_in = 0;
    u->n_read = m->in;
    u->filled = m->out;
    if (m->bits) {
        uint8_t byte;
        int err = elf_file_read(u->file, u->offset + m->in - 1, &byte, 1);
        if (err < 0)
            return err;
        if (inflatePrime(&u->z, m->bits, byte >> (8 - m->bits)) != Z_OK)
            return -EBADMSG;
    }
    return inflateSetDictionary(&u->z, m->window, WINDOW_BYTES) == Z_OK ? 0 : -EBADMSG;
}

int unpacker_rewind(struct unpacker *u, uint64_t at)
{
    size_t i = u->n_marks;
    while (i > 0 && u->marks[i - 1].out > at)
        i--;
    return i > 0 ? resume(u, &u->marks[i - 1]) : start(u);
}
