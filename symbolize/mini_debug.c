#include "symbolize/mini_debug.h"

#include "symbolize/budget.h"

#include <elf.h>
#include <lzma.h>
#include <stdlib.h>

enum {
    MAX_UNPACKED_BYTES = 256 << 20,
    DECODER_BYTES = 128 << 20, /* what a stream made by any preset needs, and more */
};

/* Whether so much memory may be had besides what is counted: 0 or -E2BIG. */
static int has_room(struct budget *b, uint64_t n)
{
    int err = n > MAX_UNPACKED_BYTES ? -E2BIG : budget_take(b, n);
    if (err == 0)
        budget_give(b, n);
    return err;
}

/* Unpack into growing memory: 0 and the bytes, or an error. */
static int unpack(
    struct budget *b, const uint8_t *in, size_t n_in, uint8_t **ret, size_t *ret_n)
{
    lzma_stream z = LZMA_STREAM_INIT;
    if (lzma_stream_decoder(&z, DECODER_BYTES, 0) != LZMA_OK)
        return -ENOMEM;
    size_t max = 1 << 20;
    uint8_t *out = malloc(max);
    int err = out ? 0 : -ENOMEM;
    z.next_in = in;
    z.avail_in = n_in;
    z.next_out = out;
    z.avail_out = max;
    while (err == 0) {
        lzma_ret r = lzma_code(&z, LZMA_FINISH);
        if (r == LZMA_STREAM_END)
            break;
        if (r != LZMA_OK || z.avail_out) {
            err = r == LZMA_MEM_ERROR        ? -ENOMEM
                  : r == LZMA_MEMLIMIT_ERROR ? -E2BIG
                                             : -EBADMSG;
            break;
        }
        err = has_room(b, 2 * max);
        if (err == 0)
            err = budget_time(b);
        uint8_t *more = err == 0 ? realloc(out, 2 * max) : NULL;
        if (err == 0 && !more)
            err = -ENOMEM;
        if (err < 0)
            break;
        out = more;
        z.next_out = out + max;
        z.avail_out = max;
        max *= 2;
    }
    *ret_n = (size_t)z.total_out;
    lzma_end(&z);
    if (err < 0)
        free(out);
    else
        *ret = out;
    return err;
}

int mini_debug_open(const struct elf_file *f, struct budget *budget, uint8_t **ret_bytes,
    struct elf_file *ret)
{
    const struct elf_section *s = elf_file_section(f, ".gnu_debugdata");
    if (!s || s->type == SHT_NOBITS || s->n_bytes == 0)
        return 0;
    if (s->n_bytes > f->n_bytes)
        return -EBADMSG;
    int err = has_room(budget, s->n_bytes);
    if (err < 0)
        return err;
    CLEANUP(free_p) uint8_t *packed = malloc((size_t)s->n_bytes);
    uint8_t *bytes = NULL;
    size_t n = 0;
    if (!packed)
        return -ENOMEM;
    err = elf_file_read(f, s->offset, packed, (size_t)s->n_bytes);
    if (err == 0)
        err = unpack(budget, packed, (size_t)s->n_bytes, &bytes, &n);
    if (err == 0)
        err = elf_file_of_image(bytes, n, ret);
    if (err < 0) {
        free(bytes);
        return err;
    }
    *ret_bytes = bytes;
    return 1;
}
