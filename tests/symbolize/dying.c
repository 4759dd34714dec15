/* A program whose report asks for the debug file of its own build-id. */
#include <knell/knell.h>

#include <stdlib.h>

static volatile int *nowhere;

static inline __attribute__((always_inline)) int inlined_read(void)
{
    return *nowhere;
}

static __attribute__((noinline)) int dies_here(void)
{
    return inlined_read() + 1;
}

int main(void)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    o.app = "dying";
    o.release = "dying@1";
    o.start_uploader = KNELL_OFF; /* the test does */
    if (knell_start(&o) < 0)
        return EXIT_FAILURE;
    return dies_here();
}
