/* password: what Debian's argon2(1) made is verified, what is stored is what it says, and the
 * work at one time is bounded. Known answers: `printf PASSWORD | argon2 SALT -id -t T -k M -p P
 * -l LEN -e`.
 */
#include "support.h"

#include <argon2.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "operations/password.h"
#include "os/file.h"
#include "os/process.h"

#define HORSE                                                                                    \
  "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbi1ieXRlLXNsdA$A/41UBGBMwUt7bdLbCnPX4CoxWv3IpbIDZC+Gj" \
  "23/xU"
#define SMALL "$argon2id$v=19$m=16,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ" /* of x */

/* The user of Graphene's documentation, password `supersecret`. */
#define GRAPHENE_HASH "9e9GF7ooXVb9k4BoSfNIPTelXeGOZ5DrgOYMj94elaY="
#define GRAPHENE_SALT "INDdM6iCi/8="
#define GRAPHENE                                                                               \
  "sha256:" GRAPHENE_SALT                                                                      \
  ":$argon2id$v=19$m=19456,t=2,p=1$d3JhcHBpbmctc2FsdC0xNg$udsi56CMjNwuQkkFjU/VU7oGCZ8WxxLsinZ" \
  "hOiofd64"
/* The same without a salt of its own. */
#define UNSALTED                                                                               \
  "sha256::$argon2id$v=19$m=19456,t=2,p=1$d3JhcHBpbmctc2FsdC0xNg$1Cf6OxIYae6dfvCwWpDnWq3auL26" \
  "OktmyVx0yNOLgkM"

static st_password_status verify(const char *phc, const char *password) {
  subtoken_text text = exact_string(password);
  uint64_t before = st_password_computed();
  st_password_status status = st_password_verify(phc, text, ST_WAIT_FOR_EVER);
  /* Whatever could be decided was computed, and once. */
  assert_int_equal(st_password_computed() - before, status == ST_PASSWORD_FAILED ? 0 : 1);
  release(text);
  return status;
}

