#include "symbolize/elf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096 };

int elf_open_regular(const char *path, int *ret_fd, struct stat *ret_identity)
{
    struct stat st;
    /* O_PATH opens nothing: what the name stands for is known before a driver or a FIFO's
     * other end hears of us. */
    CLEANUP(close_p) int handle = open(path, O_PATH | O_CLOEXEC);
    if (handle < 0)
        return -errno;
    if (fstat(handle, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    char link[64];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    CLEANUP(close_p)
    int fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT)
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* no /proc */
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    *ret_fd = take_fd(&fd);
    *ret_identity = st;
    return 0;
}

int elf_file_read(const struct elf_file *f, uint64_t offset, void *out, size_t n)
{
    if (offset > f->n_bytes || n > f->n_bytes - offset)
        return -EBADMSG;
    if (f->image) {
        memcpy(out, f->image + offset, n);
        return 0;
    }
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(f->fd, (char *)out + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return -EBADMSG; /* the file has shrunk since it was opened */
        done += (size_t)got;
    }
    return 0;
}

static int copy_segments(Elf *elf, struct elf_file *f)
{
    size_t n;
    if (elf_getphdrnum(elf, &n) < 0)
        return -EBADMSG;
    if (n > ELF_FILE_MAX_SEGMENTS)
        return -E2BIG;
    f->loads = calloc(n ? n : 1, sizeof *f->loads);
    if (!f->loads)
        return -ENOMEM;
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        GElf_Phdr p;
        if (!gelf_getphdr(elf, (int)i, &p))
            return -EBADMSG;
        if (p.p_type != PT_LOAD)
            continue;
        f->loads[f->n_loads++] = (struct elf_segment){.vaddr = p.p_vaddr,
            .n_memory = p.p_memsz,
            .offset = p.p_offset,
            .n_file = p.p_filesz,
            .executable = (p.p_flags & PF_X) != 0};
        if (p.p_vaddr < lowest)
            lowest = p.p_vaddr;
    }
    f->first_vaddr = f->n_loads ? lowest & ~(uint64_t)(PAGE_BYTES - 1) : 0;
    return 0;
}

/* Copy the section header string table; a name beyond it becomes "". */
static int copy_names(Elf *elf, struct elf_file *f, uint64_t *ret_n)
{
    size_t index;
    GElf_Shdr h;
    *ret_n = 0;
    if (elf_getshdrstrndx(elf, &index) < 0)
        return -EBADMSG;
    Elf_Scn *scn = index ? elf_getscn(elf, index) : NULL;
    bool there = scn && gelf_getshdr(scn, &h) && h.sh_type != SHT_NOBITS &&
                 h.sh_size <= f->n_bytes && h.sh_size < (64u << 20);
    size_t n = there ? (size_t)h.sh_size : 0;
    f->names = calloc(1, n + 1);
    if (!f->names)
        return -ENOMEM;
    if (n && elf_file_read(f, h.sh_offset, f->names, n) < 0)
        return -EBADMSG;
    *ret_n = n;
    return 0;
}

static int copy_sections(Elf *elf, struct elf_file *f)
{
    size_t n;
    uint64_t n_names;
    if (elf_getshdrnum(elf, &n) < 0)
        return -EBADMSG;
    if (n > ELF_FILE_MAX_SECTIONS)
        return -E2BIG;
    int err = copy_names(elf, f, &n_names);
    if (err < 0)
        return err;
    f->sections = calloc(n ? n : 1, sizeof *f->sections);
    if (!f->sections)
        return -ENOMEM;
    for (size_t i = 1; i < n; i++) {
        GElf_Shdr h;
        Elf_Scn *scn = elf_getscn(elf, i);
        if (!scn || !gelf_getshdr(scn, &h))
            return -EBADMSG;
        f->sections[f->n_sections++] = (struct elf_section){
            .name = h.sh_name < n_names ? f->names + h.sh_name : f->names + n_names,
            .type = h.sh_type,
            .link = h.sh_link,
            .info = h.sh_info,
            .flags = h.sh_flags,
            .addr = h.sh_addr,
            .offset = h.sh_offset,
            .n_bytes = h.sh_size,
            .entry_bytes = h.sh_entsize};
        bool code = h.sh_flags & SHF_ALLOC && h.sh_flags & SHF_EXECINSTR;
        if (code && (!f->first_code || h.sh_addr < f->first_code))
            f->first_code = h.sh_addr;
    }
    return 0;
}

/* Look for the GNU build-id in @n bytes of notes. Alignment is 4 but for 8-byte ones. */
static bool find_build_id(struct elf_file *f, const uint8_t *notes, size_t n)
{
    for (size_t at = 0; n - at >= 12;) {
        uint32_t h[3]; /* name size, descriptor size, type */
        memcpy(h, notes + at, sizeof h);
        uint64_t name = at + 12, desc = name + (((uint64_t)h[0] + 3) & ~(uint64_t)3);
        uint64_t next = desc + (((uint64_t)h[1] + 3) & ~(uint64_t)3);
        if (desc > n || h[1] > n - desc)
            return false;
        if (h[2] == NT_GNU_BUILD_ID && h[0] == 4 && !memcmp(notes + name, "GNU", 4) &&
            h[1] > 0 && h[1] <= ELF_FILE_MAX_BUILD_ID) {
            uint8_t any = 0;
            for (uint32_t i = 0; i < h[1]; i++)
                any |= notes[desc + i];
            if (!any)
                return false; /* a tool's placeholder names no build */
            memcpy(f->build_id, notes + desc, h[1]);
            f->n_build_id = h[1];
            return true;
        }
        if (next > n)
            return false;
        at = (size_t)next;
    }
    return false;
}

