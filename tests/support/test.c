#include "test.h"

#include <stdio.h>

static int failed, skipped;
static const char *skip_reason;

bool test_check(bool ok, const char *file, int line, const char *what)
{
    if (!ok) {
        failed++;
        printf("%s:%d: failed: %s\n", file, line, what);
    }
    return ok;
}

bool test_eq_int(long long a, long long b, const char *file, int line, const char *what)
{
    if (a == b)
        return true;
    printf("%lld (0x%llx) is not %lld (0x%llx)\n", a, (unsigned long long)a, b,
        (unsigned long long)b);
    return test_check(false, file, line, what);
}

bool test_eq_str(
    const char *a, const char *b, const char *file, int line, const char *what)
{
    if (a && b ? strcmp(a, b) == 0 : a == b)
        return true;
    printf("\"%s\" is not \"%s\"\n", a ? a : "(null)", b ? b : "(null)");
    return test_check(false, file, line, what);
}

int test_failures(void)
{
    return failed;
}

void test_skip(const char *why)
{
    skip_reason = why;
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], name))
            return true;
    }
    return argc < 2;
}

int test_run(const struct test *tests, size_t n, int argc, char **argv)
{
    int ran = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < n; i++) {
        if (!wanted(tests[i].name, argc, argv))
            continue;
        int before = failed;
        skip_reason = NULL;
        tests[i].run();
        ran++;
        if (skip_reason)
            skipped++;
        printf("%s %s%s%s\n",
            failed > before ? "FAIL"
            : skip_reason   ? "skip"
                            : "ok  ",
            tests[i].name, skip_reason ? ": " : "", skip_reason ? skip_reason : "");
    }
    printf("%d run, %d checks failed, %d skipped\n", ran, failed, skipped);
    if (failed || !ran)
        return 1;
    return skipped == ran ? 77 : 0; /* ctest's SKIP_RETURN_CODE */
}
