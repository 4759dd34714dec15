/**
 * A folder of a test's own under $TMPDIR or /tmp, removed at the end of the program with
 * everything in it.
 */
#pragma once

/* Path of a new empty folder, without a slash at the end; static storage of the call's
 * own, valid until the program ends. Ends the program when it cannot be made. */
const char *test_tmpdir(void);

/* Remove one before the end of the program, for tests that need very many. */
void test_tmpdir_done(const char *dir);

/* Write a file under @dir (made when missing, with the folders between). Ends the program
 * on failure. */
void test_write_file(
    const char *dir, const char *file, const void *bytes, unsigned long n);

/* Names in a folder, "." and ".." left out; -1 when it cannot be read. */
int test_count_files(const char *dir, const char *sub);
