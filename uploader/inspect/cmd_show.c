#include "uploader/inspect/as_sent.h"
#include "uploader/inspect/commands.h"
#include "uploader/inspect/select.h"
#include "uploader/inspect/show.h"
#include "uploader/inspect/shut_in.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void put_show(const struct show *x)
{
    const struct options *o = &x->s->options;
    const struct crash *c = x->l->crash;
    show_reason(x);
    show_facts(x);
    show_crashed_thread(x);
    show_missing_symbols(x);
    if (c->crashed_thread >= 0 && c->threads[c->crashed_thread].has_registers) {
        show_head(x, "Registers");
        show_registers(x, &c->threads[c->crashed_thread]);
    }
    show_crumbs(x, false);
    show_scope(x);
    show_other_threads(x, o->every_thread || o->registers);
    if (o->modules)
        show_modules(x);
    show_history(x);
    show_damage(x);
}

static void put_text(const struct show *x)
{
    switch (x->s->options.command) {
    case COMMAND_STACK:
        show_crashed_thread(x);
        break;
    case COMMAND_THREADS:
        show_crashed_thread(x);
        show_other_threads(x, true);
        break;
    case COMMAND_CRUMBS:
        show_crumbs(x, true);
        break;
    default:
        put_show(x);
        break;
    }
}

static void complain(const struct session *s, const struct report *r, int err,
    const struct report_error *why)
{
    char id[33];
    const char *fault = err == -ENOENT ? "it was removed meanwhile" : spool_fault(err);
    spool_event_id_format(r->name.event_id, id);
    if (why->what)
        session_complain(s, "report %s cannot be read: %s (%s at offset %llu)", id,
            strerrordesc_np(-err), why->what, (unsigned long long)why->offset);
    else
        session_complain(
            s, "report %s cannot be read: %s", id, fault ? fault : strerrordesc_np(-err));
}

static int put_one(struct session *s, struct store *t, struct report *r)
{
    struct loaded l;
    struct report_error why = {0};
    if (s->options.as_sent)
        return as_sent_print(s, t, r);
    int err = loader_open(s, t, r, &l, &why);
    if (err) {
        complain(s, r, err, &why);
        loader_done(&l);
        return err;
    }
    struct show x = {.s = s, .out = &s->out, .t = t, .r = r, .l = &l};
    loader_entry(&l, r, &x.e);
    if (s->options.json) {
        struct json j = session_json(s);
        show_json(&j, &x);
        json_end_object(&j);
    } else {
        put_text(&x);
    }
    loader_done(&l);
    return 0;
}

int command_show(struct session *s)
{
    struct store t;
    struct selection x = {0};
    int err = store_open(s, &t);
    if (!err && t.n_reports && !s->options.json)
        out_page(&s->out);
    /* What is sent is made with the user's program, where there is one. */
    const struct config *config = s->options.as_sent ? session_config(s) : NULL;
    if (!err && !(config && config->before_send && *config->before_send))
        shut_in(s, &t);
    if (!err)
        err = select_few(s, &t, &x);
    /* What somebody put among the reports keeps nobody from seeing the others. */
    int worst = err;
    for (size_t i = 0; !err && i < x.n && !ferror(s->out.f) && worst != -ENOMEM; i++) {
        if (i && !s->options.json)
            (void)fputc('\n', s->out.f);
        int one = put_one(s, &t, x.reports[s->options.reverse ? i : x.n - 1 - i]);
        if (one)
            worst = spool_fault(one) ? -EBADMSG : one == -ENOENT ? -ENODATA : one;
    }
    selection_done(&x);
    store_close(&t);
    return session_exit_code(worst);
}
