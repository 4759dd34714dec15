#include "crash/handler/cxx.h"

#include "crash/handler/digits.h"
#include "crash/handler/minidump.h"
#include <stddef.h>
#include <string.h>

#include "crash/handler/poison.h"

/* Itanium C++ ABI: a type_info is {vtable, name}; libstdc++'s virtual functions of it are
 * two destructors, __is_pointer_p, __is_function_p, __do_catch, __do_upcast. A
 * std::exception's are two destructors and what(). */
enum {
    SLOT_DO_CATCH = 4,
    SLOT_WHAT = 2,
};
struct type_info {
    void *const *vtable;
    const char *name;
};
struct object {
    void *const *vtable;
};

/* abi::__cxa_eh_globals, and libstdc++'s __cxa_exception in it: the header ends with an
 * _Unwind_Exception, which begins with who made it. The thrown object follows, but of one
 * that was thrown again from an exception_ptr, of which the first word points to it. */
struct eh_globals {
    const uint8_t *caught;
    unsigned n_uncaught;
};
enum {
    EXCEPTION_HEADER_BYTES = 112, /* sizeof(__cxa_exception) on 64-bit targets */
    UNWIND_HEADER_BYTES = 32,     /* sizeof(_Unwind_Exception) */
};
#define CLASS_PRIMARY 0x474e5543432b2b00u   /* "GNUCC++\0" */
#define CLASS_DEPENDENT 0x474e5543432b2b01u /* "GNUCC++\1" */

/* NULL: thrown by another runtime or language. */
static void *object_of(const uint8_t *caught)
{
    uint64_t class;
    void *object = NULL;
    memcpy(&class, caught + EXCEPTION_HEADER_BYTES - UNWIND_HEADER_BYTES, sizeof class);
    if (class == CLASS_PRIMARY)
        object = (void *)(uintptr_t)(caught + EXCEPTION_HEADER_BYTES);
    else if (class == CLASS_DEPENDENT)
        memcpy(&object, caught, sizeof object);
    return object;
}

static bool is_exception(const struct kn_cxx *x, struct type_info *type, void **object)
{
    typedef bool (*do_catch)(const void *, const void *, void **, unsigned);
    const struct type_info *base = (const struct type_info *)x->exception_type;
    if (!base)
        return false;
    do_catch f = (do_catch)base->vtable[SLOT_DO_CATCH];
    return f(base, type, object, 1); /* INDIRECT: type_info::__do_catch of libstdc++ */
}

static const char *what_of(void *exception)
{
    typedef const char *(*what)(const void *);
    what f = (what)((const struct object *)exception)->vtable[SLOT_WHAT];
    return f(exception); /* INDIRECT: the program's what() */
}

void kn_cxx_put(struct kn_capture *c)
{
    const struct kn_cxx *x = &c->process->cxx;
    if (c->signo != SIGABRT || !x->current_type || !x->globals)
        return;
    /* INDIRECT: libstdc++ answers from a variable of the thread. */
    struct type_info *type = (struct type_info *)x->current_type();
    const struct eh_globals *g = (const struct eh_globals *)x->globals(); /* INDIRECT: */
    if (!type || !g || !g->caught)
        return;
    char text[KN_CXX_BYTES];
    struct kn_text t;
    kn_text_init(&t, text, sizeof text);
    kn_text_put(&t, type->name + (type->name[0] == '*'));
    kn_stream_put(c, KNELL_STREAM_CXX_EXCEPTION, text, (uint32_t)t.n);
    void *object = object_of(g->caught);
    if (!object || !is_exception(x, type, &object))
        return;
    const char *what = what_of(object);
    if (!what)
        return;
    kn_text_put(&t, "\n");
    kn_text_put(&t, what);
    kn_stream_put(c, KNELL_STREAM_CXX_EXCEPTION, text, (uint32_t)t.n);
}