static void known_answers_are_verified(void **state) {
  (void)state;
  static const struct {
    const char *phc, *password;
  } rows[] = {
      {HORSE, "correct horse"},
      {SMALL, "x"},
      {"$argon2id$v=19$m=64,t=3,p=4$ZWlnaHRzbHQ$5nZQQ9eiXnYb6ubBvH3bQm8aanVybLKT",
       "p\xC3\xA4ssw\xC3\xB6rd"},
      {GRAPHENE, "supersecret"},
      {UNSALTED, "supersecret"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(verify(rows[i].phc, rows[i].password) == ST_PASSWORD_OK, "row %zu", i);
    CHECK(verify(rows[i].phc, "wrong") == ST_PASSWORD_WRONG, "row %zu", i);
    CHECK(verify(rows[i].phc, "") == ST_PASSWORD_WRONG, "row %zu", i);
  }
}

/* One bit of the hash, of the salt or of the cost more or less is another password's. */
static void each_part_of_a_stored_password_counts(void **state) {
  (void)state;
  static const char *const rows[] = {
      "$argon2id$v=19$m=16,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkw",
      "$argon2id$v=19$m=16,t=1,p=2$ZWlnaHRzbHQ$ZRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16,t=1,p=2$ZWlnaHRzbHU$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=24,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16,t=2,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16,t=1,p=1$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "sha256::" SMALL,
      "sha256:AAAA:" SMALL,
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(verify(rows[i], "x") == ST_PASSWORD_WRONG, "%s", rows[i]);
  }
}

static void damaged_texts_verify_nothing(void **state) {
  (void)state;
  static const char *const rows[] = {
      "$", "x", "$argon2id$", "argon2id$v=19$m=16,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      " " SMALL, SMALL " ", SMALL "$", SMALL "\n",
      SMALL "==", "$argon2i$v=19$m=16,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2d$v=19$m=16,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=16$m=16,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$m=16,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$t=1,m=16,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16,t=1$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ", "$argon2id$v=19$m=16",
      "$argon2id$v=19$m=16;t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16/t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16,T=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16,t=1,p=2,keyid=a$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      /* what it would cost */
      "$argon2id$v=19$m=1048577,t=1,p=1$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=4294967312,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=18446744073709551632,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16,t=33,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=1024,t=1,p=17$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=15,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ", /* 8 KiB a lane */
      "$argon2id$v=19$m=0,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16,t=0,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16,t=1,p=0$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16,t=01,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=-16,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=+16,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkQ",
      /* salt and hash: 7 bytes, 65 bytes, 15 bytes, none, another alphabet, padded */
      "$argon2id$v=19$m=16,t=1,p=2$ZWlnaHRzbA$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16,t=1,p=2$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
      "AAAAAAAAAAAAAAAAAAAAAAAAA$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrA",
      "$argon2id$v=19$m=16,t=1,p=2$ZWlnaHRzbHQ$", "$argon2id$v=19$m=16,t=1,p=2$ZWlnaHRzbHQ",
      "$argon2id$v=19$m=16,t=1,p=2$$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2Qr_kQ",
      "$argon2id$v=19$m=16,t=1,p=2$ZWlnaHRzbHQ=$YRuGFn7j5558fvVS2QrAkQ",
      "$argon2id$v=19$m=16,t=1,p=2$ZWlnaHRzbHQ$YRuGFn7j5558fvVS2QrAkR", /* stray bits */
      /* wrapped */
      "sha256:", "sha256:AAAA", "sha256:AAAA:", "sha256:" SMALL, "sha256:AAA:" SMALL,
      "sha256:A-A=:" SMALL, "sha256:AAAA:x" SMALL, "sha256:AAAA::" SMALL,
      "sha256:AAAA:sha256:AAAA:" SMALL, "SHA256:AAAA:" SMALL, "sha512:AAAA:" SMALL,
      "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
      "AAA=:" SMALL, /* 65 bytes */
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    CHECK(verify(rows[i], "x") == ST_PASSWORD_FAILED, "%s", rows[i]);
    CHECK(st_password_outdated(rows[i]), "%s", rows[i]);
  }
}

/* A text that never ends is not read to its end. */
static void a_text_that_is_too_long_is_not_read(void **state) {
  (void)state;
  subtoken_text text = repeated(SMALL, 'A', ST_PHC_MAX + 1 - strlen(SMALL));
  assert_int_equal(verify(text.data, "x"), ST_PASSWORD_FAILED);
  release(text);
}

static void a_hash_is_made_with_a_new_salt(void **state) {
  (void)state;
  char one[ST_PHC_MAX + 1], two[ST_PHC_MAX + 1];
  static const char front[] = "nfc:$argon2id$v=19$m=19456,t=2,p=1$";
  assert_int_equal(st_password_hash(ST_TEXT("open sesame"), ST_WAIT_FOR_EVER, one), ST_PASSWORD_OK);
  assert_int_equal(st_password_hash(ST_TEXT("open sesame"), ST_WAIT_FOR_EVER, two), ST_PASSWORD_OK);
  assert_string_not_equal(one, two);
  assert_memory_equal(one, front, sizeof front - 1);
  assert_int_equal(strlen(one), sizeof front - 1 + 22 + 1 + 43);
  assert_false(st_password_outdated(one));
  assert_int_equal(verify(one, "open sesame"), ST_PASSWORD_OK);
  assert_int_equal(verify(one, "open sesam"), ST_PASSWORD_WRONG);
  assert_int_equal(verify(one, "open sesame "), ST_PASSWORD_WRONG);
}

/* A NUL is a byte as any other; the longest is one; longer or empty ones are none. */
static void a_password_has_1_to_1024_bytes(void **state) {
  (void)state;
  char phc[ST_PHC_MAX + 1];
  assert_int_equal(st_password_hash(ST_TEXT("a\0b"), ST_WAIT_FOR_EVER, phc), ST_PASSWORD_OK);
  assert_int_equal(st_password_verify(phc, ST_TEXT("a\0b"), ST_WAIT_FOR_EVER), ST_PASSWORD_OK);
  assert_int_equal(st_password_verify(phc, ST_TEXT("a\0c"), ST_WAIT_FOR_EVER), ST_PASSWORD_WRONG);
  assert_int_equal(st_password_verify(phc, ST_TEXT("a"), ST_WAIT_FOR_EVER), ST_PASSWORD_WRONG);
  subtoken_text longer = repeated("", 'x', ST_PASSWORD_MAX + 1);
  subtoken_text longest = {longer.data, ST_PASSWORD_MAX};
  assert_int_equal(st_password_hash(longest, ST_WAIT_FOR_EVER, phc), ST_PASSWORD_OK);
  assert_int_equal(st_password_verify(phc, longest, ST_WAIT_FOR_EVER), ST_PASSWORD_OK);
  uint64_t before = st_password_computed();
  assert_int_equal(st_password_verify(phc, longer, ST_WAIT_FOR_EVER), ST_PASSWORD_WRONG);
  assert_int_equal(st_password_verify(GRAPHENE, longer, ST_WAIT_FOR_EVER), ST_PASSWORD_WRONG);
  assert_int_equal(st_password_computed() - before, 2);
  assert_int_equal(st_password_hash(longer, ST_WAIT_FOR_EVER, phc), ST_PASSWORD_FAILED);
  assert_string_equal(phc, "");
  assert_int_equal(st_password_hash((subtoken_text){NULL, 0}, ST_WAIT_FOR_EVER, phc),
                   ST_PASSWORD_FAILED);
  assert_int_equal(st_password_verify(HORSE, (subtoken_text){NULL, 0}, ST_WAIT_FOR_EVER),
                   ST_PASSWORD_WRONG);
  assert_int_equal(st_password_computed() - before, 3);
  release(longer);
}

/* Even a stored text that was made of an empty password lets nobody in without one. */
static void an_empty_password_is_never_right(void **state) {
  (void)state;
  uint8_t hash[ST_HASH_LEN];
  char phc[ST_PHC_MAX + 1];
  st_sha256("salt", 4, hash);
  assert_int_equal(st_password_wrap(hash, "salt", 4, phc), ST_PASSWORD_OK);
  assert_int_equal(verify(phc, ""), ST_PASSWORD_WRONG);
}

/* Nobody's costs what somebody's does, and no password is right. */
static void an_unknown_user_costs_the_same(void **state) {
  (void)state;
  assert_int_equal(verify(NULL, "supersecret"), ST_PASSWORD_WRONG);
  assert_int_equal(verify("", "supersecret"), ST_PASSWORD_WRONG);
  assert_int_equal(verify(NULL, ""), ST_PASSWORD_WRONG);
}

static void outdated_parameters_are_known(void **state) {
  (void)state;
  static const char *const rows[] = {
      SMALL,
      GRAPHENE,
      UNSALTED,
      "",
      "$argon2id$v=19$m=19455,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
      "AAAAA",
      "$argon2id$v=19$m=47104,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
      "AAAAA",
      "$argon2id$v=19$m=19456,t=2,p=2$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
      "AAAAA",
      "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
      "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char opaque[ST_PHC_MAX + 1];
    CHECK(st_password_outdated(rows[i]), "%s", rows[i]);
    snprintf(opaque, sizeof opaque, "nfc:%s", rows[i]);
    CHECK(st_password_outdated(opaque), "%s", opaque);
  }
  assert_true(st_password_outdated(NULL));
  assert_true(st_password_outdated(HORSE)); /* of what was typed: an earlier version's */
  assert_false(st_password_outdated("nfc:" HORSE));
}

/* ---- D12: one password, however it is typed ---- */

#define NFC "p\xC3\xA4ssw\xC3\xB6rd"   /* two characters of their own */
#define NFD "pa\xCC\x88sswo\xCC\x88rd" /* two letters, each with its dots behind it */

static void each_normalization_form_is_the_same(void **state) {
  (void)state;
  static const char *const spellings[] = {NFC, NFD, "p\xC3\xA4sswo\xCC\x88rd"};
  char phc[ST_PHC_MAX + 1];
  for (size_t i = 0; i < COUNT(spellings); i++) {
    assert_int_equal(st_password_hash(st_text(spellings[i]), ST_WAIT_FOR_EVER, phc),
                     ST_PASSWORD_OK);
    for (size_t j = 0; j < COUNT(spellings); j++) {
      CHECK(verify(phc, spellings[j]) == ST_PASSWORD_OK, "%zu and %zu", i, j);
    }
    assert_int_equal(verify(phc, "passwo\xCC\x88rd"), ST_PASSWORD_WRONG);
    assert_int_equal(verify(phc, "password"), ST_PASSWORD_WRONG);
    assert_int_equal(verify(phc, "p\xE4ssw\xF6rd"), ST_PASSWORD_WRONG); /* Latin-1 is another one */
  }
  /* What is not UTF-8 is as it is. */
  assert_int_equal(st_password_hash(ST_TEXT("p\xE4ssword"), ST_WAIT_FOR_EVER, phc), ST_PASSWORD_OK);
  assert_int_equal(verify(phc, "p\xE4ssword"), ST_PASSWORD_OK);
}

/* What an earlier version stored is of the spelling that was typed then: whoever types it again
 * gets in, at the price of one computation, as everybody.
 */
static void passwords_of_earlier_versions_verify(void **state) {
  (void)state;
  static const char *const spellings[] = {NFC, NFD};
  for (size_t i = 0; i < COUNT(spellings); i++) {
    char phc[ST_PHC_MAX + 1];
    assert_int_equal(argon2id_hash_encoded(2, 64, 1, spellings[i], strlen(spellings[i]),
                                           "sixteen bytes...", 16, 32, phc, sizeof phc),
                     ARGON2_OK);
    assert_int_equal(verify(phc, spellings[i]), ST_PASSWORD_OK);
    assert_int_equal(verify(phc, spellings[1 - i]), ST_PASSWORD_WRONG);
    assert_true(st_password_outdated(phc)); /* so the good one is stored anew */
  }
  assert_int_equal(verify("nfc:nfc:" HORSE, "correct horse"), ST_PASSWORD_FAILED);
  assert_int_equal(verify("nfc:" GRAPHENE, "supersecret"), ST_PASSWORD_FAILED);
  assert_int_equal(verify("sha256:" GRAPHENE_SALT ":nfc:" HORSE, "x"), ST_PASSWORD_FAILED);
  assert_int_equal(verify("nfc:" HORSE, "correct horse"), ST_PASSWORD_OK);
}

static void imported_hashes_are_wrapped(void **state) {
  (void)state;
  uint8_t hash[ST_HASH_LEN + 1], salt[ST_SALT_MAX + 1];
  size_t len;
  char phc[ST_PHC_MAX + 1];
  static const char front[] = "sha256:" GRAPHENE_SALT ":$argon2id$v=19$m=19456,t=2,p=1$";
  assert_true(st_base64_read(ST_TEXT(GRAPHENE_HASH), ST_PADDED, hash, sizeof hash, &len));
  assert_int_equal(len, ST_HASH_LEN);
  assert_true(st_base64_read(ST_TEXT(GRAPHENE_SALT), ST_PADDED, salt, sizeof salt, &len));
  assert_int_equal(st_password_wrap(hash, salt, len, phc), ST_PASSWORD_OK);
  assert_memory_equal(phc, front, sizeof front - 1);
  assert_int_equal(verify(phc, "supersecret"), ST_PASSWORD_OK);
  assert_int_equal(verify(phc, "supersecreT"), ST_PASSWORD_WRONG);
  /* Neither the salted hash nor what the file says of it is a password. */
  assert_int_equal(st_password_verify(phc, (subtoken_text){(char *)hash, 32}, ST_WAIT_FOR_EVER),
                   ST_PASSWORD_WRONG);
  assert_int_equal(verify(phc, GRAPHENE_HASH), ST_PASSWORD_WRONG);
  assert_int_equal(st_password_is_wrap_of(phc, hash, salt, len), ST_PASSWORD_OK);
  assert_int_equal(st_password_is_wrap_of(GRAPHENE, hash, salt, len), ST_PASSWORD_OK);
  assert_int_equal(st_password_is_wrap_of(phc, hash, salt, len - 1), ST_PASSWORD_WRONG);
  assert_int_equal(st_password_is_wrap_of(phc, hash, salt, 0), ST_PASSWORD_WRONG);
  assert_int_equal(st_password_is_wrap_of(HORSE, hash, salt, len), ST_PASSWORD_WRONG);
  assert_int_equal(st_password_is_wrap_of(NULL, hash, salt, len), ST_PASSWORD_FAILED);
  assert_int_equal(st_password_is_wrap_of("", hash, salt, len), ST_PASSWORD_FAILED);
  hash[31] ^= 1;
  assert_int_equal(st_password_is_wrap_of(phc, hash, salt, len), ST_PASSWORD_WRONG);
  hash[31] ^= 1;
  salt[0] ^= 1;
  assert_int_equal(st_password_is_wrap_of(phc, hash, salt, len), ST_PASSWORD_WRONG);
}

/* Without a salt, with the longest, and with one too long. */
static void salts_have_a_limit(void **state) {
  (void)state;
  uint8_t hash[ST_HASH_LEN], both[2 + ST_SALT_MAX + 1] = "pw";
  char phc[ST_PHC_MAX + 1];
  const size_t lens[] = {0, 1, ST_SALT_MAX};
  memset(both + 2, 0xFF, sizeof both - 2);
  for (size_t i = 0; i < COUNT(lens); i++) {
    st_sha256(both, 2 + lens[i], hash);
    assert_int_equal(st_password_wrap(hash, both + 2, lens[i], phc), ST_PASSWORD_OK);
    CHECK(verify(phc, "pw") == ST_PASSWORD_OK, "%s", phc);
    CHECK(verify(phc, "wp") == ST_PASSWORD_WRONG, "%s", phc);
  }
  assert_int_equal(st_password_wrap(hash, both + 2, ST_SALT_MAX + 1, phc), ST_PASSWORD_FAILED);
  assert_string_equal(phc, "");
}

/* ---- many at once ---- */

static void *verify_small(void *unused) {
  (void)unused;
  size_t good = 0;
  for (int i = 0; i < 50; i++) {
    good += st_password_verify(SMALL, ST_TEXT("x"), ST_WAIT_FOR_EVER) == ST_PASSWORD_OK;
    good += st_password_verify(SMALL, ST_TEXT("y"), ST_WAIT_FOR_EVER) == ST_PASSWORD_WRONG;
  }
  return (void *)good;
}

static void join_all(pthread_t *threads, size_t count, size_t each) {
  for (size_t i = 0; i < count; i++) {
    void *good;
    assert_int_equal(pthread_join(threads[i], &good), 0);
    assert_int_equal((size_t)good, each);
  }
}

static void start_all(pthread_t *threads, size_t count, void *(*run)(void *)) {
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, run, NULL), 0);
  }
}

