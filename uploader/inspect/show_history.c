#include "uploader/inspect/past.h"
#include "uploader/inspect/show.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { MAX_WHY_BYTES = 2048 };

/* The line of reason beside a quarantined report. */
static void put_why(const struct show *x)
{
    char file[KNELL_SPOOL_NAME_BYTES + sizeof KNELL_WHY_SUFFIX], text[MAX_WHY_BYTES];
    const struct spool *spool = x->t->spools[x->r->spool].spool;
    (void)report_file(x->r, file);
    (void)strcpy(
        file + KNELL_SPOOL_NAME_BYTES - strlen(KNELL_SPOOL_SUFFIX), KNELL_WHY_SUFFIX);
    CLEANUP(close_p) int fd = -1;
    if (spool_open_file(spool, SPOOL_BAD, file, MAX_WHY_BYTES, &fd, NULL))
        return;
    ssize_t n = read(fd, text, sizeof text - 1);
    if (n <= 0)
        return;
    text[n] = 0;
    text[strcspn(text, "\n")] = 0;
    (void)fputs("  quarantined: ", x->out->f);
    out_text(x->out, STYLE_RED, text);
    (void)fputc('\n', x->out->f);
}

struct walk {
    const struct show *x;
    char id[33];
    struct json *j; /* NULL: text */
    bool any;
};

static int put_line(void *ctx, const struct past_line *line)
{
    struct walk *w = ctx;
    if (strcmp(line->event_id, w->id) != 0)
        return 0;
    if (w->j) {
        json_object(w->j, NULL);
        past_json(w->j, line, false);
        json_end_object(w->j);
        return 0;
    }
    if (!w->any)
        show_head(w->x, "Delivery");
    w->any = true;
    (void)fputs("  ", w->x->out->f);
    past_print(w->x->out, line, w->x->s->options.utc, false);
    return 0;
}

void show_history(const struct show *x)
{
    struct walk w = {.x = x};
    spool_event_id_format(x->r->name.event_id, w.id);
    IGNORE(past_each(x->t->spools[x->r->spool].spool, put_line, &w),
        "the history is extra; the state is in the folder");
    if (x->r->state == SPOOL_BAD) {
        if (!w.any)
            show_head(x, "Delivery");
        put_why(x);
    }
}

void show_history_json(struct json *j, const struct show *x)
{
    struct walk w = {.x = x, .j = j};
    spool_event_id_format(x->r->name.event_id, w.id);
    json_array(j, "delivery");
    IGNORE(past_each(x->t->spools[x->r->spool].spool, put_line, &w), "as above");
    json_end_array(j);
}
