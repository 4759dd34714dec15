/* The one gate before anything leaves: asked before every request and every connection.
 */
#pragma once
#include "uploader/config.h"

struct consent {
    int spool_fd;
    const struct config *config;
    bool told; /* that it cannot be read: said once */
};

/**
 * The file "consent" in the spool (yes, no or ask, one word), else /etc/knell/consent,
 * else upload.consent; and upload.enabled in any case. A file that cannot be read or says
 * anything else means no.
 */
enum config_consent consent_now(const struct consent *c);

/* For http_options.may_connect; @consent  struct consent. */
bool consent_given(void *consent);
