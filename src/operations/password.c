/* Argon2id, and the texts in which its hashes are stored. How long and how often a login may try is
 * for the service (service/throttle.c); the forms are in password.h.
 */
#include "operations/password.h"

#include <argon2.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/base64url.h"
#include "base/bytes.h"
#include "base/hmac.h"
#include "base/impossible.h"
#include "domain/password.h"
#include "operations/opaque_string.h"
#include "os/process.h"
#include "os/random.h"
#include "os/semaphore.h"

#define SALT_LEN 16

/* OWASP's minimum for Argon2id as of 2025: 19 MiB and two passes. */
typedef struct password_cost {
  uint32_t memory_kib, passes, lanes;
} password_cost;
static const password_cost current_cost = {19456, 2, 1};

/* The most that a stored text may ask for, since a database can be damaged. */
#define MEMORY_MAX (1U << 20) /* KiB */
#define PASSES_MAX 32
#define LANES_MAX 16
#define SALT_MIN 8
#define HASH_MIN 16
#define HASH_MAX 64

/* A stored text, parsed. */
typedef struct password_stored {
  bool wrapped;
  bool opaque;      /* made of the password as an opaque string */
  size_t outer_len; /* the salt of SHA-256 */
  uint8_t outer[ST_SALT_MAX];
  password_cost cost;
  size_t salt_len, hash_len;
  uint8_t salt[ST_SALT_MAX];
  uint8_t hash[HASH_MAX];
} password_stored;

static st_semaphore password_semaphore = ST_SEMAPHORE(1, ST_PASSWORD_WAITING_MAX);
static atomic_uint_fast64_t password_count;

/* ---- computing ---- */

/* Mapped for each hash: malloc would keep such blocks, 19 MiB a thread and more. Huge pages save a
 * third of the time.
 */
static int password_allocate(uint8_t **memory, size_t size) {
  void *made =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (made != MAP_FAILED) (void)madvise(made, size, MADV_HUGEPAGE);
  *memory = made == MAP_FAILED ? NULL : made;
  return *memory == NULL ? ARGON2_MEMORY_ALLOCATION_ERROR : ARGON2_OK;
}

/* libargon2 has wiped it: Debian's does not let that be turned off. */
static void password_free(uint8_t *memory, size_t size) {
  (void)munmap(memory, size);
}

/* Lanes are computed one after the other: threads of libargon2 would not count in the semaphore. */
static bool password_compute(const password_stored *s, subtoken_text input, uint8_t *hash) {
  argon2_context context = {
      .out = hash,
      .outlen = (uint32_t)s->hash_len,
      .pwd = (uint8_t *)(uintptr_t)input.data, /* only read, without FLAG_CLEAR_PASSWORD */
      .pwdlen = (uint32_t)input.len,
      .salt = (uint8_t *)(uintptr_t)s->salt,
      .saltlen = (uint32_t)s->salt_len,
      .t_cost = s->cost.passes,
      .m_cost = s->cost.memory_kib,
      .lanes = s->cost.lanes,
      .threads = 1,
      .version = ARGON2_VERSION_13,
      .allocate_cbk = password_allocate,
      .free_cbk = password_free,
      .flags = ARGON2_DEFAULT_FLAGS,
  };
  atomic_fetch_add(&password_count, 1);
  return argon2id_ctx(&context) == ARGON2_OK;
}

/* Waits for its turn. ST_PASSWORD_OK when hash, of s->hash_len bytes, is there. */
static st_password_status password_compute_in_turn(const password_stored *s, subtoken_text input,
                                                   int64_t until_us, uint8_t *hash) {
  if (!st_semaphore_enter(&password_semaphore, until_us)) return ST_PASSWORD_BUSY;
  bool done = password_compute(s, input, hash);
  st_semaphore_leave(&password_semaphore);
  return done ? ST_PASSWORD_OK : ST_PASSWORD_FAILED;
}

/* Is input what s was made from? */
static st_password_status password_check(const password_stored *s, subtoken_text input,
                                         int64_t until_us) {
  uint8_t hash[HASH_MAX];
  st_password_status status = password_compute_in_turn(s, input, until_us, hash);
  if (status == ST_PASSWORD_OK && !st_equal_secret(hash, s->hash, s->hash_len)) {
    status = ST_PASSWORD_WRONG;
  }
  subtoken_wipe(hash, sizeof hash);
  return status;
}

/* The input of Argon2 for an imported password. */
static void password_inner_hash(const password_stored *s, subtoken_text password,
                                uint8_t out[ST_HASH_LEN]) {
  uint8_t both[ST_PASSWORD_MAX + ST_SALT_MAX];
  if (password.len > 0) memcpy(both, password.data, password.len);
  if (s->outer_len > 0) memcpy(both + password.len, s->outer, s->outer_len);
  st_sha256(both, password.len + s->outer_len, out);
  subtoken_wipe(both, sizeof both);
}

/* ---- the stored text ---- */

