#include "test.h"
#include "uploader/report/signal_words.h"

#include <signal.h>
#include <stddef.h>

static void the_seven_have_words(void)
{
    static const struct {
        int signo, code;
        const char *name, *code_name, *meaning;
    } cases[] = {
        {SIGSEGV, SEGV_MAPERR, "SIGSEGV", "SEGV_MAPERR", "address not mapped to object"},
        {SIGBUS, BUS_ADRERR, "SIGBUS", "BUS_ADRERR", "no such physical address"},
        {SIGFPE, FPE_INTDIV, "SIGFPE", "FPE_INTDIV", "integer divided by zero"},
        {SIGILL, ILL_ILLOPN, "SIGILL", "ILL_ILLOPN", "illegal operand"},
        {SIGABRT, SI_TKILL, "SIGABRT", "SI_TKILL", "sent by tkill or tgkill"},
        {SIGTRAP, TRAP_BRKPT, "SIGTRAP", "TRAP_BRKPT", "breakpoint"},
        {SIGSYS, 1, "SIGSYS", "SYS_SECCOMP", "forbidden by a seccomp filter"},
        {SIGSEGV, SI_KERNEL, "SIGSEGV", "SI_KERNEL", "raised by the kernel"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_STR(signal_words_name(cases[i].signo), cases[i].name);
        CHECK_STR(signal_words_code(cases[i].signo, cases[i].code), cases[i].code_name);
        CHECK_STR(
            signal_words_code_meaning(cases[i].signo, cases[i].code), cases[i].meaning);
        CHECK_INT(signal_words_parse(cases[i].name), cases[i].signo);
        CHECK_INT(signal_words_parse(cases[i].name + 3), cases[i].signo);
        int code = -99;
        CHECK_INT(signal_words_parse_code(cases[i].signo, cases[i].code_name, &code), 0);
        CHECK_INT(code, cases[i].code);
    }
}

static void unknown_is_said(void)
{
    CHECK(signal_words_name(64) == NULL);
    CHECK(signal_words_code(SIGSEGV, 77) == NULL);
    CHECK_STR(signal_words_meaning(64), "unknown signal");
    CHECK(signal_words_parse("NOPE") < 0);
    CHECK(signal_words_parse("0") < 0);
    CHECK(signal_words_parse("65") < 0);
    CHECK(signal_words_parse("") < 0);
    CHECK_INT(signal_words_parse("segv"), SIGSEGV);
    CHECK_INT(signal_words_parse("34"), 34);
    int code = 5;
    CHECK(signal_words_parse_code(SIGSEGV, "INTDIV", &code) < 0);
    CHECK_INT(code, 5);
    CHECK_INT(signal_words_parse_code(0, "intdiv", &code), 0);
    CHECK_INT(code, FPE_INTDIV);
    CHECK(signal_words_sent(SI_USER) && !signal_words_sent(SI_KERNEL));
}

TEST_MAIN(TEST(the_seven_have_words), TEST(unknown_is_said))
