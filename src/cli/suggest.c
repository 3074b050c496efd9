/* The name nearest to a word, by the optimal string alignment distance, in which swapping two
 * neighbours counts once (Damerau, 1964). options.c offers the names of commands and options.
 */
#include "cli/suggest.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static size_t suggest_least(size_t a, size_t b) {
  return a < b ? a : b;
}

static size_t suggest_distance(const char *a, size_t a_len, const char *b, size_t b_len) {
  size_t row[3][ST_SUGGEST_MAX + 1]; /* of the letter of a, of the one before, and before that */
  for (size_t j = 0; j <= b_len; j++) row[1][j] = j;
  memset(row[2], 0, sizeof row[2]);
  for (size_t i = 1; i <= a_len; i++) {
    row[0][0] = i;
    for (size_t j = 1; j <= b_len; j++) {
      size_t changed = row[1][j - 1] + (a[i - 1] != b[j - 1]);
      row[0][j] = suggest_least(changed, suggest_least(row[1][j], row[0][j - 1]) + 1);
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[0][j] = suggest_least(row[0][j], row[2][j - 2] + 1);
    }
    memcpy(row[2], row[1], sizeof row[2]);
    memcpy(row[1], row[0], sizeof row[1]);
  }
  return row[1][b_len];
}

void st_suggest_offer(st_suggestion *suggestion, const char *name) {
  size_t len = suggestion->len, name_len = strlen(name);
  if (len == 0 || len > ST_SUGGEST_MAX || name_len > ST_SUGGEST_MAX) return;
  size_t edits = suggest_distance(suggestion->word, len, name, name_len);
  size_t letters = len;
  while (letters > 0 && suggestion->word[len - letters] == '-') letters--;
  size_t most = letters >= 6 ? letters / 3 : 1;
  bool goes_on = letters > 0 && name_len > len && memcmp(name, suggestion->word, len) == 0;
  if (goes_on) edits = 1;
  if (letters < 2 && !goes_on) return;
  if (edits > most || (suggestion->name != NULL && edits >= suggestion->edits)) return;
  suggestion->name = name;
  suggestion->edits = edits;
}

void st_suggest_print(const st_suggestion *suggestion) {
  if (suggestion->name != NULL) fprintf(stderr, "; did you mean %s?", suggestion->name);
}
