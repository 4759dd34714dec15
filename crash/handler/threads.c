#include "crash/handler/threads.h"

#include "crash/handler/digits.h"
#include "crash/handler/failpoint.h"
#include "crash/handler/gate.h"
#include "crash/handler/minidump.h"
#include "crash/handler/proc.h"
#include "crash/handler/regs.h"
#include "crash/handler/sanitize.h"
#include "crash/handler/stack.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>

#include "crash/handler/poison.h"

enum {
    MAX_SCANS = 3,
    SLICE_NS = 5000000,
    PATIENCE_NS = 250000000,
    N_MANY = 64,      /* threads that it takes milliseconds to write */
    N_GENEROUS = 128, /* threads with a full share of stack */
    N_MODEST = 1024,
    FULL_STACK_BYTES = 64 * 1024,
    MODEST_STACK_BYTES = 16 * 1024,
    LEAST_STACK_BYTES = 4 * 1024,
    N_SYSCALL_FIELDS = 9, /* number, six arguments, sp, pc: proc(5) */
};

/* Who is stopped for what; there is one freeze at a time. */
static struct kn_capture *frozen;
static bool can_ask;
static uint32_t thaws;

void kn_wait(uint32_t *word, uint32_t while_is, uint64_t timeout_ns)
{
    const struct timespec t = {
        (time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u)};
    (void)KN_SYS4(SYS_futex, word, FUTEX_WAIT_PRIVATE, while_is, timeout_ns ? &t : NULL);
}

void kn_wake(uint32_t *word)
{
    (void)KN_SYS3(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX);
}

static struct kn_thread *slot_of(struct kn_capture *c, uint32_t tid)
{
    uint32_t n = __atomic_load_n(&c->n_threads, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < n; i++) {
        if (c->threads[i].tid == tid)
            return &c->threads[i];
    }
    return NULL;
}

/* The slot rides in the signal; when the queue was full it has to be looked for. */
static struct kn_thread *own_slot(struct kn_capture *c, const siginfo_t *info)
{
    uint32_t tid = (uint32_t)KN_SYS0(SYS_gettid);
    if (info->si_code == SI_QUEUE) {
        struct kn_thread *t = (struct kn_thread *)info->si_value.sival_ptr;
        if (t >= c->threads && t < c->threads + c->max_threads && t->tid == tid)
            return t;
    }
    return slot_of(c, tid);
}

void kn_threads_park(const siginfo_t *info, const ucontext_t *uc)
{
    uint32_t before = __atomic_load_n(&thaws, __ATOMIC_ACQUIRE);
    struct kn_capture *c = __atomic_load_n(&frozen, __ATOMIC_ACQUIRE);
    struct kn_thread *t = c ? own_slot(c, info) : NULL;
    if (!t || __atomic_load_n(&t->state, __ATOMIC_ACQUIRE) != KN_THREAD_ASKED)
        return;
    KN_FAILPOINT("park");
    t->uc = uc;
    __atomic_store_n(&t->state, KN_THREAD_HERE, __ATOMIC_RELEASE);
    uint32_t here = __atomic_add_fetch(&c->n_here, 1, __ATOMIC_ACQ_REL);
    if (here >= __atomic_load_n(&c->wanted, __ATOMIC_ACQUIRE))
        kn_wake(&c->n_here);
    while (__atomic_load_n(&thaws, __ATOMIC_ACQUIRE) == before)
        kn_wait(&thaws, before, 0);
}

/* Who blocked the signal has it still. It must not wait for the program that this one
 * becomes by execve(2), which would die of it: what is ignored is forgotten. */
static void forget_unheard(int signo)
{
    struct kn_sigaction now;
    if (kn_sigaction(signo, NULL, &now))
        return;
    (void)kn_sigaction(signo, &kn_ignore, NULL);
    (void)kn_sigaction(signo, &now, NULL);
}

void kn_threads_thaw(void)
{
    const struct kn_capture *c = frozen;
    if (!c)
        return;
    if (__atomic_load_n(&c->n_here, __ATOMIC_ACQUIRE) < c->n_asked)
        forget_unheard(c->process->park_signal);
    __atomic_store_n(&frozen, NULL, __ATOMIC_RELEASE);
    __atomic_add_fetch(&thaws, 1, __ATOMIC_ACQ_REL);
    kn_wake(&thaws);
}

