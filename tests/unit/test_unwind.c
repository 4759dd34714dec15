/* The test walks its own stack through a dump of itself: registers, the raw stack and the
 * modules as the handler would write them. */
#include "dump.h"
#include "test.h"

#include "uploader/report/frames.h"
#include "uploader/report/parse.h"
#include "uploader/report/unwind.h"

#include <elf.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

enum { MAX_STACK = 64 * 1024 };

static struct dump *dump;
static void *returns[3]; /* where inner, middle and outer go back to */

static int add_module(struct dl_phdr_info *info, size_t size, void *arg)
{
    uint64_t low = UINT64_MAX, high = 0;
    const uint8_t *id = NULL;
    size_t n_id = 0;
    char self[4096] = "";
    (void)size;
    (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD) {
            low = p->p_vaddr < low ? p->p_vaddr : low;
            high = p->p_vaddr + p->p_memsz > high ? p->p_vaddr + p->p_memsz : high;
        }
        const uint8_t *note = (const uint8_t *)(uintptr_t)(info->dlpi_addr + p->p_vaddr);
        const ElfW(Nhdr) *h = (const ElfW(Nhdr) *)(uintptr_t)note;
        if (p->p_type == PT_NOTE && h->n_type == NT_GNU_BUILD_ID) {
            id = note + sizeof *h + 4;
            n_id = h->n_descsz;
        }
    }
    const char *path = info->dlpi_name;
    if (!*path) {
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
        path = n > 0 ? self : "";
    }
    low &= ~4095ull;
    if (id && strstr(path, "vdso") == NULL)
        dump_module(dump, info->dlpi_addr + low, (uint32_t)(high - low), path, id, n_id);
    return 0;
}

/* What lies on the stack is the test's to read, red zones of a sanitizer and all. */
static __attribute__((no_sanitize("address"))) void copy_raw(
    uint8_t *to, uint64_t from, size_t n)
{
    const volatile uint8_t *p = (const volatile uint8_t *)(uintptr_t)from;
    for (size_t i = 0; i < n; i++)
        to[i] = p[i];
}

/* Saves the stack from @sp up, and registers with the given pc. */
static void capture(const ucontext_t *uc, uint64_t pc)
{
    static const int order[17] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
        REG_RBP, REG_RSP, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14,
        REG_R15, REG_RIP};
    uint64_t r[17];
    for (int i = 0; i < 17; i++)
        r[i] = (uint64_t)uc->uc_mcontext.gregs[order[i]];
    uint64_t from = r[7], pushed = r[16];
    size_t n_pushed = pc == UINT64_MAX ? 0 : sizeof pushed;
    if (n_pushed) { /* as if called from here */
        r[7] -= sizeof pushed;
        r[16] = pc;
    }
    extern char **environ;
    uint64_t limit = (uint64_t)(uintptr_t)environ & ~15ull;
    size_t n = limit - from < MAX_STACK ? limit - from : MAX_STACK;
    uint8_t *stack = malloc(n + sizeof pushed);
    memcpy(stack, &pushed, n_pushed);
    copy_raw(stack + n_pushed, from, n);
    dump_thread(dump, 1, "main", r, stack, n + n_pushed);
    free(stack);
    dump_signal(dump, 1, 11, 1, pc == UINT64_MAX ? 0 : pc);
    dl_iterate_phdr(add_module, NULL);
}

static __attribute__((noinline)) void inner(uint64_t pc)
{
    static ucontext_t uc;
    returns[0] = __builtin_return_address(0);
    if (getcontext(&uc) == 0)
        capture(&uc, pc);
}

static __attribute__((noinline)) int middle(uint64_t pc)
{
    returns[1] = __builtin_return_address(0);
    inner(pc);
    return 1;
}

static __attribute__((noinline)) int outer(uint64_t pc)
{
    returns[2] = __builtin_return_address(0);
    return middle(pc) + 1;
}

static struct crash *walk(const struct report_unwind_options *options)
{
    struct crash *c = NULL;
    size_t n;
    const uint8_t *bytes = dump_finish(dump, &n);
    CHECK_INT(report_read(bytes, n, &c, NULL), 0);
    CHECK_INT(report_unwind(c, options), 0);
    return c;
}