static size_t most_at_once(void) {
  size_t unused, most;
  st_semaphore_look(st_password_semaphore(), &unused, &most);
  return most;
}

static void half_of_the_processors_compute(void **state) {
  (void)state;
  pthread_t threads[16];
  size_t half = st_process_processors() / 2;
  assert_int_equal(st_password_semaphore()->limit, half > 0 ? half : 1);
  start_all(threads, COUNT(threads), verify_small);
  join_all(threads, COUNT(threads), 100);
  assert_in_range(most_at_once(), 1, half > 0 ? half : 1);
}

static void *verify_one(void *unused) {
  (void)unused;
  return (void *)(size_t)(st_password_verify(SMALL, ST_TEXT("x"), ST_WAIT_FOR_EVER) ==
                          ST_PASSWORD_OK);
}

/* While all places are taken, 64 wait, and whoever comes then is told so without any work. */
static void who_comes_after_64_is_busy(void **state) {
  (void)state;
  pthread_t threads[ST_PASSWORD_WAITING_MAX];
  st_semaphore *semaphore = st_password_semaphore();
  size_t limit = semaphore->limit, waiting = 0, most;
  char phc[ST_PHC_MAX + 1] = "left from before";
  uint8_t hash[ST_HASH_LEN] = {0};
  for (size_t i = 0; i < limit; i++) assert_true(st_semaphore_enter(semaphore, ST_WAIT_FOR_EVER));
  start_all(threads, COUNT(threads), verify_one);
  for (; waiting < COUNT(threads); st_semaphore_look(semaphore, &waiting, &most)) usleep(100);
  uint64_t before = st_password_computed();
  assert_int_equal(st_password_verify(SMALL, ST_TEXT("x"), ST_WAIT_FOR_EVER), ST_PASSWORD_BUSY);
  assert_int_equal(st_password_verify(NULL, ST_TEXT("x"), ST_WAIT_FOR_EVER), ST_PASSWORD_BUSY);
  assert_int_equal(st_password_verify(SMALL, ST_TEXT(""), ST_WAIT_FOR_EVER), ST_PASSWORD_BUSY);
  assert_int_equal(st_password_hash(ST_TEXT("x"), ST_WAIT_FOR_EVER, phc), ST_PASSWORD_BUSY);
  assert_string_equal(phc, "");
  assert_int_equal(st_password_wrap(hash, "", 0, phc), ST_PASSWORD_BUSY);
  assert_int_equal(st_password_is_wrap_of("sha256::" SMALL, hash, "", 0), ST_PASSWORD_BUSY);
  assert_int_equal(st_password_computed(), before);
  for (size_t i = 0; i < limit; i++) st_semaphore_leave(semaphore);
  join_all(threads, COUNT(threads), 1);
}

