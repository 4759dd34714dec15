/**
 * Which addresses of the dead process were executable, and what bytes stood there.
 */
#pragma once
#include "uploader/report/image.h"
#include "uploader/report/unwind.h"

struct code_map;

/* @options  borrowed for as long as the map
 * @ret      free with code_map_free()
 * Errors: -ENOMEM. */
int code_map_new(const struct crash *c, const struct report_unwind_options *options,
    struct code_map **ret) MUST_CHECK;
void code_map_free(struct code_map *map);

/* The module's image, opened at the first call; NULL when there is none to trust. */
struct image *code_map_image(struct code_map *map, int32_t module);

/* Whether the module's file was looked for and is not to be had. */
bool code_map_lacks_file(const struct code_map *map, uint32_t module);

/* @n bytes at an address: from the report, else from the module's read-only parts. */
bool code_map_read(struct code_map *map, uint64_t address, void *out, size_t n);

/* Whether the process could execute @pc: by its maps, else by its modules. */
bool code_map_executable(struct code_map *map, uint64_t pc);

/* Whether a call instruction ends at @pc. 1 yes, 0 no, -1 the bytes are not at hand. */
int code_map_after_call(struct code_map *map, uint64_t pc);

/* Whether @pc begins the code that ends a signal handler, rt_sigreturn(2). */
bool code_map_is_sigreturn(struct code_map *map, uint64_t pc);
