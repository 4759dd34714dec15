#include "uploader/secrets.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SECRETS = 64 };
static char *secrets[MAX_SECRETS];
static size_t n_secrets;

static void wipe(void)
{
    for (size_t i = 0; i < n_secrets; i++)
        explicit_bzero(secrets[i], strlen(secrets[i]));
}

void secrets_add(char *text)
{
    static int registered;
    if (!text || !*text || n_secrets == MAX_SECRETS)
        return;
    if (!registered)
        registered = pthread_atfork(NULL, NULL, wipe) == 0;
    secrets[n_secrets++] = text;
}

void secrets_add_environment(void)
{
    static const char *const names[] = {"KNELL_DSN=", "SENTRY_DSN=", "KNELL_UPLOAD_",
        "OTEL_EXPORTER_OTLP_", "http_proxy=", "https_proxy=", "all_proxy="};
    for (char **e = environ; e && *e; e++) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            char *value = strchr(*e, '=');
            if (value && !strncmp(*e, names[i], strlen(names[i])))
                secrets_add(value + 1);
        }
    }
}

void secrets_forget(void)
{
    n_secrets = 0;
}
