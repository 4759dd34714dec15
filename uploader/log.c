#include "uploader/log.h"

#include "symbolize/cleanup.h"
#include "uploader/inspect/safe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { MAX_MESSAGE = 1024, MAX_DATAGRAM = 8192 };

static enum log_level level_shown = LOG_LEVEL_WARNING;
static int journal = -1;
static bool stderr_is_journal; /* the service manager leads it there, too */
static struct sockaddr_un journal_address;

static const char *const message_ids[LOG_N_KINDS] = {
    [LOG_OTHER] = "7c1d5c0f2b6c4d7f9f1a3fd8a1c2e001",
    [LOG_SENT] = "7c1d5c0f2b6c4d7f9f1a3fd8a1c2e002",
    [LOG_DEFERRED] = "7c1d5c0f2b6c4d7f9f1a3fd8a1c2e003",
    [LOG_QUARANTINED] = "7c1d5c0f2b6c4d7f9f1a3fd8a1c2e004",
    [LOG_EVICTED] = "7c1d5c0f2b6c4d7f9f1a3fd8a1c2e005",
    [LOG_ADOPTED] = "7c1d5c0f2b6c4d7f9f1a3fd8a1c2e006",
    [LOG_CONFIGURATION] = "7c1d5c0f2b6c4d7f9f1a3fd8a1c2e007",
};

const char *log_message_id(enum log_kind kind)
{
    return message_ids[kind];
}

/* Source: systemd.exec(5), JOURNAL_STREAM. */
static bool leads_to_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat st;
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(enum log_level level, const char *journal_socket)
{
    log_close();
    level_shown = level;
    if (!journal_socket || !*journal_socket ||
        strlen(journal_socket) >= sizeof journal_address.sun_path)
        return;
    journal_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(
        journal_address.sun_path, sizeof journal_address.sun_path, "%s", journal_socket);
    stderr_is_journal = leads_to_journal(STDERR_FILENO);
    journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

void log_close(void)
{
    close_p(&journal);
    journal = -1;
}

/* A field per line; a line end inside a value would begin a field of its own. */
static size_t add_field(char *out, size_t at, const char *name, const char *value)
{
    if (!value || !*value || at + strlen(name) + strlen(value) + 2 > MAX_DATAGRAM)
        return at;
    at += (size_t)sprintf(out + at, "%s=", name);
    for (; *value; value++)
        out[at++] = (unsigned char)*value < 0x20 ? ' ' : *value;
    out[at++] = '\n';
    return at;
}

/* Source: systemd's "Native Journal Protocol". */
static bool send_to_journal(enum log_level level, enum log_kind kind,
    const struct log_report *report, const char *message)
{
    static const struct log_report none;
    const struct log_report *r = report ? report : &none;
    char out[MAX_DATAGRAM + 1], priority[4], status[8] = "";
    snprintf(priority, sizeof priority, "%d", (int)level);
    if (r->http_status)
        snprintf(status, sizeof status, "%d", r->http_status);
    size_t n = add_field(out, 0, "MESSAGE", message);
    n = add_field(out, n, "PRIORITY", priority);
    n = add_field(out, n, "SYSLOG_IDENTIFIER", "knell-upload");
    n = add_field(out, n, "MESSAGE_ID", message_ids[kind]);
    n = add_field(out, n, "KNELL_ID", r->event_id);
    n = add_field(out, n, "KNELL_SIGNATURE", r->signature);
    n = add_field(out, n, "KNELL_APP", r->app);
    n = add_field(out, n, "KNELL_RELEASE", r->release);
    n = add_field(out, n, "KNELL_STATE", r->state);
    n = add_field(out, n, "KNELL_DESTINATION", r->destination);
    n = add_field(out, n, "KNELL_HTTP_STATUS", status);
    /* A journal that is full must not stop delivery. */
    return sendto(journal, out, n, MSG_NOSIGNAL, (struct sockaddr *)&journal_address,
               sizeof journal_address) >= 0;
}

/* What servers and files say may steer a terminal. In place: no character grows. */
static void defuse(char *text)
{
    for (size_t n = strlen(text), k; *text; text += k, n -= k) {
        uint32_t c;
        k = safe_decode(text, n, &c);
        if (k && !safe_is_harmless(c))
            memset(text, ' ', k);
        else if (!k)
            *text = '?';
        k = k ? k : 1;
    }
}

void log_line(enum log_level level, enum log_kind kind, const struct log_report *report,
    const char *format, ...)
{
    char text[MAX_MESSAGE];
    int saved = errno;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    defuse(text);
    bool told = journal >= 0 && level <= LOG_LEVEL_INFO &&
                send_to_journal(level, kind, report, text) && stderr_is_journal;
    if (level <= level_shown && !told) /* not the same line twice */
        fprintf(stderr, "knell-upload: %s\n", text);
    errno = saved;
}
