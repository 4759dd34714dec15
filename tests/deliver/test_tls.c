/* Certificates: only a server that is who it says gets a report; what does not check is a
 * configuration error that keeps everything. The key in tls.pem is for this test alone.
 */
#include "fake.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DSN "https://key@127.0.0.1:%d/7"

struct tls_server {
    pid_t pid;
    int port; /* 0: it did not start */
    char count[512];
};

static struct tls_server start(const char *certificate, const char *client_ca)
{
    struct tls_server s = {0};
    char cert[512], text[16] = "";
    int out[2];
    snprintf(s.count, sizeof s.count, "%s/count", test_tmpdir());
    snprintf(cert, sizeof cert, "%s/%s", SOURCE_DIR, certificate);
    if (pipe(out) < 0)
        exit(99);
    s.pid = fork();
    if (!s.pid) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], 1);
        execlp("python3", "python3", SOURCE_DIR "/tls_server.py", cert, s.count,
            client_ca, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    if (read(out[0], text, sizeof text - 1) > 0)
        s.port = atoi(text);
    close(out[0]);
    if (!s.port)
        test_skip("python3 with ssl is not here");
    return s;
}

static void stop(struct tls_server *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
}

static long n_posts(const struct tls_server *s)
{
    struct stat st;
    return stat(s->count, &st) ? 0 : (long)st.st_size;
}

/* Returns how many of three reports arrived. */
static int send_three(const struct tls_server *s, const char *const *settings)
{
    struct fake *f = fake_new(settings);
    fake_destination(f, DSN, s->port);
    fake_reports(f, 3, "MDMP");
    CHECK_INT(fake_run(f), 0);
    int sent = fake_count(f, "sent");
    CHECK_INT(sent + fake_count(f, "wait"), 3);
    fake_free(f);
    return sent;
}

static void an_unknown_issuer_gets_nothing(void)
{
    struct tls_server s = start("tls.pem", NULL);
    if (!s.port)
        return;
    CHECK_INT(send_three(&s, (const char *[]){"upload.concurrency=1", NULL}), 0);
    CHECK_INT(n_posts(&s), 0);
    CHECK_INT(send_three(&s, (const char *[]){"upload.ca_file=" SOURCE_DIR "/tls.pem",
                                 "upload.concurrency=1", NULL}),
        3);
    CHECK_INT(n_posts(&s), 3);
    /* Asked for, and on this machine only. */
    CHECK_INT(send_three(&s, (const char *[]){"upload.insecure=yes", NULL}), 3);
    stop(&s);
}

static void another_name_gets_nothing(void)
{
    struct tls_server s = start("tls_other.pem", NULL);
    if (!s.port)
        return;
    CHECK_INT(send_three(&s,
                  (const char *[]){"upload.ca_file=" SOURCE_DIR "/tls_other.pem", NULL}),
        0);
    CHECK_INT(n_posts(&s), 0);
    stop(&s);
}

static void a_client_certificate_is_shown(void)
{
    struct tls_server s = start("tls.pem", SOURCE_DIR "/tls.pem");
    if (!s.port)
        return;
    static const char ca[] = "upload.ca_file=" SOURCE_DIR "/tls.pem";
    CHECK_INT(send_three(&s, (const char *[]){ca, NULL}), 0);
    CHECK_INT(
        send_three(&s, (const char *[]){ca, "upload.client_cert=" SOURCE_DIR "/tls.pem",
                           "upload.client_key=" SOURCE_DIR "/tls.pem", NULL}),
        3);
    CHECK_INT(
        send_three(&s, (const char *[]){ca, "upload.client_cert=/nonexistent", NULL}), 0);
    stop(&s);
}

TEST_MAIN(TEST(an_unknown_issuer_gets_nothing), TEST(another_name_gets_nothing),
    TEST(a_client_certificate_is_shown))
