/* Who manages users over HTTP: users.c makes them, user_list.c lists them, user_one.c changes one.
 */
#include "service/user_manager.h"

const st_problem *st_user_manager_find(st_context *c, st_identity *identity) {
  const st_problem *problem = st_access_manager(c, identity);
  if (problem == NULL) problem = st_access_requires(c, identity, "users");
  if (problem != NULL || !st_identity_is_bound(identity)) return problem;
  return st_problem_escalation(&c->problem, "a key that is bound to an audience manages no users");
}