static bool password_take(subtoken_text *rest, const char *wanted) {
  size_t len = strlen(wanted);
  if (rest->len < len || memcmp(rest->data, wanted, len) != 0) return false;
  *rest = (subtoken_text){rest->data + len, rest->len - len};
  return true;
}

/* Decimal, without leading zeros (PHC string format), 1 to max. */
static bool password_take_number(subtoken_text *rest, uint32_t max, uint32_t *value) {
  uint64_t sum = 0;
  size_t at = 0;
  for (; at < rest->len && rest->data[at] >= '0' && rest->data[at] <= '9'; at++) {
    sum = sum * 10 + (uint64_t)(rest->data[at] - '0');
    if (sum == 0 || sum > max) return false;
  }
  *rest = (subtoken_text){rest->data + at, rest->len - at};
  *value = (uint32_t)sum;
  return sum > 0;
}

static bool password_read_phc(subtoken_text text, password_stored *s) {
  subtoken_text salt;
  if (!password_take(&text, "$argon2id$v=19$m=") ||
      !password_take_number(&text, MEMORY_MAX, &s->cost.memory_kib) ||
      !password_take(&text, ",t=") || !password_take_number(&text, PASSES_MAX, &s->cost.passes) ||
      !password_take(&text, ",p=") || !password_take_number(&text, LANES_MAX, &s->cost.lanes) ||
      !password_take(&text, "$")) {
    return false;
  }
  st_cutter cutter = {text, false};
  /* What follows is the hash alone: it is not searched for an end, and a dollar is no base64. */
  return st_cut(&cutter, '$', &salt) && !cutter.done &&
         st_base64_read(salt, ST_UNPADDED, s->salt, sizeof s->salt, &s->salt_len) &&
         st_base64_read(cutter.rest, ST_UNPADDED, s->hash, sizeof s->hash, &s->hash_len) &&
         s->cost.memory_kib >= 8 * s->cost.lanes && s->salt_len >= SALT_MIN &&
         s->hash_len >= HASH_MIN;
}

static bool password_read_stored(const char *phc, password_stored *s) {
  subtoken_text text = {phc, strnlen(phc, ST_PHC_MAX + 1)}, salt;
  memset(s, 0, sizeof *s);
  if (text.len > ST_PHC_MAX) return false;
  s->opaque = password_take(&text, "nfc:");
  s->wrapped = !s->opaque && password_take(&text, "sha256:");
  if (!s->wrapped) return password_read_phc(text, s);
  st_cutter cutter = {text, false};
  return st_cut(&cutter, ':', &salt) && !cutter.done &&
         st_base64_read(salt, ST_PADDED, s->outer, sizeof s->outer, &s->outer_len) &&
         password_read_phc(cutter.rest, s);
}

static bool password_write_stored(const password_stored *s, char phc[ST_PHC_MAX + 1]) {
  st_writer writer = st_writer_on(phc, ST_PHC_MAX + 1);
  if (s->opaque) st_write_literal(&writer, "nfc:");
  if (s->wrapped) {
    st_write_literal(&writer, "sha256:");
    st_base64_write(&writer, ST_PADDED, s->outer, s->outer_len);
    st_write_char(&writer, ':');
  }
  st_write_literal(&writer, "$argon2id$v=19$m=");
  st_write_int(&writer, s->cost.memory_kib);
  st_write_literal(&writer, ",t=");
  st_write_int(&writer, s->cost.passes);
  st_write_literal(&writer, ",p=");
  st_write_int(&writer, s->cost.lanes);
  st_write_char(&writer, '$');
  st_base64_write(&writer, ST_UNPADDED, s->salt, s->salt_len);
  st_write_char(&writer, '$');
  st_base64_write(&writer, ST_UNPADDED, s->hash, s->hash_len);
  return st_writer_end(&writer);
}

/* ---- the calls ---- */

/* `argon2 somesalt -id -t 1 -k 8 -p 1 -l 32`, of `password`: a library that computes anything
 * else would lock everybody out, or, worse, let them in.
 */
static bool password_self_test(void) {
  static const uint8_t right[32] = {0xf1, 0x37, 0xf8, 0xe1, 0x86, 0xa4, 0x03, 0xa6,
                                    0x79, 0xcc, 0xd0, 0x60, 0x6e, 0x5a, 0xb5, 0xdc,
                                    0xda, 0xfe, 0x43, 0xc1, 0x64, 0x08, 0x55, 0xac,
                                    0x8c, 0x6e, 0x33, 0xe9, 0xbd, 0x63, 0xee, 0xb3};
  static const password_stored small = {
      .cost = {8, 1, 1}, .salt_len = 8, .hash_len = sizeof right, .salt = "somesalt"};
  uint8_t hash[sizeof right];
  return password_compute(&small, ST_TEXT("password"), hash) &&
         memcmp(hash, right, sizeof right) == 0;
}

bool st_password_start(void) {
  size_t half = st_process_processors() / 2;
  st_semaphore_limit(&password_semaphore, half > 0 ? half : 1);
  return password_self_test();
}