/* A server of few threads keeps most of them for those who bring no password. */
static void few_threads_let_few_wait(void **state) {
  (void)state;
  static const size_t shares[][2] = {{1, 0}, {8, 2}, {255, 63}, {256, 64}, {512, 64}, {16384, 64}};
  st_semaphore *semaphore = st_password_semaphore();
  size_t limit = semaphore->limit;
  pthread_t threads[2];
  for (size_t i = 0; i < COUNT(shares); i++) {
    st_password_share(shares[i][0]);
    assert_int_equal(semaphore->waiting_max, shares[i][1]);
  }
  st_password_share(8);
  for (size_t i = 0; i < limit; i++) assert_true(st_semaphore_enter(semaphore, ST_WAIT_FOR_EVER));
  start_all(threads, COUNT(threads), verify_one);
  for (size_t waiting = 0, most; waiting < COUNT(threads);
       st_semaphore_look(semaphore, &waiting, &most)) {
    usleep(100);
  }
  assert_int_equal(st_password_verify(SMALL, ST_TEXT("x"), ST_WAIT_FOR_EVER), ST_PASSWORD_BUSY);
  for (size_t i = 0; i < limit; i++) st_semaphore_leave(semaphore);
  join_all(threads, COUNT(threads), 1);
  st_password_share(512);
}