static void finds_callers_by_frame_information(void)
{
    dump = dump_new();
    CHECK_INT(outer(UINT64_MAX), 2);
    struct crash *c = walk(NULL);
    const struct crash_thread *t = &c->threads[0];
    CHECK(t->n_frames >= 5);
    CHECK_INT(t->frames[0].trust, CRASH_TRUST_CONTEXT);
    for (uint32_t i = 0; i < 3 && i + 1 < t->n_frames; i++) {
        CHECK(t->frames[i + 1].pc == (uint64_t)(uintptr_t)returns[i]);
        CHECK_INT(t->frames[i + 1].trust, CRASH_TRUST_CFI);
        CHECK_INT(t->frames[i + 1].kind, KNELL_FRAME_RETURN);
        CHECK(t->frames[i + 1].module >= 0);
    }
    crash_free(c);
    dump_free(dump);
}

static void walks_out_of_a_call_through_null(void)
{
    dump = dump_new();
    CHECK_INT(outer(0), 2);
    struct crash *c = walk(NULL);
    const struct crash_thread *t = &c->threads[0];
    CHECK(t->n_frames >= 6);
    CHECK_INT(t->frames[0].pc, 0);
    CHECK_INT(t->frames[0].module, -1);
    for (uint32_t i = 0; i < 3 && i + 2 < t->n_frames; i++)
        CHECK(t->frames[i + 2].pc == (uint64_t)(uintptr_t)returns[i]);
    crash_free(c);
    dump_free(dump);
}

static void trusts_no_file_with_another_build_id(void)
{
    dump = dump_new();
    CHECK_INT(outer(UINT64_MAX), 2);
    struct crash *c = NULL;
    size_t n;
    const uint8_t *bytes = dump_finish(dump, &n);
    CHECK_INT(report_read(bytes, n, &c, NULL), 0);
    for (uint32_t i = 0; i < c->n_modules; i++)
        c->modules[i].build_id[0] ^= 1;
    /* The handler's frames step in for the files that are no longer there. */
    uint64_t pcs[4] = {crash_thread_pc(c, &c->threads[0])};
    for (int i = 0; i < 3; i++)
        pcs[i + 1] = (uint64_t)(uintptr_t)returns[i];
    c->prewalked = pcs;
    c->n_prewalked = 4;
    c->prewalked_tid = 1;
    CHECK_INT(report_unwind(c, NULL), 0);
    CHECK_INT(c->threads[0].n_frames, 4);
    for (uint32_t i = 1; i < c->threads[0].n_frames; i++) {
        CHECK_INT(c->threads[0].frames[i].trust, CRASH_TRUST_PREWALKED);
        CHECK(c->threads[0].frames[i].pc == pcs[i]);
    }
    crash_free(c);
    dump_free(dump);
}

static void keeps_to_its_limits(void)
{
    static const struct report_unwind_options two = {.max_frames = 2};
    static const struct report_unwind_options none = {.no_files = true};
    dump = dump_new();
    CHECK_INT(outer(UINT64_MAX), 2);
    struct crash *c = walk(&two);
    CHECK_INT(c->threads[0].n_frames, 2);
    CHECK(c->threads[0].truncated);
    crash_free(c);
    dump_free(dump);
    dump = dump_new();
    CHECK_INT(outer(UINT64_MAX), 2);
    c = walk(&none);
    for (uint32_t i = 0; i < c->threads[0].n_frames; i++)
        CHECK(c->threads[0].frames[i].trust != CRASH_TRUST_CFI);
    crash_free(c);
    dump_free(dump);
}

static void a_stack_that_leads_in_circles_ends(void)
{
    enum { STACK = 0x7ffe0000, CODE = 0x400000 };
    uint64_t stack[64], r[17] = {[6] = STACK, [7] = STACK, [16] = CODE};
    for (int i = 0; i < 64; i += 2) { /* each frame points to itself */
        stack[i] = STACK + (uint64_t)i * 8;
        stack[i + 1] = CODE + 16;
    }
    dump = dump_new();
    dump_signal(dump, 1, 11, 1, 0);
    dump_module(dump, CODE, 0x1000, "/nowhere", "x", 1);
    dump_thread(dump, 1, "t", r, stack, sizeof stack);
    struct crash *c = walk(NULL);
    CHECK(c->threads[0].n_frames >= 2 && c->threads[0].n_frames < 100);
    crash_free(c);
    dump_free(dump);
}

/* ff 14 begins a call by a register and a scale, and has no room for them. */
static void a_call_that_is_cut_off_is_none(void)
{
    enum { STACK = 0x7ffe0000, CODE = 0x400000 };
    static const uint8_t code[16] = {[6] = 0xff, [7] = 0x14, [8] = 0x05};
    uint64_t stack[] = {0, CODE + 8, 0}, r[17] = {[7] = STACK, [16] = CODE + 12};
    dump = dump_new();
    dump_signal(dump, 1, 11, 1, 0);
    dump_module(dump, CODE, 0x1000, "/nowhere", "x", 1);
    dump_memory(dump, CODE, code, sizeof code);
    dump_thread(dump, 1, "t", r, stack, sizeof stack);
    struct crash *c = walk(NULL);
    CHECK_INT(c->threads[0].n_frames, 1);
    crash_free(c);
    dump_free(dump);
}