void st_password_share(size_t threads) {
  size_t quarter = threads / 4;
  st_semaphore_waiting_limit(&password_semaphore,
                             quarter < ST_PASSWORD_WAITING_MAX ? quarter : ST_PASSWORD_WAITING_MAX);
}

void st_password_close(int64_t at_us) {
  st_semaphore_close(&password_semaphore, at_us);
}

static bool password_usable(subtoken_text password) {
  return password.len > 0 && password.len <= ST_PASSWORD_MAX;
}

/* Computes the hash with a new salt, and writes the text. */
static st_password_status password_make(password_stored *s, subtoken_text input, int64_t until_us,
                                        char phc[ST_PHC_MAX + 1]) {
  s->cost = current_cost;
  s->salt_len = SALT_LEN;
  s->hash_len = ST_HASH_LEN;
  st_random_fill(s->salt, SALT_LEN);
  st_password_status status = password_compute_in_turn(s, input, until_us, s->hash);
  if (status == ST_PASSWORD_OK &&
      st_impossible(!password_write_stored(s, phc), "every salt and hash fits")) {
    status = ST_PASSWORD_FAILED;
  }
  if (status != ST_PASSWORD_OK) phc[0] = '\0';
  subtoken_wipe(s, sizeof *s);
  return status;
}

st_password_status st_password_hash(subtoken_text password, int64_t until_us,
                                    char phc[ST_PHC_MAX + 1]) {
  password_stored s = {.opaque = true};
  char opaque[ST_OPAQUE_STRING_MAX];
  phc[0] = '\0';
  if (!password_usable(password)) return ST_PASSWORD_FAILED;
  st_password_status status =
      password_make(&s, st_opaque_string_enforce(password, opaque), until_us, phc);
  subtoken_wipe(opaque, sizeof opaque);
  return status;
}

st_password_status st_password_wrap(const uint8_t hash[ST_HASH_LEN], const void *salt,
                                    size_t salt_len, char phc[ST_PHC_MAX + 1]) {
  password_stored s = {.wrapped = true, .outer_len = salt_len};
  phc[0] = '\0';
  if (salt_len > ST_SALT_MAX) return ST_PASSWORD_FAILED;
  if (salt_len > 0) memcpy(s.outer, salt, salt_len);
  return password_make(&s, (subtoken_text){(const char *)hash, ST_HASH_LEN}, ST_WAIT_FOR_EVER, phc);
}

st_password_status st_password_verify(const char *phc, subtoken_text password, int64_t until_us) {
  /* The zeros of this hash are the result of no password; if they were of one, it would be of no
   * user. */
  password_stored s = {
      .opaque = true, .cost = current_cost, .salt_len = SALT_LEN, .hash_len = ST_HASH_LEN};
  char opaque[ST_OPAQUE_STRING_MAX];
  bool somebody = phc != NULL && phc[0] != '\0', may_be = somebody && password_usable(password);
  uint8_t inner[ST_HASH_LEN];
  if (somebody && !password_read_stored(phc, &s)) return ST_PASSWORD_FAILED;
  subtoken_text input = password;
  if (!password_usable(password)) input = ST_TEXT("");
  if (s.opaque) input = st_opaque_string_enforce(input, opaque);
  if (s.wrapped) {
    password_inner_hash(&s, input, inner);
    input = (subtoken_text){(const char *)inner, sizeof inner};
  }
  st_password_status status = password_check(&s, input, until_us);
  if (status == ST_PASSWORD_OK && !may_be) status = ST_PASSWORD_WRONG;
  subtoken_wipe(inner, sizeof inner);
  subtoken_wipe(opaque, sizeof opaque);
  subtoken_wipe(&s, sizeof s);
  return status;
}

st_password_status st_password_is_wrap_of(const char *phc, const uint8_t hash[ST_HASH_LEN],
                                          const void *salt, size_t salt_len) {
  password_stored s;
  if (phc == NULL || !password_read_stored(phc, &s)) return ST_PASSWORD_FAILED;
  st_password_status status = ST_PASSWORD_WRONG;
  if (s.wrapped && s.outer_len == salt_len &&
      (salt_len == 0 || memcmp(s.outer, salt, salt_len) == 0)) {
    status = password_check(&s, (subtoken_text){(const char *)hash, ST_HASH_LEN}, ST_WAIT_FOR_EVER);
  }
  subtoken_wipe(&s, sizeof s);
  return status;
}

bool st_password_outdated(const char *phc) {
  password_stored s;
  bool outdated = phc == NULL || !password_read_stored(phc, &s) || !s.opaque ||
                  memcmp(&s.cost, &current_cost, sizeof current_cost) != 0 ||
                  s.salt_len != SALT_LEN || s.hash_len != ST_HASH_LEN;
  subtoken_wipe(&s, sizeof s);
  return outdated;
}

uint64_t st_password_computed(void) {
  return atomic_load(&password_count);
}

st_semaphore *st_password_semaphore(void) {
  return &password_semaphore;
}
