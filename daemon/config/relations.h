/*
 * relations - what options of a configuration demand of each other. For this room only. Pure.
 */
#ifndef CONFIG_RELATIONS_H
#define CONFIG_RELATIONS_H

#include "config/config.h"

/*
 * No device is named twice, no two runs find the same files, and no run or root finds what the
 * service itself writes: an average must never come back as a checkpoint of training. By text only;
 * nothing is looked at. 0, or SEWA_E_CONFIG with the origin of the section to blame.
 */
int relations_check(const struct config *c, struct sewa_error *err);

#endif
