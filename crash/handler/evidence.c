#include "crash/handler/evidence.h"

#include "crash/handler/digits.h"
#include "crash/handler/minidump.h"
#include "crash/handler/proc.h"
#include "crash/handler/regs.h"
#include <fcntl.h>
#include <stddef.h>
#include <string.h>

#include "crash/handler/poison.h"

enum {
    MAX_ABORT_MESSAGE_BYTES = 2048,
};

void kn_signal_record(struct knell_signal_record *r, uint32_t tid, const siginfo_t *info,
    const ucontext_t *uc, uint64_t time_ns)
{
    *r = (struct knell_signal_record){.tid = tid,
        .signo = info->si_signo,
        .code = info->si_code,
        .error = info->si_errno,
        .pc = kn_regs_pc(uc),
        .time_ns = time_ns};
    if (kn_was_sent(info)) {
        r->sender_pid = (uint32_t)info->si_pid;
        r->sender_uid = info->si_uid;
    } else {
        r->address = (uint64_t)info->si_addr;
    }
}

/* Whether /proc is of this process's own namespace, where si_pid is a name in it. */
static bool knows_senders(const struct kn_process *p)
{
    char own[32];
    struct kn_text t;
    kn_text_init(&t, own, sizeof own);
    kn_text_put(&t, "../");
    kn_text_dec(&t, (uint64_t)p->pid);
    struct kn_file f = p->proc;
    if (!kn_file_ours(&f))
        return false;
    f.fd = (int)KN_SYS4(SYS_openat, f.fd, own, O_PATH | O_CLOEXEC, 0);
    bool same = kn_file_ours(&f);
    kn_close(f.fd);
    return same;
}

void kn_evidence_sender(struct kn_capture *c)
{
    const siginfo_t *info = c->info;
    if (!info || !kn_was_sent(info) || info->si_pid <= 0 ||
        info->si_pid == c->process->pid || !knows_senders(c->process))
        return;
    char name[32];
    struct kn_text t;
    kn_text_init(&t, name, sizeof name);
    kn_text_put(&t, "../");
    kn_text_dec(&t, (uint64_t)info->si_pid);
    kn_text_put(&t, "/comm");
    int n = kn_proc_read(c, name, c->sender, sizeof c->sender - 1);
    c->sender[n > 0 ? n - 1 : 0] = 0; /* without the newline at the end */
    /* It is another's to choose, and a line in the facts. */
    for (char *p = c->sender; *p; p++) {
        if ((uint8_t)*p < ' ' || *p == 0x7f)
            *p = '?';
    }
}

void kn_evidence_signal(struct kn_capture *c)
{
    struct knell_md_exception e = {.tid = c->tid, .code = KNELL_EXCEPTION_REQUESTED};
    e.context.n_bytes = sizeof(kn_context);
    e.context.rva = c->threads[0].context_rva;
    e.address = kn_regs_pc(c->uc);
    const siginfo_t *info = c->info;
    if (info) {
        struct knell_signal_record r;
        kn_signal_record(&r, c->tid, info, c->uc, c->time_ns);
        kn_stream_put(c, KNELL_STREAM_SIGNAL, &r, sizeof r);
        e.code = (uint32_t)info->si_signo;
        e.flags = (uint32_t)info->si_code;
        if (!kn_was_sent(info))
            e.address = r.address;
        if (kn_was_sent(info) || info->si_signo == SIGSYS)
            e.n_parameters = 2;
        if (kn_was_sent(info)) {
            e.parameters[0] = r.sender_pid;
            e.parameters[1] = r.sender_uid;
        } else if (info->si_signo == SIGSYS) {
            e.parameters[0] = (uint64_t)info->si_syscall;
            e.parameters[1] = info->si_arch;
        }
    }
    kn_stream_put(c, KNELL_STREAM_EXCEPTION, &e, sizeof e);
}

