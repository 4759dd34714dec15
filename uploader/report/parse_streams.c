/* The streams that a report can do without. */
#include "uploader/report/journal.h"
#include "uploader/report/parse_internal.h"

enum {
    MAX_NOTES = 1024,
    MAX_OTHER_CRASHES = 256,
};

/* A stream that a report can do without: absent or damaged, it is empty. */
static struct bytes optional(
    struct parser *p, enum knell_stream_type type, const char *what)
{
    struct bytes b = parse_stream(p, type, what);
    if (b.err && b.err != -ENODATA)
        parse_damage(p, what, b.err_at);
    if (b.err)
        return (struct bytes){.err = b.err, .what = what};
    return b;
}

static struct crash_text text(
    struct parser *p, enum knell_stream_type type, const char *what)
{
    struct bytes b = optional(p, type, what);
    if (b.err || !b.n)
        return (struct crash_text){0};
    return (struct crash_text){.text = (const char *)b.base, .n_bytes = (uint32_t)b.n};
}

void parse_misc(struct parser *p)
{
    struct bytes b = optional(p, KNELL_STREAM_MISC_INFO, "misc info");
    struct knell_md_misc_info m;
    if (b.err)
        return;
    bytes_copy(&b, &m, sizeof m, "misc info");
    if (b.err) {
        parse_damage(p, "misc info", 0);
        return;
    }
    p->c->pid = m.flags & 1 ? m.pid : 0;
    p->c->start_time_s = m.flags & 2 ? m.create_time_s : 0;
}

/* What killed the process: knell's own record, else what the exception stream tells. */
void parse_signal(struct parser *p)
{
    struct crash *c = p->c;
    struct knell_md_exception e;
    struct bytes b = optional(p, KNELL_STREAM_EXCEPTION, "exception");
    if (!b.err) {
        bytes_copy(&b, &e, sizeof e, "exception");
        if (b.err) {
            parse_damage(p, "exception", 0);
        } else {
            p->exception_tid = e.tid;
            p->exception_context = e.context;
            if (e.code && e.code < 128) {
                c->has_signal = true;
                c->signal = (struct knell_signal_record){.tid = e.tid,
                    .signo = (int32_t)e.code,
                    .code = (int32_t)e.flags,
                    .address = e.address};
            }
        }
    }
    struct knell_signal_record record;
    b = optional(p, KNELL_STREAM_SIGNAL, "signal");
    if (b.err)
        return;
    bytes_copy(&b, &record, sizeof record, "signal");
    if (b.err || record.signo <= 0 || record.signo >= 128) {
        parse_damage(p, "signal", 0);
        return;
    }
    c->signal = record;
    c->has_signal = true;
    if (!p->exception_tid)
        p->exception_tid = record.tid;
}

int parse_other_crashes(struct parser *p)
{
    struct bytes b = optional(p, KNELL_STREAM_OTHER_CRASHES, "other crashes");
    size_t n = b.err ? 0 : b.n / sizeof(struct knell_signal_record);
    if (n > MAX_OTHER_CRASHES)
        return parse_refuse(p, -E2BIG, "other crashes", 0);
    struct knell_signal_record *all = arena_array(p->c->arena, n, sizeof *all);
    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        bytes_copy(&b, &all[i], sizeof all[i], "other crashes");
    p->c->other_crashes = all;
    p->c->n_other_crashes = (uint32_t)n;
    return 0;
}

int parse_prewalked(struct parser *p)
{
    struct crash *c = p->c;
    struct knell_frames_head h;
    struct bytes b = optional(p, KNELL_STREAM_FRAMES, "frames");
    if (b.err)
        return 0;
    uint64_t at = (uint64_t)(b.base - c->bytes);
    bytes_copy(&b, &h, sizeof h, "frames");
    if (b.err || h.n_frames > KNELL_MAX_FRAMES || !bytes_has(&b, h.n_frames * 8ul)) {
        parse_damage(p, "frames", at);
        return 0;
    }
    uint64_t *pcs = arena_array(c->arena, h.n_frames, sizeof *pcs);
    if (!pcs)
        return -ENOMEM;
    bytes_copy(&b, pcs, h.n_frames * sizeof *pcs, "frames");
    c->prewalked = pcs;
    c->n_prewalked = h.n_frames;
    c->prewalked_tid = h.tid;
    if (h.n_frames > KNELL_FIRST_FRAMES)
        c->n_prewalked_skipped = h.n_skipped;
    return 0;
}

