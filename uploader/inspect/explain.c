#include "uploader/inspect/explain.h"

#include "symbolize/demangle.h"
#include "uploader/inspect/maps.h"
#include "uploader/report/frames.h"
#include "uploader/report/notes.h"
#include "uploader/report/parse.h"
#include "uploader/report/signal_words.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    NULL_PAGE = 0x10000, /* vm.mmap_min_addr: nothing is ever mapped below */
    NEAR_STACK = 0x20000,
    NEAR_MAPPING = 0x1000,
    MIN_RECURSION = 20,
    MAX_PERIOD = 8,
    MAX_LEAVES = 16, /* frames above those that recur */
    MAX_SUSPECTS = 3,
    MIN_TEXT = 5, /* bytes */
    TEXT_OF_BYTES = 32,
};

static const char *const amd64_names[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp",
    "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"};
static const char *const arm64_names[] = {"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7",
    "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19",
    "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "fp", "lr", "sp",
    "pc"};

unsigned explain_n_registers(uint16_t arch)
{
    return arch == KNELL_MINIDUMP_ARCH_ARM64 ? sizeof arm64_names / sizeof *arm64_names
                                             : sizeof amd64_names / sizeof *amd64_names;
}

const char *explain_register_name(uint16_t arch, unsigned i)
{
    if (i >= explain_n_registers(arch))
        return NULL;
    return arch == KNELL_MINIDUMP_ARCH_ARM64 ? arm64_names[i] : amd64_names[i];
}

/* Places of pc and sp among the registers. */
static unsigned explain_pc_register(uint16_t arch)
{
    return explain_n_registers(arch) - 1;
}

static unsigned explain_sp_register(uint16_t arch)
{
    return arch == KNELL_MINIDUMP_ARCH_ARM64 ? 31 : 7;
}

/* What the explanation is made from. */
struct scene {
    const struct crash *c;
    const struct crash_thread *thread; /* NULL: none crashed */
    uint64_t address, pc, sp;
    struct explain *out;
};

static void __attribute__((format(printf, 2, 3)))
cause(const struct scene *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(s->out->cause, sizeof s->out->cause, format, args);
    va_end(args);
}

static void __attribute__((format(printf, 2, 3)))
note(const struct scene *s, const char *format, ...)
{
    if (s->out->n_notes == EXPLAIN_MAX_NOTES)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(
        s->out->notes[s->out->n_notes++], sizeof s->out->notes[0], format, args);
    va_end(args);
}

/* Text that was written over a pointer, for the end of a sentence; "" when the bytes are
 * none. Shorter ones are addresses by chance. */
static const char *as_text(uint64_t v, char out[static TEXT_OF_BYTES])
{
    char text[sizeof v];
    int n = 0;
    out[0] = 0;
    for (; v; v >>= 8) {
        if ((v & 0xff) < ' ' || (v & 0xff) > '~')
            return out;
        text[n++] = (char)(v & 0xff); /* little-endian: the first byte is the lowest */
    }
    if (n >= MIN_TEXT)
        (void)snprintf(out, TEXT_OF_BYTES, ", the text \"%.*s\"", n, text);
    return out;
}

static bool is_canonical(uint64_t v)
{
    return !(v >> 47) || v >> 47 == 0x1ffff;
}

/* A general protection fault: the kernel says neither the address nor which of its causes
 * it was (Intel SDM volume 3, "Interrupt 13"). */
static void explain_protection(const struct scene *s)
{
    const struct crash_thread *t = s->thread;
    char text[TEXT_OF_BYTES];
    const unsigned n_before = s->out->n_notes;
    if (t && t->n_frames > 1 && !is_canonical(t->frames[1].pc))
        note(s, "The return address was overwritten: 0x%" PRIx64 "%s.", t->frames[1].pc,
            as_text(t->frames[1].pc, text));
    for (unsigned i = 0; t && t->has_registers && i < explain_pc_register(s->c->arch);
         i++)
        if (!is_canonical(t->registers[i]))
            note(s, "%s holds such a value: 0x%" PRIx64 "%s.",
                explain_register_name(s->c->arch, i), t->registers[i],
                as_text(t->registers[i], text));
    if (s->out->n_notes > n_before)
        cause(s, "pointer with an impossible (non-canonical) address");
    else
        cause(s, "general protection fault: a non-canonical address, a misaligned vector "
                 "access or a privileged instruction");
}

