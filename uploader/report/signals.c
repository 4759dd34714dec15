#include "uploader/report/signals.h"

#include "uploader/report/crash.h"
#include "uploader/report/parse.h"
#include "uploader/report/signal_words.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { NULL_PAGE_BYTES = 4096, GUARD_BYTES = 65536 };

/* A fault right below the stack that the thread stands on. */
static bool near_stack_end(const struct crash *c, uint64_t address)
{
    char said[8];
    if (crash_text_value(&c->facts, "fault.stack_overflow", '=', said, sizeof said))
        return said[0] == '1';
    if (c->crashed_thread < 0)
        return false;
    uint64_t sp = crash_thread_sp(c, &c->threads[c->crashed_thread]);
    return sp && address + GUARD_BYTES >= sp && address < sp + 8;
}

static const char *fault(const struct crash *c)
{
    const struct knell_signal_record *s = &c->signal;
    const struct crash_thread *t =
        c->crashed_thread < 0 ? NULL : &c->threads[c->crashed_thread];
    if (s->code == SI_KERNEL && !s->address)
        return "non-canonical address or protection fault";
    if (s->code != SEGV_MAPERR && s->code != SEGV_ACCERR)
        return NULL;
    if (t && t->has_registers && crash_thread_pc(c, t) == s->address)
        return s->address < NULL_PAGE_BYTES ? "call through null pointer"
                                            : "jump to an address that is no code";
    if (s->address < NULL_PAGE_BYTES) {
        char access[16];
        (void)crash_text_value(&c->facts, "fault.access", '=', access, sizeof access);
        return !strcmp(access, "write")  ? "write through null pointer"
               : !strcmp(access, "read") ? "read through null pointer"
                                         : "null pointer access";
    }
    return near_stack_end(c, s->address) ? "stack overflow" : NULL;
}

void signal_text(const struct crash *c, char *out, size_t n)
{
    const struct knell_signal_record *s = &c->signal;
    out[0] = 0;
    if (!c->has_signal)
        return;
    const char *code = signal_words_code(s->signo, s->code);
    const char *words = s->signo == SIGSEGV ? fault(c) : NULL;
    if (!words && s->signo == SIGABRT && s->code == SI_TKILL)
        words = "aborted";
    if (!words)
        words = signal_words_code_meaning(s->signo, s->code);
    if (!words)
        words = signal_words_meaning(s->signo);
    if (code)
        (void)snprintf(out, n, "%s: %s", code, words);
    else
        (void)snprintf(out, n, "code %d: %s", s->code, words);
}
