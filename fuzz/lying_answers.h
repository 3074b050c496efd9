/* lying_answers - what a PostgreSQL server answers, and how it lies: for lying_server.h. A
 * statement is answered as one would that keeps what was asked for, until the input says otherwise:
 * other rows, other values, errors, warnings, silence, or bytes that are no message.
 */
#ifndef FUZZ_LYING_ANSWERS_H
#define FUZZ_LYING_ANSWERS_H

#include "store/postgres/postgres.h"
#include "virtual_clock.h"

/* ---- the input ---- */

static const uint8_t *input;
static size_t input_left;

static unsigned next(void) {
  if (input_left == 0) return 0;
  input_left--;
  return *input++;
}

/* ---- connections ---- */

#define LINES 256
#define LINE_ROOM 65536

typedef struct line {
  bool ours, started, closed, failed, silent;
  uint8_t *in, *out;
  size_t in_len, out_len, out_at;
  int which;          /* the statement of the last Bind, or -1 */
  uint8_t value[128]; /* its first value */
  int value_len;
  char tag[32];
  bool has_rows, refused;
  uint8_t *rows; /* of the last Describe, whole messages */
  size_t rows_len;
} line;
static line lines[LINES];
static size_t chunk = LINE_ROOM; /* bytes that are received at once */
static unsigned waits;           /* since the step began */
static int schema_version;       /* that the store brings up */

/* What a change rests on that is answered as made. */
static bool commit_answered, made_before, confirmed;

/* Their memory is used again for the next input. */
static void line_reset(line *l) {
  static uint8_t memory[LINES][4 * LINE_ROOM];
  uint8_t *mine = memory[l - lines];
  memset(l, 0, sizeof *l);
  l->in = mine;
  l->rows = mine + LINE_ROOM;
  l->out = mine + 2 * LINE_ROOM;
  l->ours = true;
}

static void lines_end(void) {
  memset(lines, 0, sizeof lines);
}

static line *line_of(int fd) {
  return fd >= 0 && fd < LINES && lines[fd].ours ? &lines[fd] : NULL;
}

/* ---- messages of the server ---- */

typedef struct message {
  uint8_t bytes[LINE_ROOM / 2];
  size_t len;
} message;
static message making;

static void put(const void *bytes, size_t len) {
  if (making.len + len > sizeof making.bytes) len = sizeof making.bytes - making.len;
  memcpy(making.bytes + making.len, bytes, len);
  making.len += len;
}

static void put_number(uint64_t number, size_t len) {
  uint8_t bytes[8];
  for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)(number >> (8 * (len - 1 - i)));
  put(bytes, len);
}

static void put_text(const char *text) {
  put(text, strlen(text) + 1);
}

static void begin_message(char type) {
  making.len = 0;
  put(&type, 1);
  put_number(0, 4);
}

/* Its length is that of what was put, unless the input has another. */
static void end_message(uint8_t *out, size_t *out_len, size_t room, uint32_t lie) {
  uint32_t len = (uint32_t)(making.len - 1) + lie;
  for (int i = 0; i < 4; i++) making.bytes[1 + i] = (uint8_t)(len >> (24 - 8 * i));
  if (*out_len + making.len > room) return;
  memcpy(out + *out_len, making.bytes, making.len);
  *out_len += making.len;
}

static void send_message(line *l) {
  end_message(l->out, &l->out_len, 2 * LINE_ROOM, 0);
}

static void send_plain(line *l, char type) {
  begin_message(type);
  send_message(l);
}

static void send_parameter(line *l, const char *name, const char *value) {
  begin_message('S');
  put_text(name);
  put_text(value);
  send_message(l);
}

static void send_notice(line *l, char type, const char *severity, const char *state) {
  static const char ends[] = "\0";
  begin_message(type);
  put("S", 1), put_text(severity);
  put("V", 1), put_text(severity);
  put("C", 1), put_text(state);
  put("M", 1), put_text("what \x1b[31m went\twrong");
  put(ends, 1);
  send_message(l);
}

static void send_ready(line *l, char state) {
  begin_message('Z');
  put(&state, 1);
  send_message(l);
}

/* ---- rows ---- */

