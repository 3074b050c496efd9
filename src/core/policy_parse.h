/* policy_parse - the text of a policy to routes. What is wrong is told where it is found first, and
 * then handed on as false. policy_read.c gives the memory and builds the table from the routes.
 */
#ifndef ST_CORE_POLICY_PARSE_H
#define ST_CORE_POLICY_PARSE_H

#include "core/policy_reader.h"

/* Read the text into r->policy, ->routes and ->slices. False after an error was written. */
bool st_policy_parse(st_policy_reader *r) __attribute__((warn_unused_result));

#endif
