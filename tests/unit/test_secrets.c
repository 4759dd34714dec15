#include "test.h"

#include "uploader/secrets.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_child_has_none(void)
{
    char dsn[] = "https://key:secret@host/1", plain[] = "plain";
    CHECK_INT(setenv("KNELL_DSN", "https://k:s@h/2", 1), 0);
    CHECK_INT(setenv("KNELL_SPOOL", "/spool", 1), 0);
    secrets_add(dsn);
    secrets_add(NULL);
    secrets_add_environment();
    pid_t pid = fork();
    if (!pid) {
        bool wiped = !*dsn && !memcmp(dsn, (char[sizeof dsn]){0}, sizeof dsn) &&
                     !*getenv("KNELL_DSN") && !strcmp(plain, "plain") &&
                     !strcmp(getenv("KNELL_SPOOL"), "/spool");
        _exit(wiped ? 0 : 1);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
    CHECK_STR(dsn, "https://key:secret@host/1");
    CHECK_STR(getenv("KNELL_DSN"), "https://k:s@h/2");
    secrets_forget();
}

TEST_MAIN(TEST(a_child_has_none))
