/* policy_parse - the text of a policy to routes. What is wrong is told where it is found first, and
 * then handed on as false. policy_read.c gives the memory and builds the table from the routes.
 */
#ifndef ST_CORE_POLICY_PARSE_H
#define ST_CORE_POLICY_PARSE_H

#include "base/json.h"
#include "core/policy.h"

#define ST_POLICY_ROUTE_LEAST 12 /* bytes of the shortest route, {"path":"/"} */
#define ST_POLICY_ITEM_LEAST 4   /* of the shortest item of a list, "A", and a comma or bracket */
#define ST_POLICY_NONE SIZE_MAX  /* no offset, or no number of a route or an item */

typedef struct st_policy_reader {
  st_json json; /* over the copy of the text in the policy */
  subtoken_text text;
  subtoken_policy *policy;
  st_policy_shape *shapes;
  st_policy_route *routes;
  st_policy_slice *slices;
  st_policy_slot *slots;
  size_t route_capacity, slice_capacity, slice_count, pattern_count;
  size_t lines_at, line; /* the line of an offset, counted on from the last one */
  /* Where reading is, for errors. */
  size_t route;         /* ST_POLICY_NONE outside of routes */
  subtoken_text member; /* data NULL: none */
  size_t item;
  subtoken_policy_error *error;
} st_policy_reader;

/* Read the text into r->policy, ->routes and ->slices. False after an error was written. */
bool st_policy_parse(st_policy_reader *r) __attribute__((warn_unused_result));

/* Write an error for the offset `at` of the text; line > 0 is written behind it. Returns false. */
bool st_policy_parse_refuse(st_policy_reader *r, size_t at, const char *problem, size_t line);

#endif
