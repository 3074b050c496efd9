/* search - is a text found in another, whatever the case of letters? Of Latin, Greek and Cyrillic
 * ones; of others the case counts. Both stores find the same, as the comparing is done here.
 */
#ifndef ST_DOMAIN_SEARCH_H
#define ST_DOMAIN_SEARCH_H

#include "base/bytes.h"
#include "domain/key.h"

/* What is looked for. */
typedef struct st_search {
  char text[ST_NAME_MAX]; /* in lower case */
  size_t len;             /* 0: all is found */
} st_search;

/* False: longer than a name can be. */
bool st_search_start(st_search *search, subtoken_text text) __attribute__((warn_unused_result));
/* Is it somewhere in a text of at most ST_NAME_MAX bytes? */
bool st_search_finds(const st_search *search, const char *text);
/* Does the text begin with it? */
bool st_search_begins(const st_search *search, const char *text);

#endif
