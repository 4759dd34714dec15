/* All destinations that the configuration names, for whoever sends or shows what would be
 * sent. */
#pragma once
#include "uploader/config.h"
#include "uploader/deliver/dsn.h"

/* One that does not parse. @masked  without its secrets */
typedef void destinations_bad(void *ctx, const char *masked, const char *why);

/**
 * @ret  room for @max; free each with destination_done()
 * @bad  told of each that is left out; NULL: nobody
 * Returns how many there are.
 */
size_t destinations_of(const struct config *c, struct destination *ret, size_t max,
    destinations_bad *bad, void *ctx);
