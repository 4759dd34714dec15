#include "crash/unwinder.h"

#include "crash/handler/unwind.h"
#include <dlfcn.h>
#include <libunwind.h>
#include <pthread.h>
#include <string.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define LIBUNWIND "libunwind-" TEXT(UNW_TARGET) ".so.8"

/* dlsym(3) gives an object pointer; POSIX lets it become a function pointer. */
static void look_up(void *library, const char *name, void *ret)
{
    void *p = dlsym(library, name);
    memcpy(ret, &p, sizeof p);
}

/* Opened once for all starts of the process, and never closed: a handler may be in it. */
static struct kn_unwinder opened;

static void open_unwinder(void)
{
    unw_addr_space_t (*create)(unw_accessors_t *, int);
    int (*set_caching)(unw_addr_space_t, unw_caching_policy_t);
    struct kn_unwinder u = {0};
    /* RTLD_LOCAL: in the global scope libunwind takes over backtrace(3) and the C++
     * runtime's unwinder, which then deadlock on the loader's lock. Never closed. */
    void *library = dlopen(LIBUNWIND, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return;
    look_up(library, TEXT(UNW_OBJ(create_addr_space)), &create);
    look_up(library, TEXT(UNW_OBJ(set_caching_policy)), &set_caching);
    look_up(library, TEXT(UNW_OBJ(init_remote)), &u.init_remote);
    look_up(library, TEXT(UNW_OBJ(step)), &u.step);
    look_up(library, TEXT(UNW_OBJ(get_reg)), &u.get_reg);
    look_up(library, TEXT(UNW_OBJ(dwarf_search_unwind_table)), &u.search_table);
    if (!create || !set_caching || !u.init_remote || !u.step || !u.get_reg ||
        !u.search_table)
        return;
    unw_addr_space_t space = create((unw_accessors_t *)kn_unwind_accessors(), 0);
    if (!space)
        return;
    /* The cache is one for the process, under a lock. */
    (void)set_caching(space, UNW_CACHE_NONE);
    u.space = space;
    opened = u;
}

void kn_unwinder_init(struct kn_unwinder *ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, open_unwinder);
    *ret = opened;
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
        look_up(RTLD_DEFAULT, "__cxa_current_exception_type", &ret->current_type);
    if (!ret->globals)
        look_up(RTLD_DEFAULT, "__cxa_get_globals", &ret->globals);
    if (!ret->exception_type)
        look_up(RTLD_DEFAULT, "_ZTISt9exception", &ret->exception_type);
}

const char *const *kn_abort_message(void)
{
    return (const char *const *)dlvsym(RTLD_DEFAULT, "__abort_msg", "GLIBC_PRIVATE");
}
