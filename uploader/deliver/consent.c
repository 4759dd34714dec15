#include "uploader/deliver/consent.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CONSENT_FILE "consent"
#define CONSENT_SYSTEM_FILE "/etc/knell/consent"

/* Returns false when there is no such file. */
static bool read_word(int dir_fd, const char *path, enum config_consent *ret)
{
    char text[16];
    CLEANUP(close_p)
    int fd = openat(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return false;
    *ret = CONFIG_CONSENT_NO;
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0)
        return true;
    text[n] = 0;
    text[strcspn(text, " \t\r\n")] = 0;
    if (!strcmp(text, "yes"))
        *ret = CONFIG_CONSENT_YES;
    else if (!strcmp(text, "ask"))
        *ret = CONFIG_CONSENT_ASK;
    return true;
}

enum config_consent consent_now(const struct consent *c)
{
    enum config_consent word = (enum config_consent)c->config->consent;
    if (!c->config->enabled)
        return CONFIG_CONSENT_NO;
    if (!read_word(c->spool_fd, CONSENT_FILE, &word))
        (void)read_word(AT_FDCWD, CONSENT_SYSTEM_FILE, &word);
    return word;
}

bool consent_given(void *consent)
{
    return consent_now(consent) == CONFIG_CONSENT_YES;
}
