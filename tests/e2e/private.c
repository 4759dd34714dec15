/* A daemon full of what must not leave its machine: every secret comes on stdin, one a
 * line, so that the binary holds none of them. Dies of a failed assertion. */
#undef NDEBUG
#include <knell/knell.h>

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 256 };

static char on_heap_only[2][LINE];

__attribute__((noinline)) static void keep_on_stack(const char *secret, int fd)
{
    volatile char here[8 * LINE];
    for (size_t i = 0; i < sizeof here; i++)
        here[i] = secret[i % (strlen(secret) + 1)];
    if (fd >= 0) /* the other thread stays in here */
        (void)!read(fd, on_heap_only[0], 1);
    else
        __assert_fail(on_heap_only[1], "private.c", 1, "keep_on_stack");
    (void)here[0];
}

static void *other(void *ctx)
{
    keep_on_stack(on_heap_only[0], *(int *)ctx);
    return NULL;
}

int main(void)
{
    struct knell_options o = KNELL_OPTIONS_INIT;
    int never[2];
    pthread_t t;
    o.app = "private";
    o.release = "private@1";
    o.start_uploader = KNELL_OFF;
    if (knell_start(&o) || pipe(never) || !fgets(on_heap_only[0], LINE, stdin) ||
        !fgets(on_heap_only[1], LINE, stdin))
        return 1;
    on_heap_only[0][strcspn(on_heap_only[0], "\n")] = 0;
    on_heap_only[1][strcspn(on_heap_only[1], "\n")] = 0;
    knell_set_tag("told", "password=UserSetValue");
    knell_add_breadcrumb(
        KNELL_LEVEL_INFO, "told", "token=UserSetCrumb in /home/UserSetHome/x");
    knell_attach_bytes("note.txt", "secret: UserSetBytes", 20);
    if (pthread_create(&t, NULL, other, &never[0]))
        return 1;
    usleep(200000);
    keep_on_stack(on_heap_only[0], -1);
}
