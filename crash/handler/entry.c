#include "crash/handler/entry.h"

#include "crash/handler/cxx.h"
#include "crash/handler/end.h"
#include "crash/handler/evidence.h"
#include "crash/handler/failpoint.h"
#include "crash/handler/gate.h"
#include "crash/handler/maps.h"
#include "crash/handler/mend.h"
#include "crash/handler/minidump.h"
#include "crash/handler/modules.h"
#include "crash/handler/previous.h"
#include "crash/handler/proc.h"
#include "crash/handler/publish.h"
#include "crash/handler/regs.h"
#include "crash/handler/stack.h"
#include "crash/handler/texts.h"
#include "crash/handler/threads.h"
#include "crash/handler/unwind.h"
#include "crash/handler/words.h"
#include <errno.h>
#include <stddef.h>

#include "crash/handler/poison.h"

enum {
    AFTER_DEADLINE_MS = 500, /* for what still has to be done */
    KILL_MS = 15000,         /* after the deadline: the kernel does, by another signal; a
                                disk that is only slow takes seconds */
    MAX_REPORTS = 8,         /* of one process, whose own handlers recover */
};

/* Both atomic; NULL: not armed. The capture is for who has the turn; the process stays
 * where it is for good, all zero while knell is stopped. */
static struct kn_capture *armed;
static struct kn_process *armed_process;

/* The capture that runs, as nested signals see it. */
static struct {
    struct kn_jump jump;
    volatile uint32_t next; /* step to begin after a jump */
    volatile uint32_t running;
    volatile uint32_t is_late; /* the deadline has passed: only what a report must have */
    volatile uint32_t again;   /* bit per step that is on its second try */
    struct kn_capture *capture;
    int32_t timer, rescue, kill; /* timer_t of the kernel; -1: none */
} run = {.timer = -1, .rescue = -1, .kill = -1};

/* Reports of a process that may live on: never two of the same instruction and signal. */
static struct {
    uint64_t pc;
    int signo;
} reported[MAX_REPORTS];
static uint32_t n_reported;

void kn_entry_arm(struct kn_capture *c)
{
    n_reported = 0;
    __atomic_store_n(&armed, c, __ATOMIC_RELEASE);
    __atomic_store_n(&armed_process, c ? c->process : NULL, __ATOMIC_RELEASE);
}

struct kn_process *kn_entry_process(void)
{
    return __atomic_load_n(&armed_process, __ATOMIC_ACQUIRE);
}

static void do_step(struct kn_capture *c, uint32_t step)
{
    switch (step) {
    case KNELL_STEP_WORDS:
        kn_words_put(c);
        kn_evidence_sender(c);
        break;
    case KNELL_STEP_OPEN:
        kn_publish_open(c);
        break;
    case KNELL_STEP_MODULES:
        kn_modules_check(c);
        break;
    case KNELL_STEP_MAPS:
        kn_maps_read(c);
        break;
    case KNELL_STEP_CRASHED:
        kn_stack_crashed(c);
        kn_stack_thread_list(c);
        break;
    case KNELL_STEP_SIGNAL:
        kn_evidence_signal(c);
        break;
    case KNELL_STEP_MODULE_LIST:
        kn_modules_put(c);
        break;
    case KNELL_STEP_SYSTEM:
        kn_evidence_system(c);
        break;
    case KNELL_STEP_JOURNAL:
        kn_evidence_journal(c);
        break;
    case KNELL_STEP_MESSAGE:
        kn_evidence_abort_message(c);
        break;
    case KNELL_STEP_MEMORY:
        kn_stack_memory(c);
        break;
    case KNELL_STEP_COMMIT_1:
        kn_commit(c, false);
        break;
    case KNELL_STEP_FRAMES:
        kn_unwind(c);
        break;
    case KNELL_STEP_FREEZE:
        if (!c->alone)
            kn_threads_freeze(c);
        break;
    case KNELL_STEP_THREADS:
        if (!c->alone)
            kn_threads_put(c);
        break;
    case KNELL_STEP_TEXTS:
        kn_texts_put(c);
        break;
    case KNELL_STEP_COMMIT_2:
        kn_unwind_put(c);
        kn_commit(c, false);
        break;
    case KNELL_STEP_CXX:
        kn_cxx_put(c);
        break;
    case KNELL_STEP_COMMIT_3:
        kn_unwind_put(c);
        kn_commit(c, true);
        break;
    case KNELL_STEP_PUBLISH:
        kn_publish(c);
        break;
    default:
        break;
    }
}

static const char *const step_names[] = {"", "words", "open", "modules", "maps",
    "crashed", "signal", "module_list", "system", "journal", "message", "memory",
    "commit_1", "frames", "freeze", "threads", "texts", "commit_2", "cxx", "commit_3",
    "publish"};

/* The least that makes a report. */
static const uint32_t least = 1u << KNELL_STEP_OPEN | 1u << KNELL_STEP_CRASHED |
                              1u << KNELL_STEP_SIGNAL | 1u << KNELL_STEP_MODULE_LIST |
                              1u << KNELL_STEP_SYSTEM | 1u << KNELL_STEP_COMMIT_1;

