#include "crash/runtime.h"

#include <dlfcn.h>
#include <string.h>

/* dlsym(3) gives an object pointer; POSIX lets it become a function pointer. */
static void look_up(const char *name, void *ret)
{
    void *p = dlsym(RTLD_DEFAULT, name);
    memcpy(ret, &p, sizeof p);
}

/* Weak: a program linked statically has them without a dynamic symbol table. */
extern void *__cxa_current_exception_type(void) __attribute__((weak));
extern void *__cxa_get_globals(void) __attribute__((weak));
extern void *_ZTISt9exception __attribute__((weak));

void kn_cxx_init(struct kn_cxx *ret)
{
    *ret = (struct kn_cxx){.current_type = __cxa_current_exception_type,
        .globals = __cxa_get_globals,
        .exception_type = &_ZTISt9exception};
    if (!ret->current_type)
        look_up("__cxa_current_exception_type", &ret->current_type);
    if (!ret->globals)
        look_up("__cxa_get_globals", &ret->globals);
    if (!ret->exception_type)
        look_up("_ZTISt9exception", &ret->exception_type);
}

const char *const *kn_abort_message(void)
{
    return (const char *const *)dlvsym(RTLD_DEFAULT, "__abort_msg", "GLIBC_PRIVATE");
}
