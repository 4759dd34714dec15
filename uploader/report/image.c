#include "uploader/report/image.h"

#include "symbolize/bytes.h"
#include "uploader/report/parse.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>

enum {
    CHUNK_BYTES = 64 * 1024,
    MAX_SEGMENTS = 32,
    MAX_PROGRAM_HEADERS = 128,
    MAX_NOTE_BYTES = 16 * 1024,
    PAGE_MASK = 4095,
};
#define MAX_FILE_BYTES (16ull << 30)

struct segment {
    uint64_t vaddr, n_bytes, offset; /* n_bytes: those that the file holds */
    uint32_t flags;
};

struct image {
    const struct crash *report; /* bytes come from here ... */
    uint64_t report_base;
    int fd; /* ... or from here */
    uint64_t n_file;
    uint8_t **chunks;
    struct image_budget *budget;
    uint64_t bias;
    uint64_t header; /* run-time address of .eh_frame_hdr; 0: none */
    struct segment segments[MAX_SEGMENTS];
    uint32_t n_segments;
};

static uint8_t *chunk(struct image *i, uint64_t index)
{
    if (i->chunks[index])
        return i->chunks[index];
    if (i->budget->bytes_left < CHUNK_BYTES)
        return NULL;
    uint8_t *p = malloc(CHUNK_BYTES);
    if (!p)
        return NULL;
    uint64_t at = index * CHUNK_BYTES;
    uint64_t want = i->n_file - at < CHUNK_BYTES ? i->n_file - at : CHUNK_BYTES;
    for (uint64_t got = 0; got < want;) {
        ssize_t k = pread(i->fd, p + got, want - got, (off_t)(at + got));
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0) { /* shorter than it was: nothing of it can be relied on */
            free(p);
            return NULL;
        }
        got += (uint64_t)k;
    }
    i->budget->bytes_left -= CHUNK_BYTES;
    i->chunks[index] = p;
    return p;
}

/* @n bytes at a file offset. */
static bool read_file(struct image *i, uint64_t at, void *out, size_t n)
{
    if (i->report) {
        const uint8_t *p = crash_memory_at(i->report, i->report_base + at, n);
        if (p)
            memcpy(out, p, n);
        return p;
    }
    if (at > i->n_file || n > i->n_file - at)
        return false;
    uint8_t *to = out;
    while (n) {
        uint8_t *p = chunk(i, at / CHUNK_BYTES);
        size_t in = at % CHUNK_BYTES;
        size_t k = CHUNK_BYTES - in < n ? CHUNK_BYTES - in : n;
        if (!p)
            return false;
        memcpy(to, p + in, k);
        to += k;
        at += k;
        n -= k;
    }
    return true;
}

static bool note_is(const uint8_t *note, size_t n, const struct crash_module *m)
{
    struct bytes b = bytes_of(note, n);
    while (bytes_has(&b, sizeof(Elf64_Nhdr))) {
        Elf64_Nhdr h;
        bytes_copy(&b, &h, sizeof h, "note");
        const uint8_t *name = bytes_take(&b, ((size_t)h.n_namesz + 3) & ~3ul, "note");
        const uint8_t *id = bytes_take(&b, h.n_descsz, "note");
        if (b.err)
            return false;
        if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 && !memcmp(name, "GNU", 4))
            return h.n_descsz == m->n_build_id && !memcmp(id, m->build_id, m->n_build_id);
        size_t pad = -(size_t)h.n_descsz & 3;
        if (bytes_has(&b, pad))
            b.at += pad;
    }
    return false;
}

static bool has_build_id(
    struct image *i, const Elf64_Phdr *p, const struct crash_module *m)
{
    uint8_t note[MAX_NOTE_BYTES];
    if (p->p_filesz > sizeof note || !read_file(i, p->p_offset, note, p->p_filesz))
        return false;
    return note_is(note, p->p_filesz, m);
}

static int read_header(struct image *i, Elf64_Ehdr *e)
{
    if (!read_file(i, 0, e, sizeof *e))
        return -EBADMSG;
    if (memcmp(e->e_ident, ELFMAG, SELFMAG) || e->e_ident[EI_CLASS] != ELFCLASS64 ||
        e->e_ident[EI_DATA] != ELFDATA2LSB || e->e_phentsize != sizeof(Elf64_Phdr) ||
        e->e_phnum > MAX_PROGRAM_HEADERS)
        return -EBADMSG;
    return 0;
}

/* Takes over segments and tables; @m's build-id must be in a note, unless the bytes are
 * the report's own. */