static int ask(struct kn_capture *c, struct kn_thread *t)
{
    int signo = c->process->park_signal;
    siginfo_t info;
    if (!can_ask)
        return -EBUSY;
    memset(&info, 0, sizeof info);
    info.si_signo = signo;
    info.si_code = SI_QUEUE;
    info.si_pid = c->process->pid;
    info.si_value.sival_ptr = t;
    long r = KN_SYS4(SYS_rt_tgsigqueueinfo, c->process->pid, t->tid, signo, &info);
    if (r == -EAGAIN) /* RLIMIT_SIGPENDING: a signal without room for the slot */
        r = KN_SYS3(SYS_tgkill, c->process->pid, t->tid, signo);
    return (int)r;
}

/* Returns whether the thread is new. */
static bool meet(struct kn_capture *c, uint32_t tid, bool first_scan)
{
    if (tid == c->tid || (!first_scan && slot_of(c, tid)))
        return false;
    if (c->n_threads >= c->max_threads) {
        c->n_threads_dropped += first_scan;
        return false;
    }
    struct kn_thread *t = &c->threads[c->n_threads];
    *t = (struct kn_thread){.tid = tid, .state = KN_THREAD_ASKED};
    t->uc = kn_gate_crashed_too(tid);
    if (t->uc)
        t->state = KN_THREAD_HERE;
    __atomic_store_n(&c->n_threads, c->n_threads + 1, __ATOMIC_RELEASE);
    if (t->uc)
        return true;
    if (ask(c, t))
        __atomic_store_n(&t->state, KN_THREAD_DEAF, __ATOMIC_RELEASE);
    else
        c->n_asked++;
    return true;
}

/* One pass over the task folder. Returns how many threads were new. */
static uint32_t scan(struct kn_capture *c, int dir, bool first)
{
    struct entry { /* linux_dirent64, getdents(2) */
        uint64_t inode, offset;
        uint16_t n_bytes;
        uint8_t type;
        char name[];
    };
    uint32_t n_new = 0;
    (void)KN_SYS3(SYS_lseek, dir, 0, SEEK_SET);
    for (;;) {
        long n = KN_SYS3(SYS_getdents64, dir, c->scratch, sizeof c->scratch);
        if (n <= 0)
            return n_new;
        for (long at = 0; at < n;) {
            const struct entry *e = (const struct entry *)(const void *)(c->scratch + at);
            const char *name = e->name;
            uint32_t tid = (uint32_t)kn_number(&name, name + 10, 10);
            at += e->n_bytes;
            if (tid && meet(c, tid, first))
                n_new++;
        }
    }
}

static void task_name(char *out, size_t room, uint32_t tid, const char *file)
{
    struct kn_text t;
    kn_text_init(&t, out, room);
    kn_text_put(&t, "task/");
    kn_text_dec(&t, tid);
    kn_text_put(&t, file);
}

/* Whether a thread waits for signals by sigwait(3) or its like: in that system call. */
static bool takes_signals(struct kn_capture *c, uint32_t tid)
{
    char name[64], text[32];
    task_name(name, sizeof name, tid, "/syscall");
    int n = kn_proc_read(c, name, text, sizeof text);
    const char *p = text;
    return n > 0 && kn_number(&p, text + n, 10) == SYS_rt_sigtimedwait && p > text;
}

/* Whether a thread will never answer: it blocks the signal or has ended, or has taken it
 * without a handler: it is not pending any more, and the thread waits for the next. After
 * a while also one that only the kernel can wake: state D, or T and t, stopped. */
static bool is_deaf(struct kn_capture *c, uint32_t tid, bool after_a_while)
{
    char name[64], *text = (char *)c->scratch;
    bool is_pending = true;
    const uint64_t bit = kn_signal_bit(c->process->park_signal);
    task_name(name, sizeof name, tid, "/status");
    int n = kn_proc_read(c, name, text, sizeof c->scratch);
    if (n == -ENOENT || n == -ESRCH)
        return true;
    for (int i = 0; i + 24 < n; i++) {
        const char *p = text + i + 9;
        if (after_a_while && !memcmp(text + i, "\nState:\t", 8)) {
            char state = text[i + 8];
            if (state != 'R' && state != 'S')
                return true;
        }
        if (!memcmp(text + i, "\nSigPnd:\t", 9))
            is_pending = kn_number(&p, p + 16, 16) & bit;
        else if (!memcmp(text + i, "\nSigBlk:\t", 9))
            return kn_number(&p, p + 16, 16) & bit ||
                   (!is_pending && takes_signals(c, tid));
    }
    return false;
}

