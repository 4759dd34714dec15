#include "uploader/inspect/progress.h"

#include <stdio.h>
#include <time.h>

enum { PATIENCE_MS = 500, REDRAW_MS = 100, BAR = 30 };

static uint64_t tick_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, const char *what, size_t total, bool watched)
{
    *p = (struct progress){.what = what, .total = total};
    p->on = watched && total > 1;
    p->began_ms = p->on ? tick_ms() : 0;
}

void progress_at(struct progress *p, size_t done)
{
    if (!p->on)
        return;
    uint64_t now = tick_ms();
    if (now - p->began_ms < PATIENCE_MS || now - p->drawn_ms < REDRAW_MS)
        return;
    p->drawn_ms = now;
    p->drawn = true;
    size_t full = done < p->total ? done * BAR / p->total : BAR;
    char bar[BAR + 1];
    for (size_t i = 0; i < BAR; i++)
        bar[i] = i < full ? '#' : '.';
    bar[BAR] = 0;
    (void)fprintf(stderr, "\r%s [%s] %zu of %zu", p->what, bar, done, p->total);
}

void progress_end(struct progress *p)
{
    if (p->drawn)
        (void)fputs("\r\033[K", stderr);
    *p = (struct progress){0};
}
