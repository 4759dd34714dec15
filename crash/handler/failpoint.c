#include "crash/handler/failpoint.h"

#ifdef KN_FAILPOINTS
#include "crash/handler/sys.h"
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

/* "NAME:fault", "NAME:once" (a fault the first time), "NAME:hang", "NAME:stuck" (where no
 * signal handler is run), "NAME:kill" or "NAME:wait" (half a second), set by the test's
 * victim. */
const char *kn_failpoint_choice;

/* The last place that was passed, for calls.c. */
const char *volatile kn_failpoint_place;

static int is_chosen(const char *name, size_t n)
{
    return kn_failpoint_choice && !strncmp(kn_failpoint_choice, name, n) &&
           kn_failpoint_choice[n] == ':';
}

/* As in a write to a file system that hangs: the kernel lets the end of the process
 * interrupt it, and nothing else. */
static void get_stuck(void)
{
    const struct timespec a_minute = {60, 0};
    if (KN_SYS6(SYS_clone, CLONE_VFORK, 0, 0, 0, 0, 0))
        return;
    (void)KN_SYS3(SYS_close_range, 0, ~0u, 0); /* and the locks */
    (void)KN_SYS6(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
    (void)KN_SYS2(SYS_nanosleep, &a_minute, NULL);
    (void)KN_SYS1(SYS_exit_group, 0);
}

void kn_failpoint(const char *name)
{
    size_t n = strlen(name);
    kn_failpoint_place = n ? name : NULL; /* "": the capture has ended */
    if (!is_chosen(name, n))
        return;
    const char how = kn_failpoint_choice[n + 1];
    static int *volatile nowhere;
    if (how == 'o')
        kn_failpoint_choice = NULL;
    if (how == 'f' || how == 'o')
        *nowhere = 1;
    if (how == 's')
        get_stuck();
    if (how == 'k')
        (void)KN_SYS2(SYS_kill, KN_SYS0(SYS_getpid), SIGKILL);
    const struct timespec half_a_second = {0, 500000000};
    if (how == 'w')
        (void)KN_SYS2(SYS_nanosleep, &half_a_second, NULL);
    while (how == 'h')
        (void)KN_SYS2(SYS_nanosleep, &half_a_second, NULL);
}
#else
typedef int kn_failpoints_are_not_built;
#endif
