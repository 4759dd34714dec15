#include "uploader/report/debug_files.h"

#include <string.h>

/* The vDSO and the like come from no file. */
static bool lacks_file(const struct crash_module *m)
{
    return m->asked && m->n_build_id && m->path && *m->path == '/' &&
           wish_worthy(m->debug_status);
}

static void wish_for(const struct crash *c, int32_t module, struct wishes *w)
{
    if (module >= 0 && lacks_file(&c->modules[module]))
        wishes_add(w, c->modules[module].build_id, c->modules[module].n_build_id,
            WISH_DEBUGINFO);
}

void debug_files_wished(const struct crash *c, struct wishes *w)
{
    const struct crash_thread *t =
        c->crashed_thread < 0 ? NULL : &c->threads[c->crashed_thread];
    for (uint32_t i = 0; t && i < t->n_frames; i++)
        wish_for(c, t->frames[i].module, w);
    for (uint32_t i = 0; i < c->n_modules; i++)
        wish_for(c, (int32_t)i, w);
    for (uint32_t i = 0; i < c->n_modules; i++) {
        if (c->modules[i].no_image)
            wishes_add(
                w, c->modules[i].build_id, c->modules[i].n_build_id, WISH_EXECUTABLE);
    }
}

void debug_files_answers(struct crash *c, const char *dir)
{
    for (uint32_t i = 0; dir && i < c->n_modules; i++) {
        struct crash_module *m = &c->modules[i];
        struct wish w = {.n_build_id = m->n_build_id};
        if (!lacks_file(m) || m->n_build_id > sizeof w.build_id)
            continue;
        memcpy(w.build_id, m->build_id, m->n_build_id);
        m->fetched = wish_noted(dir, &w, NULL);
    }
}
