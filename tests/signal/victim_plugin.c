/* A library that calls back while it is loaded and unloaded: where to, its environment
 * says. */
#include <stdint.h>
#include <stdlib.h>

static void call(const char *when)
{
    const char *at = getenv(when);
    if (at)
        ((void (*)(void))(uintptr_t)strtoull(at, NULL, 16))();
}

__attribute__((constructor)) static void on_load(void)
{
    call("VICTIM_ON_LOAD");
}

__attribute__((destructor)) static void on_unload(void)
{
    call("VICTIM_ON_UNLOAD");
}

/* Something to call, and to die in. */
__attribute__((visibility("default"))) void plugin_calls(void (*f)(void));
void plugin_calls(void (*f)(void))
{
    f();
    __asm__ volatile("" ::: "memory"); /* no tail call */
}