/* The general registers whose value lies just below the address; not when so many do
 * that it says nothing. */
static void note_registers(const struct scene *s)
{
    if (!s->thread || !s->thread->has_registers)
        return;
    char list[MAX_SUSPECTS * 40] = "";
    size_t n = 0;
    unsigned n_found = 0;
    for (unsigned i = 0; i < explain_n_registers(s->c->arch); i++) {
        uint64_t v = s->thread->registers[i];
        if (i == explain_pc_register(s->c->arch) || v > s->address ||
            s->address - v >= NEAR_MAPPING || i == explain_sp_register(s->c->arch))
            continue;
        if (n_found++ == MAX_SUSPECTS)
            return;
        int k = snprintf(list + n, sizeof list - n, "%s%s = 0x%" PRIx64, n ? ", " : "",
            explain_register_name(s->c->arch, i), v);
        n += k > 0 ? (size_t)k : 0;
    }
    if (n)
        note(s, "The pointer may have come from %s.", list);
}

static bool is_stack_overflow(const struct scene *s, const struct maps_place *at)
{
    if (!s->sp || s->pc == s->address)
        return false;
    uint64_t from_sp = s->address > s->sp ? s->address - s->sp : s->sp - s->address;
    bool guard = at->inside && strncmp(at->at.permissions, "---", 3) == 0;
    struct maps_place above, stack;
    /* Upwards out of a sound stack: an array that was overrun, say. */
    if (s->address > s->sp && maps_find(&s->c->maps, s->sp, &stack) && stack.inside &&
        stack.at.permissions[0] == 'r')
        return false;
    bool at_edge = (guard || !at->inside) && from_sp < NEAR_STACK;
    if (!at_edge)
        return false;
    /* The stack itself begins above the guard, or above the hole where it could not
     * grow. */
    uint64_t from = guard ? at->at.end : at->has_above ? at->above.start : 0;
    if (!from || !maps_find(&s->c->maps, from, &above) || !above.inside)
        return false;
    return strncmp(above.at.permissions, "rw", 2) == 0 &&
           (guard || strcmp(above.at.path, "[stack]") == 0 ||
               from - s->address < NEAR_STACK);
}

/* Whether two frames are of one function; one without a name is known by its place. */
static bool same_function(const struct crash_frame *a, const struct crash_frame *b)
{
    if (!a->function || !b->function)
        return a->function == b->function && a->pc == b->pc;
    return strcmp(a->function, b->function) == 0;
}

struct recursion {
    unsigned first, period, depth; /* frames; period 0: none */
};

/* The functions that call each other without end, behind the leaves that they call. */
static struct recursion find_recursion(const struct crash_thread *t)
{
    for (unsigned first = 0; t && first < MAX_LEAVES; first++)
        for (unsigned period = 1; period <= MAX_PERIOD; period++) {
            unsigned i = first + period;
            while (
                i < t->n_frames && same_function(&t->frames[i], &t->frames[i - period]))
                i++;
            if (i >= first + MIN_RECURSION)
                return (struct recursion){first, period, i - first};
        }
    return (struct recursion){0};
}

/* "walk", or "python3.11+0x1cbb65" without a name. Returns what snprintf() does. */
static int put_function(
    const struct scene *s, const struct crash_frame *f, char *out, size_t n)
{
    if (f->function)
        return snprintf(out, n, "%s", f->function);
    if (f->module < 0)
        return snprintf(out, n, "0x%" PRIx64, f->pc);
    const struct crash_module *m = &s->c->modules[f->module];
    return snprintf(out, n, "%s+0x%" PRIx64, path_base(m->path), f->pc - m->base);
}

