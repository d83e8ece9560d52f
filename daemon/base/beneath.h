/*
 * beneath - open a file below a directory and nowhere else.
 *
 * Directories that people configure may be reached through symbolic links; what lies below them was
 * written by trainers and uploads and is not trusted: no component of the path may be a symbolic
 * link or leave the directory. Thread: any; blocks.
 */
#ifndef BASE_BENEATH_H
#define BASE_BENEATH_H

/*
 * open() of a relative path below the directory; O_CLOEXEC is added. The descriptor, or -1 with
 * errno: ELOOP for a symbolic link, EXDEV for an absolute or empty path, one with a ".." in it or
 * a slash at its end.
 * O_CREAT is not for this function.
 */
int open_beneath(int directory, const char *path, int flags);

/*
 * The same, one component after the other: what open_beneath() does on a kernel without openat2()
 * (before 5.6, or where a sandbox hides it).
 */
int open_beneath_walk(int directory, const char *path, int flags);

#endif
