/**
 * Checks for tests: a failed CHECK prints where and what, counts, and goes on; TEST_MAIN
 * runs the listed functions (or those named in argv) and exits 1 when any check failed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct test {
    const char *name;
    void (*run)(void);
};

bool test_check(bool ok, const char *file, int line, const char *what);
bool test_eq_int(long long a, long long b, const char *file, int line, const char *what);
bool test_eq_str(
    const char *a, const char *b, const char *file, int line, const char *what);
/* Says that the running test cannot run here and why; shown, never counted as a pass. */
void test_skip(const char *why);
/* How many checks have failed so far; for programs with a main() of their own. */
int test_failures(void);
int test_run(const struct test *tests, size_t n, int argc, char **argv);

#define CHECK(cond) test_check((cond), __FILE__, __LINE__, #cond)
#define CHECK_INT(a, b)                                                                  \
    test_eq_int((long long)(a), (long long)(b), __FILE__, __LINE__, #a " == " #b)
#define CHECK_STR(a, b) test_eq_str((a), (b), __FILE__, __LINE__, #a " == " #b)
#define TEST_MAIN(...)                                                                   \
    int main(int argc, char **argv)                                                      \
    {                                                                                    \
        static const struct test tests[] = {__VA_ARGS__};                                \
        return test_run(tests, sizeof tests / sizeof *tests, argc, argv);                \
    }
#define TEST(f)                                                                          \
    {                                                                                    \
#f, f                                                                            \
    }
