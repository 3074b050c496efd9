/* Packs a key into the fewest bytes that say the same: an id and a sub in their usual spelling as
 * binary, numbers and lengths without leading zeros, a permission or an owner as the number of its
 * name. What is spelled in another way stays text, so that what is unpacked is what was packed, to
 * the letter. The cache that holds them is in key_cache.c.
 */
#include "store/key_pack.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/cpu.h"
#include "base/impossible.h"

#define ID_BYTES 16
#define SUB_BYTES 32

/* The first byte. */
enum {
  KIND = 3, /* st_key_kind */
  DISABLED = 4,
  SUSPENDED = 8,
  ID_BINARY = 16,
  SUB_BINARY = 32,
  OWNER_IS_NAME = 64,
  PERMISSIONS_NUMBERED = 128,
};
/* The second one; the two highest bits are the holder's. */
enum { PARENT = 1, PARENT_BINARY = 2, EXPIRES = 4, OWNER_NUMBERED = 8, RARE = 16 };
#define TIME_BASE                                                                \
  INT64_C(1830000000) /* in 2027: times up to four years from it take four bytes \
                       */

/* ---- names ---- */

#define OWNERS_MAX 2000   /* names up to which owners are numbered */
#define OWNERS_SEEN 8192  /* a power of two */
#define NAMES_MAX 2500    /* and permissions */
#define NAMES_TABLE 8192  /* a power of two */
#define NAMES_BYTES 65536 /* of all their texts */

struct st_key_names {
  pthread_mutex_t lock; /* of those who pack */
  uint8_t cpu;          /* what the processor can do (base/cpu.h) */
  size_t count, used;
  uint16_t seen[OWNERS_SEEN];  /* by hash: of the owner that was packed last, more of its hash */
  uint16_t table[NAMES_TABLE]; /* by hash: the number of a name, and 1 */
  struct {
    uint32_t at, len;
  } names[NAMES_MAX];
  char text[NAMES_BYTES];
};

st_key_names *st_key_names_new(void) {
  st_key_names *names = calloc(1, sizeof *names);
  if (names == NULL) return NULL;
  (void)pthread_mutex_init(&names->lock, NULL);
  names->cpu = st_cpu_features();
  return names;
}

void st_key_names_free(st_key_names *names) {
  if (names != NULL) (void)pthread_mutex_destroy(&names->lock);
  free(names);
}

size_t st_key_names_size(void) {
  return sizeof(st_key_names);
}

static uint32_t hash_name(subtoken_text text) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < text.len; i++) hash = (hash ^ (uint8_t)text.data[i]) * 16777619u;
  return hash ^ hash >> 15;
}

static subtoken_text name_at(const st_key_names *names, uint64_t number) {
  return (subtoken_text){names->text + names->names[number].at, names->names[number].len};
}

/* Its number, a new one if there are fewer than most. Under the lock. */
static bool number_of(st_key_names *names, subtoken_text text, size_t most, uint64_t *number) {
  size_t at = hash_name(text) & (NAMES_TABLE - 1);
  for (; names->table[at] != 0; at = (at + 1) & (NAMES_TABLE - 1)) {
    *number = names->table[at] - 1U;
    if (st_text_equal(text, name_at(names, *number))) return true;
  }
  if (text.len == 0 || names->count >= most || text.len > NAMES_BYTES - names->used) return false;
  *number = names->count++;
  names->table[at] = (uint16_t)names->count;
  names->names[*number].at = (uint32_t)names->used;
  names->names[*number].len = (uint32_t)text.len;
  memcpy(names->text + names->used, text.data, text.len);
  names->used += text.len;
  return true;
}

/* ---- pieces ----
 *
 * What reads them writes into a key of zeros.
 */

static void write_number(st_writer *writer, uint64_t number) {
  for (; number > 0x7F; number >>= 7) st_write_char(writer, (char)(number | 0x80));
  st_write_char(writer, (char)number);
}

static uint64_t read_number(const uint8_t **at) {
  uint64_t number = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    uint8_t byte = *(*at)++;
    number |= (uint64_t)(byte & 0x7F) << shift;
    if (byte <= 0x7F) break;
  }
  return number;
}