#define COLUMNS 32
typedef struct column {
  int len; /* -1: NULL */
  uint8_t bytes[300];
} column;
static column row[COLUMNS];
static int columns;

static void add_bytes(const void *bytes, size_t len) {
  column *c = &row[columns++];
  c->len = (int)len;
  memcpy(c->bytes, bytes, len);
}

static void add_text(const char *text) {
  add_bytes(text, strlen(text));
}

static void add_number(int64_t number) {
  uint8_t bytes[8];
  for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)number >> (56 - 8 * i));
  add_bytes(bytes, 8);
}

static void add_null(void) {
  row[columns++].len = -1;
}

/* A key as the store keeps it, which is what was asked for. */
static void add_key(const line *l) {
  static const char id[] = "01234567-89AB-CDEF-0123-456789ABCDEF";
  static const char sub[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq";
  bool by_id = l->value_len == ST_KEY_ID_LEN, by_sub = l->value_len == ST_SUB_LEN;
  add_bytes(by_id ? l->value : (const uint8_t *)id, ST_KEY_ID_LEN);
  add_bytes(by_sub ? l->value : (const uint8_t *)sub, ST_SUB_LEN);
  add_text("name");
  add_text("owner");
  add_text("account,services,keys");
  add_number(now() - 1000);
  add_null();
  add_number(0);
  add_number(ST_KIND_KEY);
  add_null();
  add_number(0);
  add_text("");
  add_number(0);
  add_number(0);
}

static void add_request_key(const line *l) {
  static const uint8_t digest[32] = {1};
  add_key(l);
  add_bytes(l->value_len == 32 ? l->value : digest, 32);
  add_number(0);
  add_number(0);
}

/* Hashes in their order, each once. */
static void add_hashes(size_t count) {
  column *c = &row[columns++];
  c->len = (int)(8 * count);
  for (size_t i = 0; i < count; i++) {
    for (int b = 0; b < 8; b++) c->bytes[8 * i + (size_t)b] = (uint8_t)(b == 6 ? (int)i + 1 : b);
  }
}

/* One row of the driver's own statements; false: none. */
static bool make_own_row(const line *l) {
  switch (l->which) {
    case ST_POSTGRES_SERVER: add_number(77); return true;
    case ST_POSTGRES_HASH_KEY: add_number(11), add_number(12); return true;
    case ST_POSTGRES_POLL: add_text("100:100:"), add_number(50), add_number(0); return true;
    case ST_POSTGRES_PURGE_WRITTEN:
    case ST_POSTGRES_PURGE_MADE: add_number(0); return true;
    case ST_POSTGRES_STANDBYS: add_text(""); return true;
    case ST_POSTGRES_PEERS: add_text("subtoken 1"), add_text("local"); return true;
    case ST_POSTGRES_ALL_STANDBYS:
      add_text("a"), add_text("10.0.0.1"), add_text("streaming"), add_text("sync");
      return true;
    case ST_POSTGRES_DESCRIBE:
      add_text("15.4"), add_number(schema_version), add_number(50), add_number(1), add_number(0);
      return true;
    case ST_POSTGRES_CONFIRM: add_number(now()); return true;
    case ST_POSTGRES_END_CONFIRM: add_number(1); return true;
    case ST_POSTGRES_STATE_READ:
      add_number(50), add_number(11), add_number(12), add_number(1), add_number(now());
      add_number(0);
      return true;
    case ST_POSTGRES_STATE_HASHES: add_hashes(5); return true;
    case ST_POSTGRES_STATE_PENDING: add_hashes(0), add_hashes(0); return true;
    case ST_POSTGRES_STATE_CHANGES: add_hashes(3); return true;
    case ST_POSTGRES_READ_BY_DIGEST:
    case ST_POSTGRES_READ_BY_SUB:
    case ST_POSTGRES_READ_REMAINING_BY_DIGEST:
    case ST_POSTGRES_READ_REMAINING_BY_SUB:
    case ST_POSTGRES_READ_BY_OLD_DIGEST: add_request_key(l); return true;
    case ST_POSTGRES_READ_TOKENS: add_number(11), add_number(12), add_number(0); return true;
    case ST_POSTGRES_READ_SEQUENCE: add_number(1); return true;
    default: return false;
  }
}

/* Of the rules' statements: a key where one is asked for by its id, digests of what was written. */
static bool make_rule_row(const line *l, const char *text) {
  static const uint8_t digest[32] = {7};
  if (strncmp(text, "SELECT", 6) != 0) {
    if (strstr(text, "RETURNING") == NULL) return false;
    add_bytes(digest, 32);
    return true;
  }
  if (l->value_len != ST_KEY_ID_LEN) return false;
  add_key(l);
  return true;
}

static bool make_row(const line *l) {
  columns = 0;
  if (l->which >= ST_SQL_COUNT) return make_own_row(l);
  const char *text = st_postgres_statement_of(l->which)->text;
  return text != NULL && make_rule_row(l, text);
}

/* ---- lies ---- */

static void lie_about_column(void) {
  static const int lens[] = {-1, 0, 1, 4, 8, 16, 24, 31, 32, 36, 43, 44, 257, 300};
  if (columns == 0) return;
  column *c = &row[next() % (unsigned)columns];
  c->len = lens[next() % (sizeof lens / sizeof lens[0])];
  unsigned count = next() % 16, at = next();
  for (unsigned i = 0; i < count; i++) c->bytes[(at + i) % sizeof c->bytes] = (uint8_t)next();
}

static void make_any_row(void) {
  columns = (int)(next() % COLUMNS);
  for (int i = 0; i < columns; i++) {
    row[i].len = (int)(next() % 45) - 1;
    for (int b = 0; b < row[i].len; b++) row[i].bytes[b] = 'a';
    if (row[i].len == 8) memset(row[i].bytes, (int)next(), 8);
  }
}

static void put_row(line *l) {
  begin_message('D');
  put_number((uint64_t)columns, 2);
  for (int i = 0; i < columns; i++) {
    put_number((uint64_t)(int64_t)row[i].len, 4);
    if (row[i].len > 0) put(row[i].bytes, (size_t)row[i].len);
  }
  end_message(l->rows, &l->rows_len, LINE_ROOM, 0);
}

static void send_description(line *l) {
  begin_message('T');
  put_number((uint64_t)columns, 2);
  for (int i = 0; i < columns; i++) {
    put_text("c");
    put_number(0, 4), put_number(0, 2), put_number(20, 4), put_number(8, 2), put_number(0, 4);
    put_number(1, 2);
  }
  send_message(l);
}

static void send_raw(line *l) {
  unsigned count = next();
  for (unsigned i = 0; i < count && l->out_len < 2 * LINE_ROOM; i++) {
    l->out[l->out_len++] = (uint8_t)next();
  }
}

static void fail_statement(line *l, const char *state) {
  send_notice(l, 'E', "ERROR", state);
  l->failed = true;
  made_before |= l->which == ST_POSTGRES_MADE && strcmp(state, "23505") == 0;
}

/* What a statement is answered with is chosen when its rows are described. False: not at all. */
static bool choose_answer(line *l) {
  static const char *const states[] = {"23505", "40001", "40P01", "57P01", "25006", "42P01",
                                       "53300", "08006", "55P03", "XX000", "",      "2350"};
  unsigned lie = next(), rows = 1;
  bool has_row = make_row(l);
  switch (lie % 16) {
    case 1: rows = 0; break;
    case 2:
    case 3:
    case 4: lie_about_column(); break;
    case 5: rows = next() % 8; break;
    case 6: make_any_row(), has_row = true; break;
    case 7: fail_statement(l, states[next() % (sizeof states / sizeof states[0])]); return false;
    case 8: l->closed = true; return false;
    case 9: l->silent = true; return false;
    case 10: send_notice(l, 'N', "WARNING", "01000"); break;
    case 11:
      begin_message('A');
      put_number(1, 4), put_text("subtoken"), put_text("");
      send_message(l);
      break;
    case 12: send_raw(l); break;
    case 13:
      columns = 0;
      add_key(l), add_request_key(l), has_row = true;
      break;
    default: break;
  }
  l->rows_len = 0;
  for (unsigned i = 0; has_row && i < rows; i++) put_row(l);
  l->has_rows = has_row;
  snprintf(l->tag, sizeof l->tag, "UPDATE %u", lie % 16 == 14 ? next() : 1);
  return true;
}

#endif