/* After the deadline: say so in the report and publish it; and where nothing is committed
 * yet, first the least. */
static bool is_needed(const struct kn_capture *c, uint32_t step)
{
    const uint32_t last = 1u << KNELL_STEP_COMMIT_3 | 1u << KNELL_STEP_PUBLISH;
    return !run.is_late || last & 1u << step || (!c->n_commits && least & 1u << step);
}

/* After the deadline each step has its own time: not what the one before it left. */
static void give_time(void)
{
    const struct itimerspec when = {.it_value = {0, AFTER_DEADLINE_MS * 1000000L},
        .it_interval = {0, AFTER_DEADLINE_MS * 1000000L}};
    if (run.is_late && run.timer >= 0)
        (void)KN_SYS4(SYS_timer_settime, run.timer, 0, &when, NULL);
}

/**
 * Write one report of a thread into c's file, step by step. A step that faults is left
 * out.
 *
 * Context: signal handler, or normal for a report that no signal made.
 */
static void run_steps(struct kn_capture *c)
{
    run.next = KNELL_STEP_WORDS;
    run.is_late = run.again = 0;
    run.capture = c;
    (void)kn_jump_set(&run.jump); /* a nested signal comes back here, at the next step */
    run.running = 1;
    while (run.next < KNELL_STEP_END) {
        uint32_t step = run.next++;
        if (!is_needed(c, step))
            continue;
        c->step = step;
        /* Where the process lives on nobody waits for the disk. */
        if (!c->info && step > KNELL_STEP_THREADS)
            kn_threads_thaw();
        give_time();
        kn_words_step(c, step);
        KN_FAILPOINT(step_names[c->step]);
        do_step(c, c->step);
    }
    run.running = 0;
    KN_FAILPOINT(step_names[0]);
    (void)step_names;
}

/* @tid 0: whichever thread hears it. */
static int32_t start_timer(int signo, const void *value, uint32_t tid, uint32_t ms)
{
    struct {
        const void *value;
        int32_t signo, notify, tid, pad[11];
    } event = {value, signo, tid ? SIGEV_THREAD_ID : SIGEV_SIGNAL, (int32_t)tid, {0}};
    const struct itimerspec when = {.it_value = {ms / 1000, (long)(ms % 1000) * 1000000},
        .it_interval = {0, AFTER_DEADLINE_MS * 1000000L}};
    int32_t timer;
    if (KN_SYS3(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer))
        return -1;
    (void)KN_SYS4(SYS_timer_settime, timer, 0, &when, NULL);
    return timer;
}

static void stop_timer(int32_t *timer)
{
    if (*timer >= 0)
        (void)KN_SYS1(SYS_timer_delete, *timer);
    *timer = -1;
}

/* Timers of their own: the process's alarms stay as they are. The first one reaches this
 * thread wherever it runs or waits; not in a write to a file system whose server is gone,
 * which the kernel lets only the end of the process interrupt. That is what the others
 * bring about: of a process that dies anyway. */
static void start_deadline(struct kn_capture *c)
{
    const int signo = c->process->park_signal;
    const uint32_t ms = c->process->deadline_ms;
    const bool can_park = kn_threads_can_park(c->process);
    c->start_ns = kn_now_ns(CLOCK_MONOTONIC);
    run.timer = can_park ? start_timer(signo, &run, c->tid, ms) : -1;
    if (!c->info)
        return;
    if (can_park)
        run.rescue = start_timer(signo, &run.rescue, 0, ms + KN_RESCUE_MS);
    run.kill = start_timer(SIGKILL, NULL, 0, ms + KILL_MS);
}

static void stop_deadline(void)
{
    stop_timer(&run.timer);
    stop_timer(&run.rescue);
    stop_timer(&run.kill);
}

/* The thread that writes does not come back. Its signal ends the process from this one,
 * whatever this one was doing. */
static void on_rescue(const struct kn_capture *c)
{
    if (kn_gate_is_mine() || !c->info)
        return;
    siginfo_t info = *c->info;
    kn_end_instead(c->process, c->signo, &info);
}

static void on_deadline(void)
{
    struct kn_capture *c = run.capture;
    if (!run.running || (uint32_t)KN_SYS0(SYS_gettid) != c->tid)
        return;
    c->notes[c->n_notes < KN_MAX_NOTES ? c->n_notes++ : 0] =
        (struct knell_capture_note){(uint16_t)c->step, KNELL_NOTE_DEADLINE, 0};
    /* The timer goes on: a later step that hangs is cut off as well. */
    run.is_late = 1;
    kn_set_mask(kn_end_mask(c->process));
    kn_jump_to(&run.jump);
}

void kn_on_park(int signo, siginfo_t *info, void *uc)
{
    const struct kn_process *p = kn_entry_process();
    (void)signo;
    kn_clear_flags();
    if (!p || KN_SYS0(SYS_getpid) != p->pid)
        return;
    if (info->si_code == SI_TIMER) {
        if (info->si_value.sival_ptr == &run)
            on_deadline();
        if (info->si_value.sival_ptr == &run.rescue)
            on_rescue(run.capture);
        return;
    }
    kn_threads_park(info, (const ucontext_t *)uc);
}

