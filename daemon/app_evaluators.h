/*
 * app_evaluators - the evaluators of the configuration in the form in which workers are told about
 * them (proto/worker.md): an object by name. NULL when out of memory. Pure.
 */
#ifndef APP_EVALUATORS_H
#define APP_EVALUATORS_H

#include "config/config.h"

#include <jansson.h>

json_t *app_evaluators(const struct config *c);

#endif
