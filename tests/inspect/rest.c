#include "rest.h"
#include <knell/capture.h>
#include <knell/scope.h>
#include <knell/trace.h>

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_WAIT_MS = 2000, PATH_BYTES = 320 };

/* Its system call; -1: none, or not to be known. */
static long call_of(const char *tid)
{
    char path[PATH_BYTES];
    long call = -1;
    (void)snprintf(path, sizeof path, "/proc/self/task/%s/syscall", tid);
    FILE *f = fopen(path, "r");
    if (!f)
        return -1;
    if (fscanf(f, "%ld", &call) != 1)
        call = -1;
    (void)fclose(f);
    return call;
}

void rest_after(pthread_barrier_t *barrier)
{
    (void)pthread_barrier_wait(barrier);
    DIR *d = opendir("/proc/self/task");
    for (const struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.' || atoi(e->d_name) == gettid())
            continue;
        for (int ms = 0; ms < MAX_WAIT_MS; ms++) {
            long call = call_of(e->d_name);
#ifdef SYS_pause
            if (call == SYS_pause)
                break;
#endif
            if (call == SYS_ppoll)
                break; /* what pause(3) is where the kernel has no pause(2) */
            (void)usleep(1000);
        }
    }
    if (d)
        (void)closedir(d);
}

bool rest_closes_files(void)
{
    return close_range(STDERR_FILENO + 1, ~0u, 0) == 0;
}

void rest_says_badly(void)
{
    static const char *const hostile = HOSTILE;
    const struct knell_data facts[] = {
        knell_text(hostile, hostile), knell_text("plain", hostile)};
    const struct knell_user user = {hostile, hostile, hostile, hostile, facts, 2};
    knell_set_tag("key" HOSTILE, "value" HOSTILE);
    knell_set_user(&user);
    knell_set_context(hostile, facts, 2);
    knell_set_extra(facts[0]);
    knell_set_fingerprint(&hostile, 1);
    knell_set_transaction(hostile);
    knell_attach_bytes(hostile, hostile, strlen(hostile));
    knell_attach_file(hostile, hostile);
    knell_add_breadcrumb_data(KNELL_LEVEL_ERROR, hostile, hostile, facts, 2);
    struct knell_error e = KNELL_ERROR_INIT;
    e.type = e.message = e.domain = e.operation = hostile;
    e.details = facts;
    e.n_details = 2;
    (void)knell_capture_error(&e);
    (void)knell_capture_message(KNELL_LEVEL_WARNING, hostile);
    (void)knell_transaction_start(hostile, hostile, NULL);
    (void)knell_span_start(NULL, hostile, hostile);
}

void rest_asserts_badly(void)
{
    __assert_fail(HOSTILE, HOSTILE, 1, HOSTILE);
}
