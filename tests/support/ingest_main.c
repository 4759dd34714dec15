/* The fake ingest server as a program: prints its port, then serves until killed. */
#include "ingest.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct ingest_options o = {0};
    for (int c; (c = getopt(argc, argv, "s:o:u:p:")) != -1;) {
        switch (c) {
        case 's':
            o.script = optarg;
            break;
        case 'o':
            o.dir = optarg;
            break;
        case 'u':
            o.unix_path = optarg;
            break;
        case 'p':
            o.port = atoi(optarg);
            break;
        default:
            fprintf(stderr, "usage: ingest [-s SCRIPT] [-o DIR] [-p PORT | -u SOCKET]\n");
            return 2;
        }
    }
    static struct ingest_counts counts;
    int port, listener = ingest_listen(&o, &port);
    printf("%d\n", port);
    fflush(stdout);
    ingest_serve(listener, &o, &counts);
}