static void note_recursion(const struct scene *s)
{
    struct recursion r = find_recursion(s->thread);
    if (!r.period)
        return;
    char chain[300] = "";
    size_t n = 0;
    for (unsigned i = r.period; i-- > 0;) {
        char name[200];
        IGNORE(put_function(s, &s->thread->frames[r.first + i], name, sizeof name),
            "a long name is cut");
        int k = snprintf(chain + n, sizeof chain - n, "%s%s", n ? " -> " : "", name);
        if (k < 0 || (size_t)k >= sizeof chain - n)
            break;
        n += (size_t)k;
    }
    unsigned n_skipped = 0;
    for (unsigned i = 0; i < r.depth; i++)
        n_skipped += s->thread->frames[r.first + i].n_skipped;
    note(s, "Recursion without end: %s, %u calls deep%s.", chain,
        (r.depth + n_skipped) / r.period, s->thread->truncated ? " or more" : "");
}

static void describe_place(const struct scene *s, const struct maps_place *at)
{
    if (at->inside) {
        note(s, "The address lies in %s, mapped %s.",
            at->at.path[0] ? at->at.path : "anonymous memory", at->at.permissions);
        return;
    }
    uint64_t below = at->has_below ? s->address - at->below.end : UINT64_MAX;
    if (below < NEAR_MAPPING)
        note(s, "The address is %" PRIu64 " byte%s behind the end of %s.", below + 1,
            below ? "s" : "",
            at->below.path[0] ? at->below.path : "a mapping of anonymous memory");
}

static void explain_jump(const struct scene *s, const struct maps_place *at)
{
    if (s->pc < NULL_PAGE && s->pc == 0)
        cause(s, "call through a null function pointer");
    else if (s->pc < NULL_PAGE)
        cause(s, "call through a null pointer + 0x%" PRIx64, s->pc);
    else if (at->inside)
        cause(s, "jump into memory that is not code, at 0x%" PRIx64, s->pc);
    else
        cause(s, "jump to an address where nothing is mapped, 0x%" PRIx64, s->pc);
    if (s->pc >= NULL_PAGE)
        note(s, "A function pointer or a return address was probably overwritten.");
    describe_place(s, at);
}

static void explain_access(const struct scene *s, const struct maps_place *at)
{
    if (at->inside && at->at.permissions[0] == 'r' && at->at.permissions[1] == '-') {
        const char *what = at->at.permissions[2] == 'x' ? "code" : "read-only memory";
        cause(s, "write to %s%s%s at 0x%" PRIx64, what, at->at.path[0] ? " of " : "",
            at->at.path, s->address);
        note_registers(s);
        return;
    }
    if (at->inside && strncmp(at->at.permissions, "---", 3) == 0) {
        cause(s, "access to a guard page, 0x%" PRIx64, s->address);
        return;
    }
    char text[TEXT_OF_BYTES];
    static const uint64_t poisons[] = {0x5a5a5a5a5a5a5a5a, 0xa5a5a5a5a5a5a5a5,
        0xdeadbeefdeadbeef, 0xcdcdcdcdcdcdcdcd, 0xfeeefeeefeeefeee, 0x6b6b6b6b6b6b6b6b};
    for (size_t i = 0; i < sizeof poisons / sizeof *poisons; i++)
        if (s->address >> 16 && (s->address ^ poisons[i]) >> 16 == 0)
            cause(s, "pointer filled with a freed or uninitialised pattern, 0x%" PRIx64,
                s->address);
    if (!s->out->cause[0] && s->address >= UINT64_MAX - NULL_PAGE)
        cause(s, "null pointer - 0x%" PRIx64 ", or an error code used as a pointer",
            0 - s->address);
    if (!s->out->cause[0])
        cause(s, "bad pointer 0x%" PRIx64 "%s", s->address, as_text(s->address, text));
    describe_place(s, at);
    note_registers(s);
}

static void explain_segv(const struct scene *s, const struct knell_signal_record *r)
{
    struct maps_place at;
    bool mapped = maps_find(&s->c->maps, s->address, &at);
    if (r->code == SI_KERNEL && s->address == 0) {
        explain_protection(s);
        return;
    }
    if (mapped && is_stack_overflow(s, &at)) {
        cause(s, "stack overflow");
        note_recursion(s);
        return;
    }
    if (s->pc == s->address) {
        explain_jump(s, &at);
        return;
    }
    if (s->address < NULL_PAGE) {
        if (s->address)
            cause(s, "null pointer + 0x%" PRIx64, s->address);
        else
            cause(s, "null pointer");
        note_registers(s);
        return;
    }
    explain_access(s, &at);
}

