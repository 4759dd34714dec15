#include "uploader/report/dump_writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int dump_writer_init(struct dump_writer *w, size_t room)
{
    *w = (struct dump_writer){.n = sizeof(struct knell_md_header)};
    w->room = sizeof(struct knell_md_header) + sizeof w->streams + room;
    w->bytes = calloc(1, w->room);
    return w->bytes ? 0 : -ENOMEM;
}

uint32_t dump_writer_put(struct dump_writer *w, const void *p, size_t n)
{
    uint32_t at = (uint32_t)w->n;
    if (n > w->room - w->n)
        return 0;
    if (n)
        memcpy(w->bytes + w->n, p, n);
    size_t end = (w->n + n + 7) / 8 * 8;
    w->n = end < w->room ? end : w->room;
    return at;
}

/* Name what lies at @at as a stream. */
static void dump_writer_name(struct dump_writer *w, uint32_t type, uint32_t at, size_t n)
{
    if (w->n_streams < DUMP_WRITER_MAX_STREAMS)
        w->streams[w->n_streams++] =
            (struct knell_md_directory){.type = type, .at = {(uint32_t)n, at}};
}

void dump_writer_stream(struct dump_writer *w, uint32_t type, const void *p, size_t n)
{
    dump_writer_name(w, type, dump_writer_put(w, p, n), n);
}

void dump_writer_finish(struct dump_writer *w, uint32_t time_s)
{
    struct knell_md_header head = {.magic = KNELL_MINIDUMP_MAGIC,
        .version = KNELL_MINIDUMP_VERSION,
        .n_streams = w->n_streams,
        .time_s = time_s};
    head.directory_rva =
        dump_writer_put(w, w->streams, w->n_streams * sizeof *w->streams);
    memcpy(w->bytes, &head, sizeof head);
}
