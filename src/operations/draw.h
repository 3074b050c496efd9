/* draw - new keys and ids. */
#ifndef ST_OPERATIONS_DRAW_H
#define ST_OPERATIONS_DRAW_H

#include "domain/key.h"

/* Draw a whole key, its id, its digest and its sub. */
void st_draw_key(char key[ST_KEY_LEN + 1], st_key *into, uint8_t digest[32]);
/* Another whole key of an id, and its digest. */
void st_draw_second_half(const char id[ST_KEY_ID_LEN], char key[ST_KEY_LEN + 1],
                         uint8_t digest[32]);
void st_draw_sub(char sub[ST_SUB_LEN + 1]);

/* Draw the id and sub of a row that no key opens, and a digest that is the hash of nothing. */
void st_draw_user(st_key *key, uint8_t digest[32]);

#endif
