/* A bar appears when work takes long and somebody looks, and leaves nothing behind. */
#include "uploader/inspect/progress.h"

#include "test.h"
#include "tmpdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 20000 };

/* Until it is drawn; what stderr got meanwhile. @unseen runs along and is not watched. */
static ssize_t draw(struct progress *bar, struct progress *unseen, char *out, size_t n)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/stderr", test_tmpdir());
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int kept = dup(STDERR_FILENO);
    if (file < 0 || kept < 0 || dup2(file, STDERR_FILENO) < 0)
        return -1;
    for (int i = 0; i < TRIES && !bar->drawn; i++) {
        progress_at(bar, 50);
        progress_at(unseen, 50);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    progress_end(bar);
    progress_end(unseen);
    (void)fflush(stderr);
    (void)dup2(kept, STDERR_FILENO);
    (void)close(kept);
    ssize_t got = pread(file, out, n, 0);
    (void)close(file);
    return got;
}

static void a_bar_is_drawn_and_taken_off(void)
{
    struct progress bar, unseen;
    char text[256] = "";
    progress_begin(&bar, "Reading", 100, true);
    progress_begin(&unseen, "Unseen", 100, false);
    CHECK(draw(&bar, &unseen, text, sizeof text - 1) > 0);
    CHECK_STR(text, "\rReading [###############...............] 50 of 100\r\033[K");
}

static void one_report_needs_no_bar(void)
{
    struct progress bar;
    progress_begin(&bar, "Reading", 1, true);
    CHECK(!bar.on);
    progress_end(&bar);
}

TEST_MAIN(TEST(a_bar_is_drawn_and_taken_off), TEST(one_report_needs_no_bar))