int parse_notes(struct parser *p)
{
    struct bytes b = optional(p, KNELL_STREAM_CAPTURE_LOG, "capture log");
    size_t n = b.err ? 0 : b.n / sizeof(struct knell_capture_note);
    if (n > MAX_NOTES)
        return parse_refuse(p, -E2BIG, "capture log", 0);
    struct knell_capture_note *notes = arena_array(p->c->arena, n, sizeof *notes);
    if (!notes)
        return -ENOMEM;
    bytes_copy(&b, notes, n * sizeof *notes, "capture log");
    p->c->notes = notes;
    p->c->n_notes = (uint32_t)n;
    return 0;
}

static void terminate(char *s, size_t n)
{
    s[n - 1] = 0;
}

/* A copy of the journal's head whose strings end. Areas stay in the image. */
int parse_journal(struct parser *p)
{
    struct crash *c = p->c;
    struct bytes b = optional(p, KNELL_STREAM_JOURNAL, "journal");
    if (b.err)
        return 0;
    c->journal_image = (struct crash_text){(const char *)b.base, (uint32_t)b.n};
    struct knell_journal_head *h = arena_array(c->arena, 1, sizeof *h);
    if (!h)
        return -ENOMEM;
    uint64_t at = (uint64_t)(b.base - c->bytes);
    bytes_copy(&b, h, sizeof *h, "journal");
    if (b.err || h->magic != KNELL_JOURNAL_MAGIC || h->version != KNELL_JOURNAL_VERSION ||
        h->head_bytes < sizeof *h) {
        parse_damage(p, "journal", at);
        c->journal_image = (struct crash_text){0};
        return 0;
    }
    terminate(h->app, sizeof h->app);
    terminate(h->release, sizeof h->release);
    terminate(h->environment, sizeof h->environment);
    terminate(h->dist, sizeof h->dist);
    terminate(h->server_name, sizeof h->server_name);
    terminate(h->executable, sizeof h->executable);
    terminate(h->cgroup, sizeof h->cgroup);
    terminate(h->kernel, sizeof h->kernel);
    terminate(h->libc, sizeof h->libc);
    terminate(h->sdk, sizeof h->sdk);
    c->journal = h;
    if (!c->pid)
        c->pid = h->pid;
    return 0;
}

/* The areas of the journal, as the thread that the report is about sees them. */
int parse_said(struct parser *p)
{
    struct crash *c = p->c;
    if (!c->journal)
        return 0;
    uint32_t tid = c->crashed_thread < 0 ? 0 : c->threads[c->crashed_thread].tid;
    if (!tid && c->item_head)
        tid = c->item_head->tid;
    int err = journal_read(c->arena, (const uint8_t *)c->journal_image.text,
        c->journal_image.n_bytes, tid, &c->said);
    if (err && err != -ENOMEM) {
        parse_damage(p, "journal areas",
            (uint64_t)((const uint8_t *)c->journal_image.text - c->bytes));
        err = 0;
    }
    return err;
}

/* The handled error or message; before the threads, of which it names one. */
int parse_item(struct parser *p)
{
    struct crash *c = p->c;
    struct bytes b = optional(p, KNELL_STREAM_ITEM, "item");
    if (b.err)
        return 0;
    struct knell_item_head *h = arena_array(c->arena, 1, sizeof *h);
    if (!h)
        return -ENOMEM;
    bytes_copy(&b, h, sizeof *h, "item");
    if (b.err || h->magic != KNELL_ITEM_MAGIC || h->version != KNELL_ITEM_VERSION) {
        parse_damage(p, "item", 0);
        return 0;
    }
    int n = journal_pairs(c->arena, b.base + b.at, b.n - b.at, &c->item_pairs);
    if (n < 0)
        return n;
    c->item_head = h;
    c->n_item_pairs = (uint32_t)n;
    /* A hang is reported by another thread than the one it is about. */
    if (h->tid && h->tid != p->exception_tid) {
        p->exception_tid = h->tid;
        p->exception_context = (struct knell_md_location){0};
    }
    return 0;
}

void parse_texts(struct parser *p)
{
    struct crash *c = p->c;
    c->maps = text(p, KNELL_STREAM_LINUX_MAPS, "maps");
    c->proc_status = text(p, KNELL_STREAM_LINUX_PROC_STATUS, "process status");
    c->os_release = text(p, KNELL_STREAM_LINUX_LSB_RELEASE, "os-release");
    c->cpu_info = text(p, KNELL_STREAM_LINUX_CPU_INFO, "cpu info");
    c->cmd_line = text(p, KNELL_STREAM_LINUX_CMD_LINE, "command line");
    c->facts = text(p, KNELL_STREAM_FACTS, "facts");
    c->abort_message = text(p, KNELL_STREAM_ABORT_MESSAGE, "abort message");
    c->cxx_exception = text(p, KNELL_STREAM_CXX_EXCEPTION, "C++ exception");
    c->item = text(p, KNELL_STREAM_ITEM, "item");
}
