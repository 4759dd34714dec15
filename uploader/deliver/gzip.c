#include "uploader/deliver/gzip.h"

#include <errno.h>
#include <zlib.h>

struct gzip {
    z_stream z;
};

int gzip_new(int level, struct gzip **ret)
{
    struct gzip *g = calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    if (level < 1 || level > 9)
        level = 3;
    /* 16: with a gzip head */
    if (deflateInit2(&g->z, level, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        free(g);
        return -ENOMEM;
    }
    *ret = g;
    return 0;
}

void gzip_free(struct gzip *g)
{
    if (!g)
        return;
    (void)deflateEnd(&g->z);
    free(g);
}

int gzip_pack(struct gzip *g, const void *bytes, size_t n, uint8_t **ret, size_t *ret_n)
{
    if (n > 1u << 30)
        return -E2BIG;
    if (deflateReset(&g->z) != Z_OK)
        return -ENOMEM;
    size_t max = deflateBound(&g->z, n);
    uint8_t *p = malloc(max);
    if (!p)
        return -ENOMEM;
    g->z.next_in = (Bytef *)(uintptr_t)bytes;
    g->z.avail_in = (uInt)n;
    g->z.next_out = p;
    g->z.avail_out = (uInt)max;
    if (deflate(&g->z, Z_FINISH) != Z_STREAM_END) {
        free(p);
        return -ENOMEM;
    }
    *ret = p;
    *ret_n = max - g->z.avail_out;
    return 0;
}
