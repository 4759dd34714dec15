/* Configuration files: what is taken of one can be shown and taken again. */
#include "fuzz.h"
#include "uploader/config.h"
#include "uploader/destinations.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* No line may name another file: what lies there is the machine's. */
static bool includes(const uint8_t *data, size_t n)
{
    return memmem(data, n, "include", 7) || memmem(data, n, "dsn_file", 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char path[64];
    if (n > 65536 || includes(data, n))
        return 0;
    int fd = memfd_create("config", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct config_sources sources = {.file = path};
    struct config_set c;
    if (config_load(&sources, &c) < 0)
        abort();
    for (size_t i = 0; i < config_n_keys(); i++) {
        struct config_line line;
        config_describe(&c, i, &line);
        if (!line.origin || strlen(line.value) >= sizeof line.value)
            abort();
    }
    struct destination all[8];
    for (size_t k = destinations_of(&c.values, all, 8, NULL, NULL); k-- > 0;)
        destination_done(&all[k]);
    config_done(&c);
    close(fd);
    return 0;
}
