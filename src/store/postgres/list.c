/* Lists of ids, subs or numbers, kept as the array parameters that they are sent as (array_recv):
 * the number of dimensions, flags, the type of the items; of the one dimension, how many, and the
 * number of the first. Then each item behind its length. All in network order.
 */
#include <stdlib.h>
#include <string.h>

#include "store/postgres/postgres.h"

#define HEADER_LEN 20
#define EMPTY_LEN 12
#define TYPE_BIGINT 20
#define TYPE_TEXT 25

static void put32(uint8_t *out, uint32_t value) {
  for (int i = 0; i < 4; i++) out[i] = (uint8_t)(value >> (24 - 8 * i));
}

static size_t stride(const st_postgres_list *list) {
  return 4 + list->len;
}

static uint8_t *item_at(const st_postgres_list *list, size_t at) {
  return list->bytes + HEADER_LEN + at * stride(list);
}

st_value st_postgres_list_array(st_postgres_list *list) {
  static const uint8_t no_texts[EMPTY_LEN] = {[11] = TYPE_TEXT};
  static const uint8_t no_numbers[EMPTY_LEN] = {[11] = TYPE_BIGINT};
  bool numbers = list->len == ST_POSTGRES_NUMBER_LEN;
  if (list->count == 0) return st_db_bytes(numbers ? no_numbers : no_texts, EMPTY_LEN);
  put32(list->bytes, 1);
  put32(list->bytes + 4, 0);
  put32(list->bytes + 8, numbers ? TYPE_BIGINT : TYPE_TEXT);
  put32(list->bytes + 12, (uint32_t)list->count);
  put32(list->bytes + 16, 1);
  return st_db_bytes(list->bytes, HEADER_LEN + list->count * stride(list));
}

bool st_postgres_list_add(st_postgres_list *list, const void *item) {
  if (list->count == list->room) {
    size_t room = list->room * 2 + 64;
    uint8_t *grown = realloc(list->bytes, HEADER_LEN + room * stride(list));
    if (grown == NULL) return false;
    list->bytes = grown;
    list->room = room;
  }
  uint8_t *at = item_at(list, list->count++);
  put32(at, (uint32_t)list->len);
  memcpy(at + 4, item, list->len);
  return true;
}

bool st_postgres_list_add_number(st_postgres_list *list, int64_t number) {
  uint8_t item[ST_POSTGRES_NUMBER_LEN];
  put32(item, (uint32_t)((uint64_t)number >> 32));
  put32(item + 4, (uint32_t)number);
  return st_postgres_list_add(list, item);
}

static int compare_items(const void *a, const void *b, void *len) {
  return memcmp((const uint8_t *)a + 4, (const uint8_t *)b + 4, *(const size_t *)len);
}

void st_postgres_list_settle(st_postgres_list *list) {
  size_t kept = 0;
  if (list->count == 0) return;
  qsort_r(item_at(list, 0), list->count, stride(list), compare_items, &list->len);
  for (size_t i = 1; i < list->count; i++) {
    if (memcmp(item_at(list, kept), item_at(list, i), stride(list)) == 0) continue;
    kept++;
    if (kept != i) memcpy(item_at(list, kept), item_at(list, i), stride(list));
  }
  list->count = kept + 1;
}

bool st_postgres_list_holds(const st_postgres_list *list, const void *item) {
  size_t from = 0, to = list->count;
  while (from < to) {
    size_t middle = from + (to - from) / 2;
    int order = memcmp(item, item_at(list, middle) + 4, list->len);
    if (order == 0) return true;
    if (order < 0) {
      to = middle;
    } else {
      from = middle + 1;
    }
  }
  return false;
}

void st_postgres_list_free(st_postgres_list *list) {
  free(list->bytes);
  list->bytes = NULL;
  list->count = list->room = 0;
}