/* The handler itself faulted: go on with the next step. One that a report needs gets a
 * second try: what it read may have gone away just then. */
static void on_fault_inside(int signo)
{
    struct kn_capture *c = run.capture;
    if (!run.running)
        return;
    const uint32_t step = 1u << c->step;
    if (least & step & ~run.again) {
        run.again |= step;
        run.next = c->step;
    }
    c->notes[c->n_notes < KN_MAX_NOTES ? c->n_notes++ : 0] = (struct knell_capture_note){
        (uint16_t)c->step, (uint16_t)(KNELL_NOTE_FAULT + (uint32_t)signo), 0};
    kn_jump_to(&run.jump);
}

/* What ends the process is, unless it is what was reported last: the previous handler has
 * given itself up and let it happen again. */
static bool worth_a_report(const struct kn_process *p, int signo, uint64_t pc)
{
    bool is_final = kn_end_is_final(p, signo);
    for (uint32_t i = is_final && n_reported ? n_reported - 1 : 0; i < n_reported; i++) {
        if (reported[i].pc == pc && reported[i].signo == signo)
            return false;
    }
    if (n_reported == MAX_REPORTS)
        return is_final;
    reported[n_reported].pc = pc;
    reported[n_reported++].signo = signo;
    return true;
}

static void write_report(
    struct kn_capture *c, int signo, const siginfo_t *info, const ucontext_t *uc)
{
    kn_capture_reset(c);
    c->signo = signo;
    c->info = info;
    c->uc = uc;
    c->tid = (uint32_t)KN_SYS0(SYS_gettid);
    c->time_ns = kn_now_ns(CLOCK_REALTIME);
    start_deadline(c);
    run_steps(c);
    stop_deadline();
    if (!kn_end_is_final(c->process, signo))
        kn_publish_end(c);
}

int kn_capture_live(struct kn_capture *c)
{
    /* What is sent to this thread meanwhile is for the time after, and perhaps for
     * another thread, see kn_gate_keep(). */
    uint64_t all = ~0ull, old = 0;
    (void)KN_SYS4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof all);
    if (!kn_gate_try()) {
        kn_set_mask(old);
        return -EBUSY;
    }
    kn_set_mask(kn_end_mask(c->process));
    c->tid = (uint32_t)KN_SYS0(SYS_gettid);
    start_deadline(c);
    run_steps(c);
    stop_deadline();
    kn_threads_thaw();
    kn_set_mask(all);
    kn_gate_leave();
    if (c->sink.fd >= 0)
        kn_close(c->sink.fd);
    kn_set_mask(old);
    return c->n_commits ? 0 : -EIO;
}

void kn_on_signal(int signo, siginfo_t *info, void *ucontext)
{
    const ucontext_t *uc = (const ucontext_t *)ucontext;
    struct kn_process *p = kn_entry_process();
    kn_clear_flags();
    if (kn_end_lost_siginfo(signo, uc, __builtin_dwarf_cfa()))
        return;
    const int32_t pid = p ? __atomic_load_n(&p->pid, __ATOMIC_ACQUIRE) : 0;
    if (!pid) {
        kn_end_stopped(signo, info, (ucontext_t *)ucontext);
        return;
    }
    /* A child of vfork(2) shares this memory: it must not write to it. */
    if (KN_SYS0(SYS_getpid) != pid) {
        kn_end_child(p, signo, info, (ucontext_t *)ucontext);
        return;
    }
    if (kn_mend(p, signo, info))
        return;
    if (kn_previous_is_round(signo, info, uc, __builtin_dwarf_cfa()) ||
        kn_end_would_ignore(p, signo, info))
        return;
    kn_set_mask(kn_end_mask(p));
    enum kn_turn turn;
    do
        turn = kn_gate_enter(p, info, uc);
    while (turn == KN_TURN_RETRY);
    struct kn_capture *c = __atomic_load_n(&armed, __ATOMIC_ACQUIRE);
    if (turn == KN_TURN_FIRST && !c) { /* it was stopped while this thread waited */
        kn_gate_leave();
        kn_end_stopped(signo, info, (ucontext_t *)ucontext);
        return;
    }
    /* But for what the program's own code in that step sends: abort(3) goes on to end the
     * process by itself. */
    if (turn == KN_TURN_AGAIN && kn_was_sent(info) &&
        run.capture->step != KNELL_STEP_CXX) {
        kn_gate_keep(info);
        return;
    }
    if (turn == KN_TURN_AGAIN)
        on_fault_inside(signo);
    if (turn == KN_TURN_FIRST && !kn_previous_is_ending(p, signo, info, uc) &&
        !kn_end_is_mended(p, signo, info) && worth_a_report(p, signo, kn_regs_pc(uc)))
        write_report(c, signo, info, uc);
    kn_end(p, signo, info, uc, turn == KN_TURN_FIRST);
}
