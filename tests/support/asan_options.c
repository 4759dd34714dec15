/*
 * Linked into programs that die on purpose: a sanitizer must not take the signals they
 * die of, and what they held then is no leak. Without a sanitizer nobody calls this.
 */
const char *__asan_default_options(void);

__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:"
           "use_sigaltstack=0:detect_leaks=0";
}
