/* shim.h - what calls.c and memory.c ask of shim.c. */
#ifndef TESTS_FAULTS_SHIM_H
#define TESTS_FAULTS_SHIM_H

#include "control.h"

#include <errno.h>
#include <stddef.h>

enum kind {
#define KIND(name, error) KIND_##name,
#include "kinds.def"
#undef KIND
};

enum fate {
  FATE_PROCEED,
  FATE_FAIL,
  FATE_SHORT,
  FATE_KILL_AFTER,
};

enum fate shim_fate(enum kind kind, const char *path, int fd, const void *caller);
void *shim_next(const char *name);
void shim_die(void);

#define CALLER __builtin_return_address(0)

#endif