static void explain_bus(const struct scene *s, const struct knell_signal_record *r)
{
    struct maps_place at;
    if (r->code == BUS_MCEERR_AR || r->code == BUS_MCEERR_AO) {
        cause(s, "the hardware reported damaged memory at 0x%" PRIx64, s->address);
    } else if (r->code == BUS_ADRALN) {
        cause(s, "misaligned address 0x%" PRIx64, s->address);
    } else if (maps_find(&s->c->maps, s->address, &at) && at.inside &&
               at.at.path[0] == '/') {
        cause(s, "a page of mapped file %s could not be provided", at.at.path);
        note(s, "The file may have been truncated or replaced while mapped, or its file "
                "system "
                "is full or failed.");
    } else if (r->code == BUS_ADRERR) {
        cause(s, "memory behind 0x%" PRIx64 " could not be provided", s->address);
    }
}

static void explain_instruction(const struct scene *s, int signo)
{
    const uint8_t *code = crash_memory_at(s->c, s->pc, 2);
    bool amd64 = s->c->arch == KNELL_MINIDUMP_ARCH_AMD64;
    if (signo == SIGTRAP) {
        /* After int3 the pc stands behind it. */
        code = crash_memory_at(s->c, s->pc - 1, 1);
        if (amd64 && code && code[0] == 0xcc)
            cause(s, "breakpoint instruction (int3)");
    } else if (amd64 && code && code[0] == 0x0f && code[1] == 0x0b) {
        cause(s, "the compiler's trap (ud2): __builtin_trap(), a failed check, or code "
                 "that must not be reached");
    } else if (code) {
        note(s, "The instruction begins with bytes %02x %02x.", code[0], code[1]);
    }
}

/* "St9bad_alloc", as type_info has it, for people: "std::bad_alloc". */
static void type_name(char *type, size_t room)
{
    static const char head[] = "typeinfo for ";
    char symbol[512];
    struct store names = {0};
    (void)snprintf(symbol, sizeof symbol, "_ZTI%s", type);
    const char *readable = demangle(&names, symbol, true);
    if (readable && strncmp(readable, head, sizeof head - 1) == 0)
        (void)snprintf(type, room, "%s", readable + sizeof head - 1);
    store_done(&names);
}

static void explain_abort(const struct scene *s)
{
    const struct crash_text *m = &s->c->abort_message, *x = &s->c->cxx_exception;
    if (m->text && m->n_bytes) {
        size_t n = m->n_bytes;
        while (n && (m->text[n - 1] == '\n' || m->text[n - 1] == ' '))
            n--;
        cause(s, "%.*s", (int)(n < 400 ? n : 400), m->text);
    } else if (x->text && x->n_bytes) {
        const char *stop = memchr(x->text, '\n', x->n_bytes);
        size_t n_type = stop ? (size_t)(stop - x->text) : x->n_bytes;
        size_t n_what = stop ? x->n_bytes - n_type - 1 : 0;
        if (n_type > 150)
            n_type = 150;
        char type[400];
        (void)snprintf(type, sizeof type, "%.*s", (int)n_type, x->text);
        type_name(type, sizeof type);
        size_t n_same = strlen(type);
        /* what() of the standard's own is often the type again. */
        if (n_what == n_same && stop && memcmp(stop + 1, type, n_same) == 0)
            n_what = 0;
        cause(s, "uncaught C++ exception %s%s%.*s", type, n_what ? ": " : "",
            (int)(n_what < 200 ? n_what : 200), stop ? stop + 1 : "");
    }
}

