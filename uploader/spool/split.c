#include "uploader/spool/split.h"

#include "symbolize/bytes.h"

#include <errno.h>
#include <knell/journal.h>
#include <stdlib.h>

/* The next whole record; false at the end. @ret_payload points into the bytes. */
static bool next(
    struct bytes *b, struct knell_segment_record *ret, const uint8_t **ret_payload)
{
    do {
        size_t at = b->at;
        if (b->err || !bytes_has(b, sizeof *ret))
            return false;
        bytes_copy(b, ret, sizeof *ret, "record");
        *ret_payload = bytes_take(b, ret->n_bytes, "payload");
        if (!*ret_payload ||
            (ret->type != KNELL_RECORD_FREE &&
                knell_journal_sum(*ret_payload, ret->n_bytes, at) != ret->sum))
            return false;
        size_t rest = (8 - b->at % 8) % 8;
        if (rest && bytes_has(b, rest))
            (void)bytes_take(b, rest, "padding");
    } while (ret->type == KNELL_RECORD_FREE);
    return true;
}

static void append(uint8_t *out, size_t *n, const struct knell_segment_record *record,
    const uint8_t *payload)
{
    struct knell_segment_record r = *record;
    r.sum = knell_journal_sum(payload, r.n_bytes, *n);
    memcpy(out + *n, &r, sizeof r);
    memcpy(out + *n + sizeof r, payload, r.n_bytes);
    *n += sizeof r + (r.n_bytes + 7ul) / 8 * 8;
}

static int read_head(struct bytes *b, struct knell_segment_head *ret)
{
    bytes_copy(b, ret, sizeof *ret, "head");
    if (b->err || ret->magic != KNELL_SEGMENT_MAGIC ||
        ret->version != KNELL_SEGMENT_VERSION || ret->head_bytes != sizeof *ret)
        return -EBADMSG;
    if (ret->used_bytes >= sizeof *ret && ret->used_bytes < b->n)
        b->n = ret->used_bytes;
    return 0;
}

/* How many parts hold logs, as many each as one item may have, and sessions with the
 * first of them. */
static uint32_t n_before_transactions(struct bytes b)
{
    struct knell_segment_record r;
    const uint8_t *payload;
    uint32_t n_logs = 0;
    bool others = false;
    while (next(&b, &r, &payload)) {
        n_logs += r.type == KNELL_RECORD_LOG;
        others |= r.type != KNELL_RECORD_SPAN && r.type != KNELL_RECORD_TRANSACTION;
    }
    return n_logs ? (n_logs - 1) / KNELL_ITEM_MAX_LOGS + 1 : others;
}

int split_part(const uint8_t *bytes, size_t n, uint32_t i, uint8_t **ret, size_t *ret_n)
{
    struct knell_segment_head head;
    struct knell_segment_record r;
    const uint8_t *payload;
    struct bytes b = bytes_of(bytes, n);
    if (read_head(&b, &head))
        return -EBADMSG;
    uint8_t *out = calloc(1, n + 8);
    if (!out)
        return -ENOMEM;
    size_t at = sizeof head;
    uint32_t n_records = 0, n_logs = 0, transaction = n_before_transactions(b);
    /* Spans stand right before their transaction, so they belong to the next one. */
    while (next(&b, &r, &payload)) {
        bool traced = r.type == KNELL_RECORD_SPAN || r.type == KNELL_RECORD_TRANSACTION;
        uint32_t part = traced                       ? transaction
                        : r.type == KNELL_RECORD_LOG ? n_logs++ / KNELL_ITEM_MAX_LOGS
                                                     : 0;
        if (part == i) {
            append(out, &at, &r, payload);
            n_records++;
        }
        transaction += r.type == KNELL_RECORD_TRANSACTION;
    }
    if (i && i >= transaction) {
        free(out);
        return -ENODATA;
    }
    head.used_bytes = (uint32_t)at;
    head.n_records = n_records;
    for (int k = 0; k < 4; k++)
        head.event_id[12 + k] ^= (uint8_t)(i >> 8 * k);
    memcpy(out, &head, sizeof head);
    *ret = out;
    *ret_n = at;
    return 0;
}

static int append_part(
    uint8_t **list, size_t *n_list, const uint8_t *part, uint64_t n_part)
{
    uint8_t *more = realloc(*list, *n_list + sizeof n_part + n_part);
    if (!more)
        return -ENOMEM;
    memcpy(more + *n_list, &n_part, sizeof n_part);
    memcpy(more + *n_list + sizeof n_part, part, n_part);
    *list = more;
    *n_list += sizeof n_part + n_part;
    return 0;
}

