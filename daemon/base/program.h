/*
 * program - where the shell would find a program.
 * Thread: any.
 */
#ifndef BASE_PROGRAM_H
#define BASE_PROGRAM_H

/*
 * Look a name without a slash up in the directories of @path, as PATH holds them. 1 and its path
 * (heap), 0 when none of them has an executable file of that name, -1 without memory.
 */
int program_find(const char *name, const char *path, char **ret);

#endif
