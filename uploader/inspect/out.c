#include "uploader/inspect/out.h"

#include "uploader/inspect/safe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_BYTES = 256 << 10 };

static size_t width_of(int fd)
{
    const char *text = getenv("COLUMNS");
    if (text) {
        char *end;
        unsigned long n = strtoul(text, &end, 10);
        if (end != text && !*end && n > 0 && n < 10000)
            return n;
    }
    struct winsize w;
    if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col)
        return w.ws_col;
    return isatty(fd) ? 80 : 0;
}

static bool terminal_has_colours(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return !(no && *no) && term && *term && strcmp(term, "dumb") != 0;
}

void out_init(struct out *o, enum out_colour colour, bool full)
{
    *o = (struct out){.f = stdout, .tty = isatty(STDOUT_FILENO) == 1};
    if (!o->tty)
        IGNORE(setvbuf(stdout, NULL, _IOFBF, BUFFER_BYTES), "only slower");
    o->columns = full ? 0 : width_of(STDOUT_FILENO);
    o->colour = colour == OUT_COLOUR_ALWAYS ||
                (colour == OUT_COLOUR_AUTO && o->tty && terminal_has_colours());
    /* A reader that closes the pipe early ends the output, not with a signal. */
    (void)signal(SIGPIPE, SIG_IGN);
}

static bool pager_is_safe(void)
{
    if (getuid() != geteuid() || getgid() != getegid())
        return false;
    return geteuid() != 0 || (!getenv("SUDO_UID") && !getenv("SUDO_USER") &&
                                 !getenv("DOAS_USER") && !getenv("PKEXEC_UID"));
}

enum { MAX_PAGER_WORDS = 16 };

/* Words of the pager's command line, split at blanks: no shell runs it. */
static size_t split(char *text, char *words[static MAX_PAGER_WORDS + 1])
{
    size_t n = 0;
    char *rest = NULL;
    for (char *w = strtok_r(text, " \t", &rest); w && n < MAX_PAGER_WORDS;
         w = strtok_r(NULL, " \t", &rest))
        words[n++] = w;
    words[n] = NULL;
    return n;
}

static _Noreturn void run_pager(char *words[], const int ends[2])
{
    (void)dup2(ends[0], STDIN_FILENO);
    (void)close(ends[1]); /* else the end of the text never comes, where exec fails */
    (void)signal(SIGPIPE, SIG_DFL);
    (void)setenv("LESS", "FRSXMK", 0);
    (void)setenv("LESSSECURE", "1", 1);
    (void)setenv("LESSCHARSET", "utf-8", 0);
    (void)execvp(words[0], words);
    /* Without it the text still reaches the terminal. */
    char buffer[4096];
    for (ssize_t n; (n = read(STDIN_FILENO, buffer, sizeof buffer)) > 0;)
        if (write(STDOUT_FILENO, buffer, (size_t)n) < 0)
            break;
    _exit(0);
}

void out_page(struct out *o)
{
    if (!o->tty || o->no_pager || o->pager || !pager_is_safe())
        return;
    const char *command = getenv("KNELL_PAGER");
    if (!command)
        command = getenv("PAGER");
    CLEANUP(free_p) char *text = strdup(command ? command : "less");
    char *words[MAX_PAGER_WORDS + 1];
    if (!text || !split(text, words) || strcmp(words[0], "cat") == 0)
        return;

    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        run_pager(words, ends);
    (void)close(ends[0]);
    FILE *f = pid > 0 ? fdopen(ends[1], "w") : NULL;
    if (!f) {
        (void)close(ends[1]);
        return;
    }
    o->f = f;
    o->pager = pid;
    /* ^C belongs to the pager; knell ends when the pager does. */
    (void)signal(SIGINT, SIG_IGN);
}

bool out_wait(const struct out *o, int64_t ms)
{
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    struct pollfd reader = {.fd = fileno(o->f)}; /* asks for errors alone */
    int n = ppoll(&reader, 1, &pause, NULL);
    if (n < 0 && errno != EINTR)
        (void)nanosleep(&pause, NULL);
    return n <= 0;
}

int out_done(struct out *o)
{
    if (!o->f)
        return 0;
    int err = 0;
    if (fflush(o->f) || ferror(o->f))
        err = errno == EPIPE ? 0 : errno ? -errno : -EIO;
    if (o->pager) {
        IGNORE(fclose(o->f), "flushed above");
        while (waitpid(o->pager, NULL, 0) < 0 && errno == EINTR)
            ;
        o->pager = 0;
    }
    o->f = NULL;
    return err;
}

const char *out_style(const struct out *o, enum style style)
{
    static const char *const sequences[STYLE_N] = {
        [STYLE_PLAIN] = "",
        [STYLE_BOLD] = "\033[1m",
        [STYLE_DIM] = "\033[2m",
        [STYLE_RED] = "\033[1;31m",
        [STYLE_GREEN] = "\033[32m",
        [STYLE_YELLOW] = "\033[33m",
        [STYLE_BLUE] = "\033[34m",
        [STYLE_CYAN] = "\033[36m",
        [STYLE_HEAD] = "\033[4m",
    };
    return o->colour ? sequences[style] : "";
}

const char *out_plain(const struct out *o)
{
    return o->colour ? "\033[0m" : "";
}

void out_text(const struct out *o, enum style style, const char *s)
{
    if (!s || !*s)
        return;
    if (style != STYLE_PLAIN)
        (void)fputs(out_style(o, style), o->f);
    safe_print(o->f, s);
    if (style != STYLE_PLAIN)
        (void)fputs(out_plain(o), o->f);
}