static int load(struct image *i, const struct crash_module *m)
{
    Elf64_Ehdr e;
    Elf64_Phdr all[MAX_PROGRAM_HEADERS];
    int err = read_header(i, &e);
    if (err)
        return err;
    if (!read_file(i, e.e_phoff, all, e.e_phnum * sizeof *all))
        return -EBADMSG;
    bool same = i->report;
    uint64_t lowest = UINT64_MAX, header = 0;
    for (unsigned k = 0; k < e.e_phnum; k++) {
        const Elf64_Phdr *p = &all[k];
        if (p->p_type == PT_NOTE && !same)
            same = has_build_id(i, p, m);
        if (p->p_type == PT_GNU_EH_FRAME)
            header = p->p_vaddr;
        if (p->p_type != PT_LOAD)
            continue;
        if (p->p_vaddr < lowest)
            lowest = p->p_vaddr;
        if (p->p_flags & PF_W || i->n_segments == MAX_SEGMENTS)
            continue;
        i->segments[i->n_segments++] =
            (struct segment){p->p_vaddr, p->p_filesz, p->p_offset, p->p_flags};
    }
    if (!same)
        return -ESTALE;
    i->bias = m->base - (lowest & ~(uint64_t)PAGE_MASK);
    i->header = header ? i->bias + header : 0;
    return 0;
}

static int open_file(struct image *i, const char *path)
{
    struct stat st;
    i->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (i->fd < 0)
        return -errno;
    if (fstat(i->fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > MAX_FILE_BYTES)
        return -EINVAL;
    i->n_file = (uint64_t)st.st_size;
    i->chunks = calloc(i->n_file / CHUNK_BYTES + 1, sizeof *i->chunks);
    return i->chunks ? 0 : -ENOMEM;
}

int image_open(const char *path, const struct crash_module *m,
    struct image_budget *budget, struct image **ret)
{
    if (!m->n_build_id)
        return -ESTALE;
    if (!budget->files_left)
        return -EDQUOT;
    struct image *i = calloc(1, sizeof *i);
    if (!i)
        return -ENOMEM;
    i->budget = budget;
    int err = open_file(i, path);
    if (!err)
        err = load(i, m);
    if (err) {
        image_free(i);
        return err;
    }
    budget->files_left--;
    *ret = i;
    return 0;
}

int image_in_report(
    const struct crash *c, const struct crash_module *m, struct image **ret)
{
    struct image *i = calloc(1, sizeof *i);
    if (!i)
        return -ENOMEM;
    i->fd = -1;
    i->report = c;
    i->report_base = m->base;
    int err = load(i, m);
    if (err) {
        image_free(i);
        return err;
    }
    *ret = i;
    return 0;
}

void image_free(struct image *i)
{
    if (!i)
        return;
    if (i->fd >= 0)
        (void)close(i->fd);
    for (uint64_t k = 0; i->chunks && k <= i->n_file / CHUNK_BYTES; k++)
        free(i->chunks[k]);
    free(i->chunks);
    free(i);
}

static const struct segment *segment_at(const struct image *i, uint64_t address)
{
    uint64_t vaddr = address - i->bias;
    for (uint32_t k = 0; k < i->n_segments; k++) {
        const struct segment *s = &i->segments[k];
        if (vaddr >= s->vaddr && vaddr - s->vaddr < s->n_bytes)
            return s;
    }
    return NULL;
}

bool image_read(struct image *i, uint64_t address, void *out, size_t n)
{
    const struct segment *s = segment_at(i, address);
    if (!s)
        return false;
    uint64_t in = address - i->bias - s->vaddr;
    return n <= s->n_bytes - in && read_file(i, s->offset + in, out, n);
}

bool image_is_code(const struct image *i, uint64_t address)
{
    const struct segment *s = segment_at(i, address);
    return s && s->flags & PF_X;
}

/* Source: Linux Standard Base Core, exception frames, .eh_frame_hdr. */
bool image_unwind_table(struct image *i, struct image_table *ret)
{
    struct {
        uint8_t version, frame_encoding, count_encoding, table_encoding;
        uint32_t frame, n_entries;
    } h;
    enum { SDATA4_PCREL = 0x1b, UDATA4 = 0x03, SDATA4_DATAREL = 0x3b };
    if (!i->header || !image_read(i, i->header, &h, sizeof h))
        return false;
    if (h.version != 1 || h.frame_encoding != SDATA4_PCREL ||
        h.count_encoding != UDATA4 || h.table_encoding != SDATA4_DATAREL || !h.n_entries)
        return false;
    const struct segment *s = segment_at(i, i->header);
    uint64_t room = s ? s->n_bytes - (i->header - i->bias - s->vaddr) : 0;
    if (room < sizeof h || h.n_entries > (room - sizeof h) / 8)
        return false;
    *ret = (struct image_table){i->header, i->header + sizeof h, h.n_entries};
    return true;
}
