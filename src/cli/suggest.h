/* suggest - which of several names may have been meant. */
#ifndef ST_CLI_SUGGEST_H
#define ST_CLI_SUGGEST_H

#include <stddef.h>

#define ST_SUGGEST_MAX 40 /* characters of a word; a longer one is like no name */

/* Start with .word and .len set; .name is the best of those offered, or NULL. */
typedef struct st_suggestion {
  const char *word;
  size_t len;
  const char *name;
  size_t edits; /* from word to name */
} st_suggestion;

/* A name is like the word when it goes on where the word ends, or when few letters were left
 * out, added, changed or swapped: one of three, and one at least. */
void st_suggest_offer(st_suggestion *suggestion, const char *name);

/* `; did you mean NAME?`, or nothing, to standard error. */
void st_suggest_print(const st_suggestion *suggestion);

#endif
