/**
 * From the configuration and a report's name to what the worker is asked for. In one
 * place, so that what `knell show --as-sent` prints is what knell-upload sends.
 */
#pragma once
#include "uploader/config.h"
#include "uploader/deliver/dsn.h"
#include "uploader/deliver/ledger.h"
#include "uploader/spool/name.h"
#include "uploader/worker/process.h"

/* @ledger  what was suppressed of the signature; NULL: nothing is known */
void event_options_set(const struct config *c, const struct spool_name *name,
    const struct ledger *ledger, const struct destination *destinations,
    size_t n_destinations, struct worker_options *ret);