int split_list(const uint8_t *bytes, size_t n, uint8_t **ret, size_t *ret_n)
{
    CLEANUP(free_p) uint8_t *list = NULL;
    size_t n_list = 0, n_part;
    uint8_t *part;
    uint32_t i = 0;
    int r;
    for (; !(r = split_part(bytes, n, i, &part, &n_part)); i++) {
        r = append_part(&list, &n_list, part, n_part);
        free(part);
        if (r)
            return r;
    }
    if (r != -ENODATA || i < 2)
        return r;
    *ret = list;
    *ret_n = n_list;
    list = NULL;
    return 0;
}

int split_next(
    const uint8_t *list, size_t n, size_t *at, const uint8_t **ret_part, size_t *ret_n)
{
    uint64_t n_part;
    if (*at == n)
        return 0;
    if (n - *at < sizeof n_part)
        return -EBADMSG;
    memcpy(&n_part, list + *at, sizeof n_part);
    if (n_part > n - *at - sizeof n_part)
        return -EBADMSG;
    *ret_part = list + *at + sizeof n_part;
    *ret_n = (size_t)n_part;
    *at += sizeof n_part + (size_t)n_part;
    return 1;
}

/* The event's id, changed as split_part() does it. */
static void name_part(
    struct spool_name name, uint32_t i, char out[KNELL_SPOOL_NAME_BYTES + 1])
{
    for (int k = 0; k < 4; k++)
        name.event_id[12 + k] ^= (uint8_t)(i >> 8 * k);
    name.signature = SPLIT_PART;
    spool_name_format(&name, out);
}

/* Parts must not be sent beside the whole. */
static void remove_parts(
    const struct spool *s, const struct spool_name *name, uint32_t n_parts)
{
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    for (uint32_t i = 1; i < n_parts; i++) {
        name_part(*name, i, file);
        IGNORE(unlinkat(s->state_fd[SPOOL_NEW], file, 0), "the last may not be there");
    }
}

/* All but the first, for good. @ret_n  how many there may be, the first one included */
static int write_parts(const struct spool *s, const struct spool_name *name,
    const uint8_t *list, size_t n_list, uint32_t *ret_n)
{
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    const uint8_t *part;
    size_t at = 0, n_part;
    uint32_t i = 0;
    int r;
    for (; (r = split_next(list, n_list, &at, &part, &n_part)) > 0; i++) {
        *ret_n = i + 1;
        name_part(*name, i, file);
        int err =
            i ? spool_replace_file_later(s->state_fd[SPOOL_NEW], file, part, n_part) : 0;
        if (err)
            return err;
    }
    if (!r && syncfs(s->state_fd[SPOOL_NEW]) < 0)
        r = -errno;
    return r;
}

static int list_here(
    void *ctx, const uint8_t *bytes, size_t n, uint8_t **ret, size_t *ret_n)
{
    (void)ctx;
    return split_list(bytes, n, ret, ret_n);
}

bool split_is_due(const struct spool_name *name)
{
    return name->segment && name->signature != SPLIT_PART;
}

/* What is no sound file, or is gone, is for whoever claims it to say. */
static int read_whole(
    const struct spool *s, const char *file, uint8_t **ret, size_t *ret_n)
{
    CLEANUP(close_p) int fd = -1;
    int r = spool_open_file(s, SPOOL_NEW, file, KNELL_SEGMENT_BYTES, &fd, NULL);
    if (!r)
        r = spool_read_all(fd, KNELL_SEGMENT_BYTES, ret, ret_n);
    return r == -ENOENT || spool_fault(r) ? -ENODATA : r;
}

/* The later parts first; the file itself, as part 0, when they are there for good. */
int split_one(
    const struct spool *s, const struct spool_name *name, split_lister *lister, void *ctx)
{
    CLEANUP(free_p) uint8_t *bytes = NULL;
    CLEANUP(free_p) uint8_t *list = NULL;
    char file[KNELL_SPOOL_NAME_BYTES + 1];
    const uint8_t *part;
    size_t n, n_list, n_part, at = 0;
    uint32_t n_parts = 0;
    spool_name_format(name, file);
    int r = read_whole(s, file, &bytes, &n);
    if (!r)
        r = (lister ? lister : list_here)(ctx, bytes, n, &list, &n_list);
    if (r)
        return r == -ENODATA || r == -EBADMSG ? 0 : r;
    r = write_parts(s, name, list, n_list, &n_parts);
    if (!r && split_next(list, n_list, &at, &part, &n_part) <= 0)
        r = -EIO; /* no list of ours */
    if (r) {
        remove_parts(s, name, n_parts);
        return r == -EBADMSG ? -EIO : r;
    }
    /* From here on the parts stay: a failure may come after the rename. */
    r = spool_replace_file(s->state_fd[SPOOL_NEW], file, part, n_part);
    return r < 0 ? r : 1;
}
