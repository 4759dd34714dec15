/**
 * One ELF file, opened so that it cannot hurt: a regular file, read with pread into
 * private memory, its headers copied out of libelf and the handle closed. libelf is used
 * in elf_file.c only.
 */
#pragma once
#include "symbolize/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum {
    ELF_FILE_MAX_SECTIONS = 1 << 20,
    ELF_FILE_MAX_SEGMENTS = 4096,
    ELF_FILE_MAX_BUILD_ID = 64,
    ELF_FILE_MAX_NOTE_BYTES = 1 << 20,
    ELF_FILE_MAX_ALL_NOTES_BYTES = 4 << 20, /* looked through for the build-id */
};

struct elf_section {
    const char *name; /* into elf_file.names */
    uint32_t type, link, info;
    uint64_t flags, addr, offset, n_bytes, entry_bytes;
};

struct elf_segment {
    uint64_t vaddr, n_memory, offset, n_file;
    bool executable;
};

struct elf_file {
    int fd;               /* -1 when the file is an image in memory */
    const uint8_t *image; /* borrowed; NULL when the file is on disk */
    uint64_t n_bytes;
    struct stat identity; /* zero for an image */
    char *path;           /* NULL for an image */

    bool is_64;
    uint16_t machine;
    struct elf_section *sections; /* without the null section */
    size_t n_sections;
    bool cut; /* shorter than its headers say: sections are lost */
    char *names;
    struct elf_segment *loads;
    size_t n_loads;
    uint64_t first_vaddr; /* of the lowest PT_LOAD, rounded down to a page */
    uint64_t first_code;  /* of the lowest section that holds code; 0: none is known */
    uint8_t build_id[ELF_FILE_MAX_BUILD_ID];
    size_t n_build_id; /* 0: none */
};

/**
 * Open a regular file without waiting for, or waking, anything else that has the name:
 * a FIFO, device, socket or directory is refused before it is opened for reading.
 *
 * Returns 0 or a negative errno; -EINVAL when it is no regular file.
 */
int elf_open_regular(const char *path, int *ret_fd, struct stat *ret_identity) MUST_CHECK;

/**
 * Read the headers of an ELF file.
 *
 * @ret  filled on success; release with elf_file_done(), which accepts a zeroed one with
 *       fd -1 or any that this function filled
 * Errors: what open(2) said; -EINVAL no regular file; -EBADMSG not sound ELF of this
 * byte order; -E2BIG more sections or segments than any real file has; -ENOMEM.
 */
int elf_file_open(const char *path, struct elf_file *ret) MUST_CHECK;

/* The same for @n bytes in memory, which must outlive @ret. */
int elf_file_of_image(const void *image, size_t n, struct elf_file *ret) MUST_CHECK;

void elf_file_done(struct elf_file *f);

/* The section with this name, or NULL. */
const struct elf_section *elf_file_section(const struct elf_file *f, const char *name);

/* Read @n bytes at @offset: 0, -EBADMSG when the file is shorter, or what pread said. */
int elf_file_read(
    const struct elf_file *f, uint64_t offset, void *out, size_t n) MUST_CHECK;

/* Whether this build-id is the file's: both present, same length, same bytes. */
bool elf_file_is(const struct elf_file *f, const uint8_t *build_id, size_t n_build_id);

/* Whether the address lies in a PT_LOAD, in an executable one for @executable. */
bool elf_file_maps(const struct elf_file *f, uint64_t vaddr, bool executable);

/* Whether code can be at an address of it, as far as its headers tell. */
bool elf_file_may_be_code(const struct elf_file *f, uint64_t vaddr);

/* Whether the file on disk is still the one that was opened (size and times). */
bool elf_file_unchanged(const struct elf_file *f);
