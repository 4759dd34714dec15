/**
 * Stands in for knell-upload: writes what it was given to $KNELL_SPOOL/said.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int count_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 4096; fd++)
        n += dup2(fd, fd) == fd;
    return n;
}

static int count_signals(void)
{
    sigset_t blocked;
    int n = 0;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    for (int signo = 1; signo < 65; signo++) {
        struct sigaction a;
        n += sigismember(&blocked, signo) == 1;
        n += !sigaction(signo, NULL, &a) && a.sa_handler != SIG_DFL;
    }
    return n;
}

int main(int argc, char **argv)
{
    int n_fds = count_descriptors(), n_signals = count_signals();
    char path[2][400];
    const char *spool = getenv("KNELL_SPOOL"), *dsn = getenv("KNELL_DSN");
    const char *session = getenv("VICTIM_SESSION");
    (void)argv;
    if (!spool)
        return 1;
    (void)snprintf(path[0], sizeof path[0], "%s/said.part", spool);
    (void)snprintf(path[1], sizeof path[1], "%s/said", spool);
    FILE *f = fopen(path[0], "w");
    if (!f)
        return 1;
    fprintf(f, "dsn=%s argc=%d fds=%d signals=%d own_session=%d preload=%d\n",
        dsn ? dsn : "", argc, n_fds, n_signals,
        getsid(0) != atoi(session ? session : "0"), getenv("LD_PRELOAD") != NULL);
    fclose(f);
    return rename(path[0], path[1]) != 0;
}
