/* dump: the minidump itself, for other tools. */
#include "uploader/inspect/commands.h"
#include "uploader/inspect/output.h"
#include "uploader/inspect/select.h"
#include "uploader/inspect/shut_in.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int copy(
    struct session *s, const struct store *t, struct report *r, struct output *o)
{
    CLEANUP(free_p) uint8_t *bytes = NULL;
    size_t n;
    int err = loader_read(t, r, &bytes, &n);
    if (err) {
        session_complain(s, "cannot read the report: %s", strerrordesc_np(-err));
        output_drop(o);
        return err;
    }
    err = output_write(o, bytes, n);
    err = output_close(s, o, err);
    if (!err)
        output_json(s, n, 0);
    return err;
}

int command_dump(struct session *s)
{
    struct store t;
    struct selection x = {0};
    struct output o;
    int err = store_open(s, &t);
    if (!err)
        err = output_open(s, &o);
    if (!err) {
        shut_in(s, &t);
        err = select_few(s, &t, &x);
        if (!err && x.n > 1) {
            session_complain(s, "dump writes one report; %zu match", x.n);
            err = -EINVAL;
        }
        if (err)
            output_drop(&o);
        else
            err = copy(s, &t, x.reports[0], &o);
    }
    selection_done(&x);
    store_close(&t);
    return session_exit_code(err);
}
