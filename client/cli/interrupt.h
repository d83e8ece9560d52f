/*
 * interrupt - Ctrl-C while something is waited for. Process-wide, as signals are.
 */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

/* From now on the first SIGINT is only noted; the second ends the process. One that is ignored (a
 * job in the background) stays ignored. */
void interrupt_catch(void);
bool interrupt_came(void);

#endif
