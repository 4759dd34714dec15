#include "uploader/inspect/tar.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 512, SIZE_AT = 124, SUM_AT = 148, TYPE_AT = 156, MAGIC_AT = 257 };

/* Bytes of the head, those of the sum counted as blanks. Source: POSIX pax(1), ustar. */
static unsigned sum_of(const uint8_t *head)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < BLOCK; i++)
        sum += i >= SUM_AT && i < SUM_AT + 8 ? ' ' : head[i];
    return sum;
}

int tar_put(struct output *o, const char *name, const void *bytes, size_t n)
{
    uint8_t head[BLOCK] = {0};
    static const uint8_t zeros[BLOCK];
    char *text = (char *)head;
    (void)snprintf(text, TAR_NAME_BYTES, "%s", name);
    (void)strcpy(text + 100, "0000600");
    (void)strcpy(text + 108, "0000000");
    (void)strcpy(text + 116, "0000000");
    (void)snprintf(text + SIZE_AT, 12, "%011llo", (unsigned long long)n);
    (void)strcpy(text + 136, "00000000000");
    text[TYPE_AT] = '0';
    memcpy(text + MAGIC_AT, "ustar\00000", 8);
    (void)snprintf(text + SUM_AT, 8, "%06o", sum_of(head));
    text[SUM_AT + 7] = ' ';
    int err = output_write(o, head, sizeof head);
    if (!err)
        err = output_write(o, bytes, n);
    if (!err && n % BLOCK)
        err = output_write(o, zeros, BLOCK - n % BLOCK);
    return err;
}

int tar_end(struct output *o)
{
    static const uint8_t zeros[2 * BLOCK];
    return output_write(o, zeros, sizeof zeros);
}

static bool octal(const uint8_t *p, size_t n, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(p[i] - '0');
    *ret = v;
    return i > 0 && (i == n || p[i] == 0 || p[i] == ' ');
}

int tar_next(const uint8_t *bytes, size_t n, size_t *at, struct tar_entry *ret)
{
    if (*at == n)
        return 0;
    if (n - *at < BLOCK)
        return -EBADMSG;
    const uint8_t *head = bytes + *at;
    uint64_t size, sum;
    if (head[0] == 0)
        return 0;
    if (memcmp(head + MAGIC_AT, "ustar", 5) != 0 || head[TYPE_AT] != '0' ||
        !octal(head + SUM_AT, 8, &sum) || sum != sum_of(head) ||
        !octal(head + SIZE_AT, 12, &size) || size > n - *at - BLOCK)
        return -EBADMSG;
    size_t padded = ((size_t)size + BLOCK - 1) / BLOCK * BLOCK;
    if (padded > n - *at - BLOCK)
        return -EBADMSG;
    *ret = (struct tar_entry){.bytes = head + BLOCK, .n = (size_t)size};
    memcpy(ret->name, head, TAR_NAME_BYTES);
    *at += BLOCK + padded;
    return 1;
}
