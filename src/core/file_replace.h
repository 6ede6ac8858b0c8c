/*
 * file_replace.h -- a whole file in the place of another, or nothing.
 */

#ifndef VEIL_CORE_FILE_REPLACE_H
#define VEIL_CORE_FILE_REPLACE_H

#include <stddef.h>

/*
 * Writes n bytes as the file, mode 0600, beside the former one and renames
 * it.  0, or -errno: then the former one stays, unless only the directory
 * could not be synced.  Blocks on the disk.
 */
int veil_file_replace(const char *path, const char *data, size_t n);

#endif
