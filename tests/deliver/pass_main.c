/* One pass over the spool argv[1] to the destination argv[2] with the made-up worker, as
 * a program of its own that faults can be preloaded into. Exits 0, or 1 and says why. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct fake *f = fake_new((const char *[]){"upload.retry_base=1s", NULL});
    const char *own = f->path;
    f->path = argv[1];
    fake_destination(f, argv[2], 0);
    int r = fake_run(f);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", argv[1], strerrordesc_np(-r));
    f->path = own;
    fake_free(f);
    return r < 0 ? 1 : 0;
}