/* The handler below allocates: its fault is no surprise to the program. */
const char *__tsan_default_options(void);
__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
    return "report_signal_unsafe=0";
}

static sigjmp_buf after_fault;
static void *after_bad_call;

static void on_fault(int signo)
{
    (void)signo;
    inner(UINT64_MAX);
    siglongjmp(after_fault, 1);
}

static __attribute__((noinline)) int calls(int (*volatile function)(void))
{
    after_bad_call = __builtin_return_address(0);
    return function() + 1;
}

/* A program's own handler tells of a call through a null pointer: whose call it was is
 * known only from the top of the stack at that moment. */
static void walks_out_of_a_call_through_null_below_a_handler(void)
{
    struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_NODEFER}, before;
    dump = dump_new();
    CHECK_INT(sigaction(SIGSEGV, &sa, &before), 0);
    if (sigsetjmp(after_fault, 1) == 0)
        CHECK_INT(calls(NULL), 0);
    CHECK_INT(sigaction(SIGSEGV, &before, NULL), 0);
    struct crash *c = walk(NULL);
    const struct crash_thread *t = &c->threads[0];
    uint32_t i = 0;
    while (i < t->n_frames && t->frames[i].pc)
        i++;
    CHECK(i + 2 < t->n_frames);
    uint64_t at = (uint64_t)(uintptr_t)calls;
    CHECK(i + 1 < t->n_frames && t->frames[i + 1].pc > at &&
          t->frames[i + 1].pc < at + 256);
    /* What a signal interrupted is no return address: its line is pc's, not pc - 1's. */
    CHECK_INT(t->frames[0].kind, KNELL_FRAME_EXACT);
    CHECK(i > 1 && t->frames[1].kind == KNELL_FRAME_RETURN);
    CHECK(i < t->n_frames && t->frames[i].kind == KNELL_FRAME_EXACT);
    CHECK(i + 1 < t->n_frames && t->frames[i + 1].kind == KNELL_FRAME_RETURN);
    CHECK(i + 2 < t->n_frames &&
          t->frames[i + 2].pc == (uint64_t)(uintptr_t)after_bad_call);
    crash_free(c);
    dump_free(dump);
}

static void knows_system_code(void)
{
    CHECK(frame_in_app("/usr/bin/exampled", "main"));
    CHECK(frame_in_app("/usr/lib/libplugin.so", NULL));
    CHECK(!frame_in_app("/usr/bin/exampled", "_start"));
    CHECK(!frame_in_app("/usr/bin/exampled", "std::vector<int>::at"));
    CHECK(!frame_in_app("/lib/x86_64-linux-gnu/libc.so.6", "qsort"));
    /* A template's name has the type of its result before it. */
    static const struct {
        const char *function;
        bool in_app;
    } templates[] = {{"void std::sort<int*>(int*, int*)", false},
        {"void std::__invoke_impl<void, void (*)(int)>(std::__invoke_other, void "
         "(*)(int))",
            false},
        {"int&& std::forward<int>(std::remove_reference<int>::type&)", false},
        {"decltype (x) std::invoke<int (app::*)()>(int (app::*)())", false},
        {"void app::run<std::string>(std::string const&)", true},
        {"std::string app::name<int>(int) const", true},
        {"(anonymous namespace)::run(std::string)", true},
        {"main::{lambda(std::string)#1}::operator()(std::string) const", true},
        {"bool app::operator< <int>(std::string const&)", true},
        {"std::function<void (int)>::operator()(int) const", false}};
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        if (!CHECK(frame_in_app("/usr/bin/exampled", templates[i].function) ==
                   templates[i].in_app))
            printf("%s\n", templates[i].function);
    }
    CHECK(!frame_in_app("/lib64/ld-linux-x86-64.so.2", NULL));
    CHECK(!frame_in_app("[vdso]", NULL));
    CHECK(!frame_in_app(NULL, "x"));
}

TEST_MAIN(TEST(finds_callers_by_frame_information),
    TEST(walks_out_of_a_call_through_null), TEST(trusts_no_file_with_another_build_id),
    TEST(walks_out_of_a_call_through_null_below_a_handler), TEST(keeps_to_its_limits),
    TEST(a_stack_that_leads_in_circles_ends), TEST(a_call_that_is_cut_off_is_none),
    TEST(knows_system_code))
