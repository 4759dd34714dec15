#include "uploader/deliver/consent.h"

#include "uploader/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CONSENT_FILE "consent"
#define CONSENT_SYSTEM_FILE "/etc/knell/consent"

/* Returns 1, 0 when there is no such file, or the errno of one that cannot be read: then
 * the word is no. */
static int read_word(int dir_fd, const char *path, enum config_consent *ret)
{
    char text[16];
    CLEANUP(close_p)
    int fd = openat(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    *ret = CONFIG_CONSENT_NO;
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0)
        return -errno;
    text[n] = 0;
    text[strcspn(text, " \t\r\n")] = 0;
    if (!strcmp(text, "yes"))
        *ret = CONFIG_CONSENT_YES;
    else if (!strcmp(text, "ask"))
        *ret = CONFIG_CONSENT_ASK;
    return 1;
}

static enum config_consent look(const struct consent *c, int *ret_err)
{
    enum config_consent word = (enum config_consent)c->config->consent;
    *ret_err = 0;
    if (!c->config->enabled)
        return CONFIG_CONSENT_NO;
    int r = read_word(c->spool_fd, CONSENT_FILE, &word);
    if (!r)
        r = read_word(AT_FDCWD, CONSENT_SYSTEM_FILE, &word);
    *ret_err = r < 0 ? r : 0;
    return word;
}

enum config_consent consent_now(const struct consent *c)
{
    int err;
    return look(c, &err);
}

bool consent_given(void *consent)
{
    struct consent *c = consent;
    int err;
    enum config_consent word = look(c, &err);
    if (err && !c->told)
        log_line(LOG_LEVEL_WARNING, LOG_CONFIGURATION, NULL,
            "nothing is sent: consent cannot be read: %s", strerrordesc_np(-err));
    c->told |= err != 0;
    return word == CONFIG_CONSENT_YES;
}
