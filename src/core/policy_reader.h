/* policy_reader - where the reading of a policy is: the text, the parts of the memory, the place
 * that an error names; and what all parsers of a policy share: errors, and lists of strings.
 */
#ifndef ST_CORE_POLICY_READER_H
#define ST_CORE_POLICY_READER_H

#include "base/json.h"
#include "core/policy.h"

#define ST_POLICY_ROUTE_LEAST 12 /* bytes of the shortest route, {"path":"/"} */
#define ST_POLICY_ITEM_LEAST 4   /* of the shortest item of a list, "A", and a comma or bracket */
#define ST_POLICY_CALL_LEAST 10  /* of the shortest call, "a":["b"] and a comma or brace */
#define ST_POLICY_NONE SIZE_MAX  /* no offset, or no number of a route or an item */
#define ST_POLICY_RESOURCES_MAX 256 /* different resources, a count */

typedef struct st_policy_reader {
  st_json json; /* over the copy of the text in the policy */
  subtoken_text text;
  subtoken_policy *policy;
  st_policy_shape *shapes;
  st_policy_route *routes;
  st_policy_slice *slices;
  st_policy_slot *slots;
  st_policy_call *calls;
  size_t route_capacity, slice_capacity, slice_count, call_capacity, call_count, pattern_count;
  size_t lines_at, line; /* the line of an offset, counted on from the last one */
  /* Where reading is, for errors. */
  size_t route;         /* ST_POLICY_NONE outside of routes */
  subtoken_text member; /* data NULL: none */
  subtoken_text call;   /* a member of "mcp"; data NULL: none */
  size_t item;
  subtoken_policy_error *error;
} st_policy_reader;

/* Write an error for the offset `at` of the text; line > 0 is written behind it. Returns false. */
bool st_policy_reader_refuse(st_policy_reader *r, size_t at, const char *problem, size_t line);
/* With a value in front of the problem. */
bool st_policy_reader_refuse_value(st_policy_reader *r, size_t at, subtoken_text value,
                                   const char *problem, size_t line);
/* For a call of the JSON reader that failed. wanted: the error when the value has another type. */
bool st_policy_reader_refuse_syntax(st_policy_reader *r, const char *wanted);
/* The offset of the next value; of the opening quote of a string that was read. */
size_t st_policy_reader_value_offset(st_policy_reader *r);
size_t st_policy_reader_string_offset(const st_policy_reader *r, subtoken_text string);
size_t st_policy_reader_line(st_policy_reader *r, size_t at);
/* A list of 1 to `most` strings; problem_of: NULL, or what is wrong with an item. */
bool st_policy_reader_list(st_policy_reader *r, const char *(*problem_of)(subtoken_text item),
                           size_t most, uint32_t *first, uint8_t *count)
    __attribute__((warn_unused_result));
/* The list of permissions that a route or a call needs. */
bool st_policy_reader_needs(st_policy_reader *r, uint32_t *first, uint8_t *count)
    __attribute__((warn_unused_result));

#endif
