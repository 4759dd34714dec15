#include "uploader/deliver/folder.h"

#include "uploader/spool/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int folder_deliver(const char *dir, const char *event_id, const void *bytes, size_t n)
{
    CLEANUP(close_p) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        int r = spool_make_path(dir);
        if (r < 0)
            return r;
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0)
        return -errno;
    char file[64];
    snprintf(file, sizeof file, "%s.envelope", event_id);
    return spool_replace_file(fd, file, bytes, n);
}
