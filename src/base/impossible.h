/* impossible - a check of what cannot be, as long as this code is right. With a reason, and with
 * the branch that fails safely, as every check of an input has it. In the builds of the tests
 * (ST_CHECKED: with sanitizers, or counting coverage) a condition that holds ends the program at
 * once, so that it is found; that branch is then no part of the program, and not counted.
 */
#ifndef ST_BASE_IMPOSSIBLE_H
#define ST_BASE_IMPOSSIBLE_H

#include <stdbool.h>

#if defined(ST_CHECKED)
static inline void st_impossible_check(bool condition) {
  if (condition) __builtin_trap();
}
#define st_impossible(condition, reason) (st_impossible_check(condition), (void)("" reason), false)
#else
#define st_impossible(condition, reason) ((void)("" reason), (condition))
#endif

#endif