/* Longest texts of the journal's head, copied: another thread may be writing there. */
static void annotation(
    struct kn_capture *c, uint32_t *list, const char *key, size_t offset, size_t n)
{
    char value[512];
    const char *from = (const char *)c->process->image + offset;
    if (n > sizeof value || kn_sink_peek(&c->sink, value, (uint64_t)from, (uint32_t)n))
        return;
    value[n - 1] = 0;
    if (!value[0])
        return;
    uint32_t at = list[0]++;
    list[1 + 2 * at] = kn_put_utf8(c, key);
    list[2 + 2 * at] = kn_put_utf8(c, value);
}

static void put_annotations(struct kn_capture *c)
{
    enum { MAX_ANNOTATIONS = 8 };
    uint32_t list[1 + 2 * MAX_ANNOTATIONS] = {0};
    if (!c->process->image)
        return;
#define FIELD(name, member)                                                              \
    annotation(c, list, name, offsetof(struct knell_journal_head, member),               \
        sizeof c->process->image->member)
    FIELD("app", app);
    FIELD("release", release);
    FIELD("environment", environment);
    FIELD("dist", dist);
    FIELD("server_name", server_name);
    FIELD("sdk", sdk);
#undef FIELD
    kn_sink_align(&c->sink, 8);
    struct knell_md_crashpad_info info = {.version = 1};
    memcpy(info.report_id, c->process->event_id, sizeof info.report_id);
    info.simple_annotations.rva = kn_sink_at(&c->sink);
    info.simple_annotations.n_bytes = (1 + 2 * list[0]) * (uint32_t)sizeof *list;
    kn_sink_put(&c->sink, list, info.simple_annotations.n_bytes);
    kn_stream_put(c, KNELL_STREAM_CRASHPAD_INFO, &info, sizeof info);
}

void kn_evidence_system(struct kn_capture *c)
{
    const struct kn_process *p = c->process;
    struct knell_md_system_info s = p->system;
    s.csd_version_rva = kn_put_utf16(c, p->os, kn_length(p->os));
    kn_stream_put(c, KNELL_STREAM_SYSTEM_INFO, &s, sizeof s);
    const struct knell_md_misc_info m = {.n_bytes = sizeof m,
        .flags = 3,
        .pid = (uint32_t)p->pid,
        .create_time_s = (uint32_t)(p->start_realtime_ns / 1000000000u)};
    kn_stream_put(c, KNELL_STREAM_MISC_INFO, &m, sizeof m);
    put_annotations(c);
}

void kn_evidence_journal(struct kn_capture *c)
{
    const struct kn_process *p = c->process;
    if (!p->image)
        return;
    if (c->n_item)
        kn_stream_put(c, KNELL_STREAM_ITEM, c->item, c->n_item);
    kn_sink_align(&c->sink, 8);
    uint32_t at = kn_sink_at(&c->sink), n = p->n_journal, used = 0;
    if (!kn_sink_peek(&c->sink, &used, (uint64_t)&p->image->used_bytes, sizeof used) &&
        used > sizeof *p->image && used < n)
        n = used;
    uint32_t got = kn_sink_memory(&c->sink, (uint64_t)p->image, n);
    if (got == n)
        kn_stream(c, KNELL_STREAM_JOURNAL, at, got);
    else
        kn_note(c, 0, n - got);
}

void kn_evidence_abort_message(struct kn_capture *c)
{
    /* struct abort_msg_s of glibc: the size of the mapping, then the text. */
    uint64_t message = 0;
    uint32_t size = 0;
    const struct kn_process *p = c->process;
    if (!p->abort_message ||
        kn_sink_peek(&c->sink, &message, (uint64_t)p->abort_message, sizeof message) ||
        !message || kn_sink_peek(&c->sink, &size, message, sizeof size) ||
        size <= sizeof size)
        return;
    char *text = (char *)c->scratch;
    uint32_t n = size - (uint32_t)sizeof size;
    n = n < MAX_ABORT_MESSAGE_BYTES ? n : MAX_ABORT_MESSAGE_BYTES;
    if (kn_sink_peek(&c->sink, text, message + sizeof size, n))
        return;
    uint32_t length = 0;
    while (length < n && text[length])
        length++;
    if (length)
        kn_stream_put(c, KNELL_STREAM_ABORT_MESSAGE, text, length);
}
