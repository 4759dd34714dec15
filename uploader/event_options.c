#include "uploader/event_options.h"

void event_options_set(const struct config *c, const struct spool_name *name,
    const struct ledger *ledger, const struct destination *destinations,
    size_t n_destinations, struct worker_options *ret)
{
    struct worker_options o = {.minidump = (enum worker_minidump)c->minidump,
        .attached_file_bytes = c->attached_file_bytes,
        .no_sentry = true};
    spool_event_id_format(name->event_id, o.event.event_id);
    o.event.time_ms = name->time_ms;
    o.event.send_default_pii = c->send_default_pii;
    o.event.no_frame_hints = !c->frame_hints;
    for (size_t i = 0; i < n_destinations; i++) {
        bool otlp = destinations[i].kind == DESTINATION_OTLP;
        o.otlp |= otlp;
        o.no_sentry &= otlp;
    }
    const struct ledger_signature *s =
        ledger ? ledger_find_signature(ledger, name->signature) : NULL;
    if (s) {
        o.event.suppressed = s->n_suppressed;
        o.event.first_seen_ms = s->first_ms;
        o.event.last_seen_ms = s->last_ms;
    }
    *ret = o;
}