static void write_time(st_writer *writer, int64_t time) {
  uint64_t after = (uint64_t)(time - TIME_BASE);
  write_number(writer, time >= TIME_BASE ? after << 1 : ~(after << 1));
}

static int64_t read_time(const uint8_t **at) {
  uint64_t number = read_number(at);
  return TIME_BASE + ((number & 1) == 0 ? (int64_t)(number >> 1) : -(int64_t)(number >> 1) - 1);
}

static void write_text(st_writer *writer, subtoken_text text) {
  write_number(writer, text.len);
  st_write_view(writer, text);
}

static void read_text(const uint8_t **at, char *out) {
  size_t len = (size_t)read_number(at);
  memcpy(out, *at, len);
  *at += len;
}

/* Where the dashes of an id are: 8-4-4-4-12 hexadecimal digits. */
static bool is_dash(size_t i) {
  return i == 8 || i == 13 || i == 18 || i == 23;
}

/* False when it is not spelled as ids are, with capital letters. */
static bool pack_id(const char *id, uint8_t out[ID_BYTES]) {
  size_t digits = 0;
  for (size_t i = 0; i < ST_KEY_ID_LEN; i++) {
    int value = st_hex_value(id[i]);
    bool good = is_dash(i) ? id[i] == '-' : value >= 0 && id[i] < 'a';
    if (!good) return false;
    if (is_dash(i)) continue;
    out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | value);
    digits++;
  }
  return true;
}

/* The digits of each byte. */
#define HEX(high)                                                                                 \
#high "0" #high "1" #high "2" #high "3" #high "4" #high "5" #high "6" #high "7" #high "8" #high \
        "9" #high "A" #high "B" #high "C" #high "D" #high "E" #high "F"
static const char hex_of[] = HEX(0) HEX(1) HEX(2) HEX(3) HEX(4) HEX(5) HEX(6) HEX(7) HEX(8) HEX(9)
    HEX(A) HEX(B) HEX(C) HEX(D) HEX(E) HEX(F);
#undef HEX

static void unpack_id(const uint8_t bytes[ID_BYTES], char *id) {
  for (size_t i = 0; i < ID_BYTES; i++, id += 2) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *id++ = '-';
    memcpy(id, hex_of + (size_t)2 * bytes[i], 2);
  }
}

/* So many characters are 32 bytes, if they are base64url at all. */
static bool pack_sub(uint8_t cpu, const char *sub, uint8_t out[SUB_BYTES]) {
  size_t len;
  return st_base64url_decode_by(cpu, (subtoken_text){sub, ST_SUB_LEN}, out, SUB_BYTES, &len);
}

static void read_sub(uint8_t cpu, const uint8_t **at, bool binary, char sub[ST_SUB_LEN + 1]) {
  if (binary) {
    st_writer writer = st_writer_on(sub, ST_SUB_LEN);
    st_base64url_write_by(cpu, &writer, *at, SUB_BYTES);
  } else {
    memcpy(sub, *at, ST_SUB_LEN);
  }
  sub[ST_SUB_LEN] = '\0';
  *at += binary ? SUB_BYTES : ST_SUB_LEN;
}

static void read_id(const uint8_t **at, bool binary, char *id) {
  if (binary) {
    unpack_id(*at, id);
  } else {
    memcpy(id, *at, ST_KEY_ID_LEN);
  }
  *at += binary ? ID_BYTES : ST_KEY_ID_LEN;
}

static char *copy_name(const st_key_names *names, const uint8_t **at, char *out) {
  subtoken_text text = name_at(names, read_number(at));
  memcpy(out, text.data, text.len);
  return out + text.len;
}

/* ---- names by their numbers ---- */