/* Without memory nothing is decided, and nothing is left behind. */
static void without_memory_nothing_is_decided(void **state) {
  (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip(); /* they need address space of their own */
#else
  struct rlimit before, none;
  char phc[ST_PHC_MAX + 1];
  assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
  none = (struct rlimit){1 << 20, before.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
  st_password_status verified =
      st_password_verify(HORSE, ST_TEXT("correct horse"), ST_WAIT_FOR_EVER);
  st_password_status made = st_password_hash(ST_TEXT("correct horse"), ST_WAIT_FOR_EVER, phc);
  assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
  assert_int_equal(verified, ST_PASSWORD_FAILED);
  assert_int_equal(made, ST_PASSWORD_FAILED);
  assert_string_equal(phc, "");
  assert_int_equal(verify(HORSE, "correct horse"), ST_PASSWORD_OK);
#endif
}

/* libargon2, which a test may have fail, or compute something else. */
static int argon2_fails, argon2_lies;

int argon2id_ctx(argon2_context *context) {
  int (*real)(argon2_context *);
  *(void **)&real = dlsym(RTLD_NEXT, "argon2id_ctx");
  int code = argon2_fails ? ARGON2_MEMORY_ALLOCATION_ERROR : real(context);
  if (argon2_lies) context->out[0] ^= 1;
  return code;
}

/* A library that computes anything else would lock everybody out. */
static void a_library_that_is_wrong_is_not_used(void **state) {
  (void)state;
  cpu_set_t all, one;
  argon2_fails = 1;
  assert_false(st_password_start());
  assert_int_equal(st_password_verify(SMALL, ST_TEXT("x"), ST_WAIT_FOR_EVER), ST_PASSWORD_FAILED);
  argon2_fails = 0, argon2_lies = 1;
  assert_false(st_password_start());
  argon2_lies = 0;
  /* With one processor, too. */
  assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
  CPU_ZERO(&one);
  for (size_t i = 0; CPU_COUNT(&one) == 0; i++) {
    if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
  }
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  assert_true(st_password_start());
  assert_int_equal(verify(SMALL, "x"), ST_PASSWORD_OK);
  assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
  assert_true(st_password_start());
}

static int start_up(void **state) {
  (void)state;
  return st_password_start() ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_answers_are_verified),
      cmocka_unit_test(each_part_of_a_stored_password_counts),
      cmocka_unit_test(damaged_texts_verify_nothing),
      cmocka_unit_test(a_text_that_is_too_long_is_not_read),
      cmocka_unit_test(a_hash_is_made_with_a_new_salt),
      cmocka_unit_test(a_password_has_1_to_1024_bytes),
      cmocka_unit_test(an_empty_password_is_never_right),
      cmocka_unit_test(an_unknown_user_costs_the_same),
      cmocka_unit_test(outdated_parameters_are_known),
      cmocka_unit_test(each_normalization_form_is_the_same),
      cmocka_unit_test(passwords_of_earlier_versions_verify),
      cmocka_unit_test(imported_hashes_are_wrapped),
      cmocka_unit_test(salts_have_a_limit),
      cmocka_unit_test(half_of_the_processors_compute),
      cmocka_unit_test(who_comes_after_64_is_busy),
      cmocka_unit_test(few_threads_let_few_wait),
      cmocka_unit_test(without_memory_nothing_is_decided),
      cmocka_unit_test(a_library_that_is_wrong_is_not_used),
  };
  return cmocka_run_group_tests_name("password", tests, start_up, NULL);
}