/* @left: bytes that may still be read, a page for each note at least: headers by the
 * million may all tell of the same notes. */
static bool note_at(struct elf_file *f, uint64_t offset, uint64_t n, uint64_t *left)
{
    uint64_t cost = n < PAGE_BYTES ? PAGE_BYTES : n;
    if (n < 12 || n > ELF_FILE_MAX_NOTE_BYTES || cost > *left)
        return false;
    *left -= cost;
    CLEANUP(free_p) uint8_t *notes = malloc((size_t)n);
    return notes && elf_file_read(f, offset, notes, (size_t)n) == 0 &&
           find_build_id(f, notes, (size_t)n);
}

static void read_build_id(Elf *elf, struct elf_file *f)
{
    uint64_t left = ELF_FILE_MAX_ALL_NOTES_BYTES;
    for (size_t i = 0; i < f->n_sections; i++) {
        const struct elf_section *s = &f->sections[i];
        if (s->type == SHT_NOTE && note_at(f, s->offset, s->n_bytes, &left))
            return;
    }
    size_t n;
    if (elf_getphdrnum(elf, &n) < 0)
        return;
    for (size_t i = 0; i < n && i < ELF_FILE_MAX_SEGMENTS; i++) {
        GElf_Phdr p;
        if (gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_NOTE &&
            note_at(f, p.p_offset, p.p_filesz, &left))
            return;
    }
}

static int read_headers(Elf *elf, struct elf_file *f)
{
    GElf_Ehdr h;
    if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &h))
        return -EBADMSG;
    if (h.e_ident[EI_DATA] != ELFDATA2LSB)
        return -EBADMSG;
    f->is_64 = h.e_ident[EI_CLASS] == ELFCLASS64;
    f->machine = h.e_machine;
    uint64_t n_headers = (uint64_t)h.e_shnum * h.e_shentsize;
    f->cut = h.e_shoff > f->n_bytes || n_headers > f->n_bytes - h.e_shoff;
    int err = copy_segments(elf, f);
    if (err == 0)
        err = copy_sections(elf, f);
    if (err == 0)
        read_build_id(elf, f);
    return err;
}

static int finish(Elf *elf, struct elf_file *f, struct elf_file *ret)
{
    int err = read_headers(elf, f);
    if (elf)
        (void)elf_end(elf);
    if (err < 0) {
        elf_file_done(f);
        return err;
    }
    *ret = *f;
    return 0;
}

int elf_file_open(const char *path, struct elf_file *ret)
{
    struct elf_file f = {.fd = -1};
    int err = elf_open_regular(path, &f.fd, &f.identity);
    if (err < 0)
        return err;
    f.n_bytes = (uint64_t)f.identity.st_size;
    f.path = strdup(path);
    if (!f.path) {
        elf_file_done(&f);
        return -ENOMEM;
    }
    (void)elf_version(EV_CURRENT);
    return finish(elf_begin(f.fd, ELF_C_READ, NULL), &f, ret);
}

int elf_file_of_image(const void *image, size_t n, struct elf_file *ret)
{
    struct elf_file f = {.fd = -1, .image = image, .n_bytes = n};
    (void)elf_version(EV_CURRENT);
    /* libelf takes a writable pointer; with no write command it only reads. */
    return finish(elf_memory((char *)(uintptr_t)image, n), &f, ret);
}

void elf_file_done(struct elf_file *f)
{
    /* A zeroed one holds nothing: descriptor 0 is somebody else's. */
    if (f->fd > 0 || (f->fd == 0 && f->path))
        (void)close(f->fd);
    free(f->sections);
    free(f->names);
    free(f->loads);
    free(f->path);
    *f = (struct elf_file){.fd = -1};
}

const struct elf_section *elf_file_section(const struct elf_file *f, const char *name)
{
    for (size_t i = 0; i < f->n_sections; i++) {
        if (!strcmp(f->sections[i].name, name))
            return &f->sections[i];
    }
    return NULL;
}

bool elf_file_is(const struct elf_file *f, const uint8_t *build_id, size_t n_build_id)
{
    return n_build_id && f->n_build_id == n_build_id &&
           !memcmp(f->build_id, build_id, n_build_id);
}

bool elf_file_maps(const struct elf_file *f, uint64_t vaddr, bool executable)
{
    for (size_t i = 0; i < f->n_loads; i++) {
        const struct elf_segment *s = &f->loads[i];
        if ((s->executable || !executable) && vaddr >= s->vaddr &&
            vaddr - s->vaddr < s->n_memory)
            return true;
    }
    return false;
}

bool elf_file_may_be_code(const struct elf_file *f, uint64_t vaddr)
{
    /* The segment that holds the code may begin with the headers, at 0. */
    return vaddr >= f->first_code && (!f->n_loads || elf_file_maps(f, vaddr, true));
}

bool elf_file_unchanged(const struct elf_file *f)
{
    struct stat st;
    if (f->image)
        return true;
    return fstat(f->fd, &st) == 0 && st.st_size == f->identity.st_size &&
           st.st_mtim.tv_sec == f->identity.st_mtim.tv_sec &&
           st.st_mtim.tv_nsec == f->identity.st_mtim.tv_nsec &&
           st.st_ctim.tv_sec == f->identity.st_ctim.tv_sec &&
           st.st_ctim.tv_nsec == f->identity.st_ctim.tv_nsec;
}