/* How many, and the number of each. False: not all have one. */
static bool number_permissions(st_key_names *names, const char *permissions, st_writer *numbers) {
  bool good = true;
  uint64_t number = 0, count = 0;
  uint8_t each[ST_KEY_PACK_MAX];
  st_writer writer = st_writer_on(each, sizeof each);
  st_cutter cutter = {st_text(permissions), permissions[0] == '\0'};
  subtoken_text piece;
  (void)pthread_mutex_lock(&names->lock);
  while (good && st_cut(&cutter, ',', &piece)) {
    good = number_of(names, piece, NAMES_MAX, &number);
    if (good) write_number(&writer, number);
    count++;
  }
  (void)pthread_mutex_unlock(&names->lock);
  write_number(numbers, count);
  st_write(numbers, each, writer.len);
  return good && !numbers->overflow; /* which has less room than each number has */
}

/* An owner who comes again soon gets a number: one of few who have many keys. */
static bool number_owner(st_key_names *names, const char *owner, uint64_t *number) {
  uint32_t hash = hash_name(st_text(owner));
  uint16_t more = (uint16_t)(hash >> 16);
  (void)pthread_mutex_lock(&names->lock);
  uint16_t *seen = &names->seen[hash & (OWNERS_SEEN - 1)];
  bool good = number_of(names, st_text(owner), *seen == more ? OWNERS_MAX : 0, number);
  *seen = more;
  (void)pthread_mutex_unlock(&names->lock);
  return good;
}

static void read_permissions(const st_key_names *names, const uint8_t **at, char *out) {
  uint64_t count = read_number(at);
  for (uint64_t i = 0; i < count; i++) {
    if (i > 0) *out++ = ',';
    out = copy_name(names, at, out);
  }
}

/* ---- the whole ---- */

static bool is_packable(const st_key *key) {
  return (unsigned)key->kind <= ST_KIND_SERVICE &&
         strnlen(key->id, sizeof key->id) == ST_KEY_ID_LEN &&
         strnlen(key->sub, sizeof key->sub) == ST_SUB_LEN &&
         (key->parent[0] == '\0' || strnlen(key->parent, sizeof key->parent) == ST_KEY_ID_LEN) &&
         strnlen(key->name, sizeof key->name) <= ST_NAME_MAX &&
         strnlen(key->owner, sizeof key->owner) <= ST_NAME_MAX &&
         strnlen(key->permissions, sizeof key->permissions) < sizeof key->permissions &&
         strnlen(key->audience, sizeof key->audience) <= ST_AUDIENCE_MAX;
}

/* Its owner, unless that is its name. */
static void write_owner(st_writer *writer, const st_key *key, bool numbered, uint64_t number) {
  if (numbered) {
    write_number(writer, number);
  } else {
    write_text(writer, st_text(key->owner));
  }
}

/* What few keys have comes last. */
static bool has_rare(const st_key *key) {
  return key->audience[0] != '\0' || key->old_until != 0 || key->by_old_digest ||
         key->tokens_revoked != 0;
}

static void write_rare(st_writer *writer, const st_key *key) {
  st_write_char(writer, (char)key->by_old_digest);
  write_number(writer, (uint64_t)key->old_until);
  write_number(writer, (uint64_t)key->tokens_revoked);
  write_text(writer, st_text(key->audience));
}

static void read_rare(const uint8_t *at, st_key *key) {
  key->by_old_digest = *at++ != 0;
  key->old_until = (int64_t)read_number(&at);
  key->tokens_revoked = (int64_t)read_number(&at);
  read_text(&at, key->audience);
}

