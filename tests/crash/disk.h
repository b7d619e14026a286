/* disk.h - a small disk of a child's own, and files that fill it */
#ifndef KEDGE_TESTS_DISK_H
#define KEDGE_TESTS_DISK_H

#include <stddef.h>

/* A tmpfs of KIB at DISK, in a mount namespace of this child's own, which goes with it.  Skips the
   child where that is forbidden. */
void disk_mount(const char *disk, unsigned kib);

/* Fill the disk up to PAGES free ones; a file of that name is extended or cut. */
void disk_leave_free(const char *disk, const char *name, size_t pages);

#endif