static void give_up_on_the_deaf(struct kn_capture *c, bool after_a_while)
{
    for (uint32_t i = 1; i < c->n_threads; i++) {
        struct kn_thread *t = &c->threads[i];
        uint32_t asked = KN_THREAD_ASKED;
        if (__atomic_load_n(&t->state, __ATOMIC_ACQUIRE) != asked ||
            !is_deaf(c, t->tid, after_a_while))
            continue;
        if (__atomic_compare_exchange_n(&t->state, &asked, KN_THREAD_DEAF, false,
                __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            c->n_deaf++;
    }
}

/* On a machine that is busy enough the willing take long, too: until @end. */
static void wait_for_them(struct kn_capture *c, uint64_t end)
{
    uint64_t start = kn_now_ns(CLOCK_MONOTONIC), now = start;
    uint32_t last = ~0u;
    for (;;) {
        uint32_t wanted = c->n_asked - c->n_deaf;
        __atomic_store_n(&c->wanted, wanted, __ATOMIC_RELEASE);
        uint32_t here = __atomic_load_n(&c->n_here, __ATOMIC_ACQUIRE);
        if (here >= wanted || now > end)
            return;
        if (here == last)
            give_up_on_the_deaf(c, now - start > PATIENCE_NS);
        last = here;
        if (here < c->n_asked - c->n_deaf)
            kn_wait(&c->n_here, here, SLICE_NS);
        now = kn_now_ns(CLOCK_MONOTONIC);
    }
}

bool kn_threads_can_park(const struct kn_process *p)
{
    struct kn_sigaction now;
    if (!p->park.handler)
        return false;
    if (kn_sigaction(p->park_signal, NULL, &now)) /* a filter; it was fine at the start */
        return true;
    if (now.handler && now.handler != kn_ignore.handler)
        return now.handler == p->park.handler;
    return !kn_sigaction(p->park_signal, &p->park, NULL);
}

void kn_threads_freeze(struct kn_capture *c)
{
    int dir = kn_proc_open(c, "task", O_DIRECTORY);
    if (dir < 0) {
        kn_note(c, dir, 0);
        return;
    }
    can_ask = kn_threads_can_park(c->process);
    if (!can_ask)
        kn_note(c, -EBUSY, 0);
    /* All scans together: a quarter of the deadline is left for writing. */
    uint64_t end = c->start_ns + c->process->deadline_ms * 750000ull;
    __atomic_store_n(&c->wanted, ~0u, __ATOMIC_RELEASE);
    __atomic_store_n(&frozen, c, __ATOMIC_RELEASE);
    KN_FAILPOINT("freeze.asked");
    for (int i = 0; i < MAX_SCANS; i++) {
        if (!scan(c, dir, i == 0))
            break;
        /* What lies ahead takes a while; the disk takes its own while they stop. */
        if (i == 0 && c->n_threads > N_MANY)
            kn_make_durable(c);
        wait_for_them(c, end);
    }
    kn_close(dir);
    if (c->n_threads_dropped)
        kn_note(c, 0, c->n_threads_dropped);
}

/* "NUMBER ARG1..6 SP PC", "-1 SP PC" outside of a system call, or "running". */
static bool read_syscall(
    struct kn_capture *c, uint32_t tid, kn_context *ret, uint64_t *sp)
{
    char name[64], text[256];
    task_name(name, sizeof name, tid, "/syscall");
    int n = kn_proc_read(c, name, text, sizeof text);
    if (n <= 0 || text[0] == 'r')
        return false;
    uint64_t v[N_SYSCALL_FIELDS] = {0};
    int n_fields = 0;
    const char *p = text, *end = text + n;
    bool outside = text[0] == '-';
    while (p < end && n_fields < N_SYSCALL_FIELDS) {
        p += *p == '-';
        if (end - p > 2 && p[1] == 'x')
            p += 2;
        v[n_fields] = kn_number(&p, end, n_fields ? 16 : 10);
        n_fields++;
        while (p < end && (*p == ' ' || *p == '\n'))
            p++;
    }
    if (n_fields < 3)
        return false;
    *sp = v[n_fields - 2];
    kn_regs_from_syscall(outside ? ~0ull : v[0], v + 1, *sp, v[n_fields - 1], ret);
    return true;
}

static uint32_t stack_share(uint32_t i)
{
    return i < N_GENEROUS ? FULL_STACK_BYTES
           : i < N_MODEST ? MODEST_STACK_BYTES
                          : LEAST_STACK_BYTES;
}

static void put_thread(struct kn_capture *c, uint32_t i)
{
    struct kn_thread *t = &c->threads[i];
    kn_context context;
    uint64_t sp = 0;
    if (__atomic_load_n(&t->state, __ATOMIC_ACQUIRE) == KN_THREAD_HERE) {
        kn_regs_record(t->uc, &context);
        kn_sanitize_registers(c, &context);
        sp = kn_regs_sp(t->uc);
        t->how = KNELL_THREAD_SIGNAL;
    } else if (read_syscall(c, t->tid, &context, &sp)) {
        t->how = KNELL_THREAD_SYSCALL;
    } else {
        const uint64_t none[6] = {0};
        kn_regs_from_syscall(0, none, 0, 0, &context);
        t->how = KNELL_THREAD_NONE;
    }
    kn_sink_align(&c->sink, 16);
    uint32_t at = kn_sink_at(&c->sink);
    kn_sink_put(&c->sink, &context, sizeof context);
    if (sp)
        kn_stack_put(c, t, sp, stack_share(i));
    t->context_rva = at;
}

static void put_name(struct kn_capture *c, struct kn_thread *t)
{
    char name[64], text[32];
    task_name(name, sizeof name, t->tid, "/comm");
    int n = kn_proc_read(c, name, text, sizeof text);
    if (n > 0 && text[n - 1] == '\n')
        n--;
    if (n > 0)
        t->name_rva = kn_put_utf16(c, text, (size_t)n);
}

/* A full disk: give up the last stacks, so that the lists of what is there have room. */
static void make_room(struct kn_capture *c)
{
    uint64_t end = kn_sink_at(&c->sink), needed = 16384 + 256ull * c->n_threads;
    uint32_t n_lost = 0;
    for (uint32_t i = c->n_threads; c->sink.err && i-- > 1;) {
        struct kn_thread *t = &c->threads[i];
        if (!t->context_rva)
            continue;
        n_lost++;
        uint32_t at = t->context_rva;
        t->context_rva = t->n_stack = t->name_rva = 0;
        if (end - at < needed)
            continue;
        int why = c->sink.err;
        kn_sink_rewind(&c->sink, at);
        kn_note(c, why, n_lost);
        for (uint32_t k = 0; k < i; k++) /* names lie behind all stacks */
            c->threads[k].name_rva = 0;
    }
}

static void put_names_and_methods(struct kn_capture *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n_threads; i++)
        n += c->threads[i].name_rva != 0;
    kn_sink_align(&c->sink, 8);
    uint32_t at = kn_sink_at(&c->sink);
    kn_sink_put(&c->sink, &n, sizeof n);
    for (uint32_t i = 0; i < c->n_threads; i++) {
        const struct kn_thread *t = &c->threads[i];
        const struct knell_md_thread_name name = {t->tid, t->name_rva};
        if (t->name_rva)
            kn_sink_put(&c->sink, &name, sizeof name);
    }
    kn_stream(c, KNELL_STREAM_THREAD_NAMES, at, kn_sink_at(&c->sink) - at);
    at = kn_sink_at(&c->sink);
    for (uint32_t i = 0; i < c->n_threads; i++) {
        const struct knell_thread_method m = {c->threads[i].tid, c->threads[i].how};
        if (c->threads[i].context_rva)
            kn_sink_put(&c->sink, &m, sizeof m);
    }
    kn_stream(c, KNELL_STREAM_THREAD_METHODS, at, kn_sink_at(&c->sink) - at);
}

void kn_threads_put(struct kn_capture *c)
{
    for (uint32_t i = 1; i < c->n_threads && !c->sink.err; i++)
        put_thread(c, i);
    for (uint32_t i = 0; i < c->n_threads && !c->sink.err; i++)
        put_name(c, &c->threads[i]);
    if (c->sink.err)
        make_room(c);
    kn_stack_thread_list(c);
    put_names_and_methods(c);
    kn_gate_put_others(c);
}
