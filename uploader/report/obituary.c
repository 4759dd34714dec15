#include "uploader/report/obituary.h"

#include "uploader/report/signal_words.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#define UNSEEN                                                                           \
    "a fatal signal that no handler could see, such as a stack overflow without an "     \
    "alternate signal stack"

__attribute__((format(printf, 2, 3))) static void reason(
    struct obituary *o, const char *format, ...)
{
    if (o->n_reasons == OBITUARY_MAX_REASONS)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(o->reasons[o->n_reasons++], OBITUARY_TEXT_BYTES, format, args);
    va_end(args);
}

static void say(struct obituary *o, enum obituary_cause cause, int signo,
    const char *type, const char *value)
{
    o->cause = cause;
    o->signo = signo;
    (void)snprintf(o->type_text, sizeof o->type_text, "signal %d", signo);
    if (!type)
        type = signal_words_name(signo);
    o->type = type ? type : o->type_text;
    (void)snprintf(o->value, sizeof o->value, "%s", value);
}

/* Whether a counter of OOM kills moved while the process lived. */
static bool grew(uint64_t before, uint64_t now)
{
    return before != UINT64_MAX && now != UINT64_MAX && now > before;
}

static void weigh_memory(
    struct obituary *o, const struct journal *j, const struct obituary_evidence *e)
{
    uint64_t before = j->head->oom_kills_at_start;
    bool ours = grew(before, e->cgroup_oom_kills);
    if (e->kernel_line[0])
        reason(o, "the kernel's log: %s", e->kernel_line);
    if (ours)
        reason(o, "the cgroup %s had %llu OOM kills at the start and has %llu now",
            j->head->cgroup, (unsigned long long)before,
            (unsigned long long)e->cgroup_oom_kills);
    else if (before != UINT64_MAX && e->cgroup_oom_kills != UINT64_MAX)
        reason(o, "the cgroup %s counts no OOM kill since the start", j->head->cgroup);
    else
        reason(o, "the cgroup's OOM counter cannot be read");
    if (!ours && grew(j->status.vm_oom_kills_at_start, e->vm_oom_kills))
        reason(o, "the machine counts OOM kills since the start, perhaps of others");
    if (ours || e->kernel_line[0])
        say(o, OBITUARY_OOM, SIGKILL, "OOMKill", "killed by the kernel: out of memory");
}

/* Ends that are somebody's wish and no fault of the daemon. */
static bool is_orderly(int signo)
{
    return signo == SIGTERM || signo == SIGINT || signo == SIGHUP || signo == SIGQUIT ||
           signo == SIGPWR;
}

static bool judge_notes(struct obituary *o, const struct journal *j)
{
    const struct knell_journal_status *s = &j->status;
    uint32_t state = j->head->state;
    if (state == KNELL_RUN_CLEAN || state == KNELL_RUN_DUMPED || s->exiting)
        return true;
    if (state == KNELL_RUN_CRASHING) {
        reason(o, "the handler had begun and wrote no report");
        say(o, OBITUARY_SIGNAL, j->head->crash_signo, NULL,
            "crashed, and the report could not be written");
        return true;
    }
    if (s->noted_signal <= 0 || s->noted_signal > 64)
        return false;
    if (is_orderly(s->noted_signal))
        return true;
    reason(o, "the signal was noted on its way to its default action");
    if (s->noted_sender_pid)
        reason(o, "it was sent by process %u", s->noted_sender_pid);
    say(o, OBITUARY_SIGNAL, s->noted_signal, NULL,
        "ended by a signal that the program does not handle");
    return true;
}

void obituary_judge(const struct journal *j, const struct obituary_evidence *evidence,
    struct obituary *ret)
{
    *ret = (struct obituary){.cause = OBITUARY_NONE};
    uint8_t none[16] = {0};
    bool boot_known = evidence->has_boot_id && memcmp(j->head->boot_id, none, 16);
    if (judge_notes(ret, j))
        return;
    reason(ret, "no clean end, exit or signal was noted in the journal");
    if (boot_known && memcmp(j->head->boot_id, evidence->boot_id, 16)) {
        reason(ret, "the machine has another boot id now");
        say(ret, OBITUARY_REBOOT, 0, "PowerLossOrReboot",
            "the machine lost power, was reset or rebooted");
        return;
    }
    if (evidence->signal_line[0]) {
        reason(ret, "the kernel's log: %s", evidence->signal_line);
        if (evidence->core[0])
            reason(ret, "a core file of it lies at %s", evidence->core);
        say(ret, OBITUARY_SIGNAL, evidence->signal_signo, NULL, UNSEEN);
        return;
    }
    if (evidence->core[0]) {
        reason(ret, "a core file of it lies at %s", evidence->core);
        say(ret, OBITUARY_CORE, 0, "CrashWithoutHandler", UNSEEN);
        return;
    }
    weigh_memory(ret, j, evidence);
    if (ret->cause)
        return;
    uint32_t notes = KNELL_JOURNAL_NOTES_EXIT | KNELL_JOURNAL_NOTES_SIGNALS;
    if (!boot_known || (j->head->flags & notes) != notes) {
        reason(ret, boot_known ? "exits and signals were not noted"
                               : "the boot id cannot be compared");
        say(ret, OBITUARY_UNKNOWN, 0, "UncleanExit",
            "the process ended without a word; how cannot be told");
        return;
    }
    reason(ret, "the machine is still the same boot");
    reason(ret,
        "what is left is SIGKILL, _exit(2), execve(2) of a program without knell, a "
        "signal that a handler of the program's "
        "own took before this one, or a stack overflow without an alternate signal "
        "stack");
    /* systemd removes a service's cgroup with it: then nobody knows whose kill it was. */
    bool perhaps = evidence->cgroup_oom_kills == UINT64_MAX &&
                   grew(j->status.vm_oom_kills_at_start, evidence->vm_oom_kills);
    say(ret, OBITUARY_KILLED, SIGKILL, "SIGKILL",
        perhaps ? "killed from outside, perhaps for want of memory"
                : "killed from outside");
}