static void explain_sender(const struct scene *s, const struct knell_signal_record *r)
{
    if (r->sender_pid && r->sender_pid == s->c->pid) {
        if (r->signo != SIGABRT && !s->out->cause[0])
            cause(s, "raised by the program itself (raise or kill)");
        return;
    }
    if (!r->time_ns) /* not knell's own record */
        return;
    char name[64] = {0};
    (void)crash_text_value(&s->c->facts, "sender.name", '=', name, sizeof name);
    /* What the process cannot see has no PID for it: kill(2) from a container's host. */
    if (!s->out->cause[0] && !r->sender_pid)
        cause(s, "sent by a process outside of its PID namespace");
    else if (!s->out->cause[0])
        cause(s, "sent by process %" PRIu32 "%s%s%s of user %" PRIu32, r->sender_pid,
            name[0] ? " (" : "", name, name[0] ? ")" : "", r->sender_uid);
    note(s, "The program did nothing wrong at this place: another process sent the "
            "signal.");
    if (r->signo == SIGABRT)
        note(s, "A watchdog sends SIGABRT (WatchdogSec= of systemd for one) to what has "
                "hung: see what the threads wait for.");
}

static void explain_signal(const struct scene *s, const struct knell_signal_record *r)
{
    if (r->signo == SIGABRT)
        explain_abort(s);
    if (signal_words_sent(r->code)) {
        explain_sender(s, r);
        return;
    }
    if (r->signo == SIGSEGV)
        explain_segv(s, r);
    else if (r->signo == SIGBUS)
        explain_bus(s, r);
    else if (r->signo == SIGFPE && r->code == FPE_INTDIV)
        cause(s, "integer division by zero, or the most negative number divided by -1");
    else if (r->signo == SIGILL || r->signo == SIGTRAP)
        explain_instruction(s, r->signo);
    else if (r->signo == SIGSYS && s->thread && s->thread->has_registers)
        cause(s, "system call %" PRIu64 " is forbidden by the seccomp filter",
            s->thread->registers[s->c->arch == KNELL_MINIDUMP_ARCH_ARM64 ? 8 : 0]);
}

static void describe_signal(
    const struct crash *c, const struct knell_signal_record *r, struct explain *out)
{
    const char *name = signal_words_name(r->signo);
    char number[16];
    (void)snprintf(number, sizeof number, "signal %d", r->signo);
    const char *meaning = signal_words_code_meaning(r->signo, r->code);
    bool own = signal_words_sent(r->code) && r->sender_pid == c->pid;
    if (own && r->signo == SIGABRT)
        (void)snprintf(out->what, sizeof out->what, "%s (%s)", name ? name : number,
            signal_words_meaning(r->signo));
    else
        (void)snprintf(out->what, sizeof out->what, "%s (%s)%s%s", name ? name : number,
            signal_words_meaning(r->signo), meaning ? ": " : "", meaning ? meaning : "");
}

/* What the handler could not do, where it is more than a detail. */
static void note_capture(const struct scene *s)
{
    for (uint32_t i = 0; i < s->c->n_notes; i++) {
        const struct knell_capture_note *n = &s->c->notes[i];
        char text[96];
        notes_text(n, text, sizeof text);
        if (n->reason == KNELL_NOTE_ENDED)
            note(s,
                "The handler came as far as %s and wrote no report: this one is made of "
                "its last words in the journal, the crashed thread alone.",
                notes_step(n->step));
        else if (n->reason >= KNELL_NOTE_FAULT)
            note(s, "The capture is incomplete: %s.", text);
    }
}

void explain_crash(const struct crash *c, struct explain *ret)
{
    *ret = (struct explain){0};
    struct scene s = {.c = c, .out = ret};
    if (c->crashed_thread >= 0 && (uint32_t)c->crashed_thread < c->n_threads)
        s.thread = &c->threads[c->crashed_thread];
    if (!c->has_signal) {
        (void)snprintf(ret->what, sizeof ret->what, "no signal");
        return;
    }
    s.address = c->signal.address;
    s.pc = s.thread ? crash_thread_pc(c, s.thread) : c->signal.pc;
    s.sp = s.thread ? crash_thread_sp(c, s.thread) : 0;
    describe_signal(c, &c->signal, ret);
    explain_signal(&s, &c->signal);
    note_capture(&s);
}