size_t st_key_pack(st_key_names *names, const st_key *key, uint8_t out[ST_KEY_PACK_MAX]) {
  uint8_t id[ID_BYTES] = {0}, parent[ID_BYTES] = {0}, sub[SUB_BYTES];
  uint8_t numbers[2 + 2 * SUBTOKEN_PERMISSIONS_MAX];
  st_writer numbered = st_writer_on(numbers, sizeof numbers);
  uint64_t owner = 0;
  if (!is_packable(key)) return 0;
  bool id_binary = pack_id(key->id, id), sub_binary = pack_sub(names->cpu, key->sub, sub);
  bool has_parent = key->parent[0] != '\0',
       parent_binary = has_parent && pack_id(key->parent, parent);
  bool expires = key->expires_at != ST_NEVER, owner_is_name = strcmp(key->owner, key->name) == 0;
  bool owner_numbered = !owner_is_name && number_owner(names, key->owner, &owner);
  bool permissions_numbered = number_permissions(names, key->permissions, &numbered);
  unsigned first = key->kind | (key->disabled ? DISABLED : 0U) | (key->suspended ? SUSPENDED : 0U) |
                   (id_binary ? ID_BINARY : 0U) | (sub_binary ? SUB_BINARY : 0U) |
                   (owner_is_name ? OWNER_IS_NAME : 0U) |
                   (permissions_numbered ? PERMISSIONS_NUMBERED : 0U);
  unsigned second = (has_parent ? PARENT : 0U) | (parent_binary ? PARENT_BINARY : 0U) |
                    (expires ? EXPIRES : 0U) | (owner_numbered ? OWNER_NUMBERED : 0U) |
                    (has_rare(key) ? RARE : 0U);
  st_writer writer = st_writer_on(out, ST_KEY_PACK_MAX);
  st_write_char(&writer, (char)first);
  st_write_char(&writer, (char)second);
  st_write(&writer, sub_binary ? (void *)sub : key->sub, sub_binary ? SUB_BYTES : ST_SUB_LEN);
  st_write(&writer, id_binary ? (void *)id : key->id, id_binary ? ID_BYTES : ST_KEY_ID_LEN);
  st_write(&writer, parent_binary ? (void *)parent : key->parent,
           parent_binary ? ID_BYTES : strlen(key->parent));
  write_time(&writer, key->created_at);
  if (expires) write_time(&writer, key->expires_at);
  write_text(&writer, st_text(key->name));
  if (!owner_is_name) write_owner(&writer, key, owner_numbered, owner);
  if (permissions_numbered) {
    st_write(&writer, numbers, numbered.len);
  } else {
    write_text(&writer, st_text(key->permissions));
  }
  if (has_rare(key)) write_rare(&writer, key);
  return st_impossible(writer.overflow, "no packed key is longer") ? 0 : writer.len;
}

void st_key_unpack(const st_key_names *names, const uint8_t *packed, st_key *key) {
  const uint8_t *at = packed + 2;
  memset(key, 0, sizeof *key);
  key->kind = (st_key_kind)(packed[0] & KIND);
  key->disabled = (packed[0] & DISABLED) != 0;
  key->suspended = (packed[0] & SUSPENDED) != 0;
  read_sub(names->cpu, &at, (packed[0] & SUB_BINARY) != 0, key->sub);
  read_id(&at, (packed[0] & ID_BINARY) != 0, key->id);
  if ((packed[1] & PARENT) != 0) read_id(&at, (packed[1] & PARENT_BINARY) != 0, key->parent);
  key->created_at = read_time(&at);
  key->expires_at = (packed[1] & EXPIRES) != 0 ? read_time(&at) : ST_NEVER;
  read_text(&at, key->name);
  if ((packed[0] & OWNER_IS_NAME) != 0) {
    memcpy(key->owner, key->name, sizeof key->name);
  } else if ((packed[1] & OWNER_NUMBERED) != 0) {
    (void)copy_name(names, &at, key->owner);
  } else {
    read_text(&at, key->owner);
  }
  if ((packed[0] & PERMISSIONS_NUMBERED) != 0) {
    read_permissions(names, &at, key->permissions);
  } else {
    read_text(&at, key->permissions);
  }
  if ((packed[1] & RARE) != 0) read_rare(at, key);
}

void st_key_unpack_sub(const uint8_t *packed, char sub[ST_SUB_LEN + 1]) {
  const uint8_t *at = packed + 2;
  read_sub(0, &at, (packed[0] & SUB_BINARY) != 0, sub);
}

st_key_sub st_key_sub_of(const st_key_names *names, const char *text) {
  st_key_sub sub = {.text = text};
  sub.binary = pack_sub(names->cpu, text, sub.bytes);
  return sub;
}

bool st_key_pack_has_sub(const uint8_t *packed, const st_key_sub *sub) {
  bool binary = (packed[0] & SUB_BINARY) != 0;
  if (binary != sub->binary) return false;
  return binary ? memcmp(packed + 2, sub->bytes, SUB_BYTES) == 0
                : memcmp(packed + 2, sub->text, ST_SUB_LEN) == 0;
}
