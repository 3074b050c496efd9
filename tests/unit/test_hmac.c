#include "support.h"

#include "base/vector.h"

static void to_hex(const uint8_t *bytes, size_t len, char *out) {
  for (size_t i = 0; i < len; i++) sprintf(out + 2 * i, "%02x", bytes[i]);
}

/* In pieces of every length around a block's end. */
static void sha256_of_pieces_is_that_of_the_whole(void **state) {
  (void)state;
  uint8_t data[200], whole[ST_HASH_LEN], hash[ST_HASH_LEN];
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7);
  for (uint8_t cpu = 0; cpu < 2; cpu++) {
    uint8_t on = cpu == 0 ? 0 : st_cpu_features();
    for (size_t a = 0; a <= 130; a++) {
      for (size_t b = a; b <= sizeof data; b += 23) {
        const subtoken_text pieces[] = {
            {(char *)data, a}, {(char *)data + a, b - a}, {(char *)data + b, sizeof data - b}};
        st_sha256_on(on, data, sizeof data, whole);
        st_sha256_pieces(on, pieces, 3, hash);
        assert_memory_equal(hash, whole, sizeof whole);
      }
    }
  }
  st_sha256_on(0, data, 0, whole);
  st_sha256_pieces(0, NULL, 0, hash);
  assert_memory_equal(hash, whole, sizeof whole);
}

/* FIPS 180-4 examples, and the lengths around a block's end. */
static void known_answers_of_sha256_hold(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *hash;
  } rows[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      /* Where a block still has room for the length, and where it has none. */
      {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
       "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"}, /* 55 bytes */
      {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
       "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"}, /* 56 bytes */
      {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
       "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34"}, /* 63 bytes */
      {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
       "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"}, /* 64 bytes */
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text);
    uint8_t hash[ST_HASH_LEN];
    char hex[65];
    st_sha256(text.data, text.len, hash);
    to_hex(hash, sizeof hash, hex);
    assert_string_equal(hex, rows[i].hash);
    release(text);
  }
  uint8_t hash[ST_HASH_LEN];
  char hex[65];
  st_sha256(NULL, 0, hash);
  to_hex(hash, sizeof hash, hex);
  assert_string_equal(hex, rows[0].hash);
}

/* RFC 4231 sections 4.2 to 4.8. */
/* With each set of instructions that this processor has. */
static void sha256_on_any_processor_is_the_same(void **state) {
  (void)state;
  uint8_t data[300], want[ST_HASH_LEN], hash[ST_HASH_LEN];
  uint8_t cpus[] = {0, st_cpu_features()};
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7 + 1);
  for (size_t len = 0; len <= sizeof data; len++) {
    st_sha256(data, len, want);
    for (size_t i = 0; i < sizeof cpus; i++) {
      st_sha256_on(cpus[i], data, len, hash);
      CHECK(memcmp(hash, want, sizeof want) == 0, "%zu bytes, cpu %d", len, cpus[i]);
    }
  }
}

static void the_vectors_of_rfc_4231_hold(void **state) {
  (void)state;
  static const struct {
    const char *key;
    size_t key_len; /* 0: the string's own; else its one character so many times */
    const char *data;
    size_t data_len;
    const char *mac;
  } rows[] = {
      {"\x0b", 20, "Hi There", 0,
       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {"Jefe", 0, "what do ya want for nothing?", 0,
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {"\xaa", 20, "\xdd", 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16"
       "\x17\x18\x19",
       0, "\xcd", 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
      {"\x0c", 20, "Test With Truncation", 0, "a3b6167473100ee06e0c796c2955552b"},
      {"\xaa", 131, "Test Using Larger Than Block-Size Key - Hash Key First", 0,
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
      {"\xaa", 131,
       "This is a test using a larger than block-size key and a larger than block-size data. The "
       "key needs to be hashed before being used by the HMAC algorithm.",
       0, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text key = rows[i].key_len > 0 ? repeated("", rows[i].key[0], rows[i].key_len)
                                            : exact_string(rows[i].key);
    subtoken_text data = rows[i].data_len > 0 ? repeated("", rows[i].data[0], rows[i].data_len)
                                              : exact_string(rows[i].data);
    subtoken_secret secret;
    memset(&secret, 0, sizeof secret);
    st_hmac_key(&secret, key.data, key.len);
    /* The keyed states are kept: the second time gives the same. */
    for (int twice = 0; twice < 2; twice++) {
      uint8_t mac[ST_HASH_LEN];
      char hex[65];
      st_hmac(&secret, data.data, data.len, mac);
      to_hex(mac, sizeof mac, hex);
      CHECK(strncmp(hex, rows[i].mac, strlen(rows[i].mac)) == 0, "row %zu: %s", i, hex);
    }
    release(key);
    release(data);
  }
}

/* A key is padded with zeros to a block and hashed only when it is longer. */
static void keys_of_any_length_are_padded_or_hashed(void **state) {
  (void)state;
  char key[66];
  memset(key, 'k', sizeof key);
  uint8_t a[ST_HASH_LEN], b[ST_HASH_LEN], hash[ST_HASH_LEN];
  subtoken_secret x, y;
  st_hmac_key(&x, key, 65);
  st_sha256(key, 65, hash);
  st_hmac_key(&y, hash, sizeof hash);
  st_hmac(&x, "m", 1, a);
  st_hmac(&y, "m", 1, b);
  assert_memory_equal(a, b, sizeof a);
  st_hmac_key(&x, key, 64);
  st_sha256(key, 64, hash);
  st_hmac_key(&y, hash, sizeof hash);
  st_hmac(&x, "m", 1, a);
  st_hmac(&y, "m", 1, b);
  assert_memory_not_equal(a, b, sizeof a);
  st_hmac_key(&x, NULL, 0);
  st_hmac(&x, "", 0, a);
  char hex[65];
  to_hex(a, sizeof a, hex);
  assert_string_equal(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
  st_hmac_key(&x, "k", 1);
  st_hmac(&x, "m", 1, a);
  to_hex(a, sizeof a, hex);
  assert_string_equal(hex, "b60090e3052297aeb5a080889ce2fc4bca957e756faeb4df7d31800ca1e771ec");
}

/* ---- mac.h ---- */

/* RFC 2104 section 2 over mbedTLS's own hash of the whole, which counts and pads by
 * itself: each length of data, so each place in a block where it can end. */
static void a_mac_is_as_rfc_2104_defines_it(void **state) {
  (void)state;
  uint64_t seed = 3;
  uint8_t key[64], inner[64 + 300], outer[64 + ST_HASH_LEN], want[ST_HASH_LEN], got[ST_HASH_LEN];
  for (size_t len = 0; len <= 300; len++) {
    size_t key_len = 32 + len % 33;
    memset(key, 0, sizeof key);
    for (size_t i = 0; i < key_len; i++) key[i] = (uint8_t)random_next(&seed);
    for (size_t i = 0; i < 64; i++) {
      inner[i] = key[i] ^ 0x36;
      outer[i] = key[i] ^ 0x5C;
    }
    for (size_t i = 0; i < len; i++) inner[64 + i] = (uint8_t)random_next(&seed);
    st_sha256(inner, 64 + len, outer + 64);
    st_sha256(outer, sizeof outer, want);
    subtoken_secret secret;
    assert_int_equal(subtoken_secret_set(&secret, ST_TEXT(""), key, key_len), SUBTOKEN_OK);
    subtoken_text data = exact(inner + 64, len);
    assert_int_equal(subtoken_mac_compute(&secret, data.data, len, got), SUBTOKEN_OK);
    CHECK(memcmp(want, got, sizeof got) == 0, "%zu bytes", len);
    assert_int_equal(subtoken_mac_check(&secret, data.data, len, want), SUBTOKEN_OK);
    release(data);
  }
}

/* Past 512 MiB the count of bits needs its upper word: as if that much had been hashed. */
static void a_mac_of_gigabytes_is_right(void **state) {
  (void)state;
  static const uint64_t counts[] = {UINT64_C(1) << 29, (UINT64_C(1) << 30) + 64,
                                    (UINT64_C(5) << 32) + 128};
  subtoken_secret secret;
  assert_int_equal(subtoken_secret_set(&secret, ST_TEXT(""), TEST_SECRET, 32), SUBTOKEN_OK);
  for (size_t i = 0; i < COUNT(counts); i++) {
    uint8_t block[64] = {0x80}, got[ST_HASH_LEN], want[ST_HASH_LEN];
    uint32_t hash[8];
    uint64_t bits = (counts[i] + 64) * 8;
    subtoken_mac mac;
    assert_int_equal(subtoken_mac_start(&mac, &secret), SUBTOKEN_OK);
    mac.len = counts[i];
    subtoken_mac_finish(&mac, got);
    for (size_t j = 0; j < 8; j++) block[63 - j] = (uint8_t)(bits >> 8 * j);
    memcpy(hash, secret.inner, sizeof hash);
    st_hmac_blocks(0, hash, block, 1);
    /* The outer hash is what a fresh MAC's is; only what goes into it is compared. */
    uint8_t last[64] = {0};
    for (size_t j = 0; j < 32; j++) last[j] = (uint8_t)(hash[j / 4] >> (24 - 8 * (j % 4)));
    last[32] = 0x80;
    last[62] = 0x03; /* 96 bytes are 0x300 bits */
    memcpy(hash, secret.outer, sizeof hash);
    st_hmac_blocks(0, hash, last, 1);
    for (size_t j = 0; j < 32; j++) want[j] = (uint8_t)(hash[j / 4] >> (24 - 8 * (j % 4)));
    CHECK(memcmp(want, got, sizeof got) == 0, "row %zu", i);
  }
}

/* That a processor whose instructions hash wrongly falls back to plain C (st_hmac_key)
 * cannot be shown here: there is none at hand. test_vector.c holds that both hash alike. */

static void a_mac_in_two_pieces_is_the_same(void **state) {
  (void)state;
  subtoken_secret secret, plain;
  uint8_t bytes[200], want[SUBTOKEN_MAC_LEN], got[SUBTOKEN_MAC_LEN];
  static const subtoken_mac zero;
  uint64_t seed = 1;
  assert_int_equal(subtoken_secret_set(&secret, ST_TEXT(""), TEST_SECRET, 32), SUBTOKEN_OK);
  plain = secret;
  plain.cpu = 0;
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)random_next(&seed);
  for (size_t len = 0; len <= sizeof bytes; len++) {
    subtoken_text data = exact(bytes, len);
    assert_int_equal(subtoken_mac_compute(&plain, data.data, len, want), SUBTOKEN_OK);
    for (size_t cut = 0; cut <= len; cut++) {
      subtoken_text front = exact(bytes, cut), back = exact(bytes + cut, len - cut);
      subtoken_mac mac;
      memset(&mac, 0x55, sizeof mac);
      assert_int_equal(subtoken_mac_start(&mac, cut % 2 == 0 ? &secret : &plain), SUBTOKEN_OK);
      subtoken_mac_update(&mac, front.data, cut);
      subtoken_mac_update(&mac, NULL, 0);
      subtoken_mac_update(&mac, back.data, len - cut);
      subtoken_mac_finish(&mac, got);
      CHECK(memcmp(want, got, sizeof got) == 0, "%zu bytes cut at %zu", len, cut);
      CHECK(memcmp(&mac, &zero, sizeof mac) == 0, "%zu bytes cut at %zu: not wiped", len, cut);
      release(front);
      release(back);
    }
    release(data);
  }
}

/* Three pieces of each length around a block, and byte by byte. */
static void a_mac_in_many_pieces_is_the_same(void **state) {
  (void)state;
  static uint8_t bytes[3 * 131];
  subtoken_secret secret;
  uint8_t want[SUBTOKEN_MAC_LEN], got[SUBTOKEN_MAC_LEN];
  subtoken_mac mac;
  uint64_t seed = 2;
  assert_int_equal(subtoken_secret_set(&secret, ST_TEXT(""), TEST_SECRET, 32), SUBTOKEN_OK);
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)random_next(&seed);
  for (size_t a = 0; a <= 131; a += a < 60 ? 7 : 1) {
    for (size_t b = 0; b <= 131; b += b < 60 ? 9 : 1) {
      for (size_t c = 0; c <= 131; c += 13) {
        st_hmac(&secret, bytes, a + b + c, want);
        assert_int_equal(subtoken_mac_start(&mac, &secret), SUBTOKEN_OK);
        subtoken_mac_update(&mac, bytes, a);
        subtoken_mac_update(&mac, bytes + a, b);
        subtoken_mac_update(&mac, bytes + a + b, c);
        subtoken_mac_finish(&mac, got);
        CHECK(memcmp(want, got, sizeof got) == 0, "%zu, %zu, %zu", a, b, c);
      }
    }
  }
  st_hmac(&secret, bytes, sizeof bytes, want);
  assert_int_equal(subtoken_mac_start(&mac, &secret), SUBTOKEN_OK);
  for (size_t i = 0; i < sizeof bytes; i++) subtoken_mac_update(&mac, bytes + i, 1);
  subtoken_mac_finish(&mac, got);
  assert_memory_equal(want, got, sizeof got);
}

static void each_bit_changes_the_mac(void **state) {
  (void)state;
  subtoken_secret secret, other;
  uint8_t mac[SUBTOKEN_MAC_LEN];
  char data[] = "the data that it is over";
  size_t len = sizeof data - 1;
  assert_int_equal(subtoken_secret_set(&secret, ST_TEXT("k"), TEST_SECRET, 32), SUBTOKEN_OK);
  assert_int_equal(subtoken_secret_set(&other, ST_TEXT("k"), OTHER_SECRET, 32), SUBTOKEN_OK);
  assert_int_equal(subtoken_mac_compute(&secret, data, len, mac), SUBTOKEN_OK);
  assert_int_equal(subtoken_mac_check(&secret, data, len, mac), SUBTOKEN_OK);
  assert_int_equal(subtoken_mac_check(&other, data, len, mac), SUBTOKEN_MAC);
  assert_int_equal(subtoken_mac_check(&secret, data, len - 1, mac), SUBTOKEN_MAC);
  assert_int_equal(subtoken_mac_check(&secret, NULL, 0, mac), SUBTOKEN_MAC);
  for (size_t bit = 0; bit < 8 * sizeof mac; bit++) {
    mac[bit / 8] ^= (uint8_t)(1U << bit % 8);
    CHECK(subtoken_mac_check(&secret, data, len, mac) == SUBTOKEN_MAC, "bit %zu", bit);
    mac[bit / 8] ^= (uint8_t)(1U << bit % 8);
  }
  for (size_t bit = 0; bit < 8 * len; bit++) {
    data[bit / 8] ^= (char)(1U << bit % 8);
    CHECK(subtoken_mac_check(&secret, data, len, mac) == SUBTOKEN_MAC, "bit %zu of the data", bit);
    data[bit / 8] ^= (char)(1U << bit % 8);
  }
  assert_int_equal(subtoken_mac_check(&secret, data, len, mac), SUBTOKEN_OK);
}

static void absent_arguments_are_invalid(void **state) {
  (void)state;
  static const uint8_t zero[SUBTOKEN_MAC_LEN];
  static const subtoken_secret no_secret;
  subtoken_secret secret;
  uint8_t mac[SUBTOKEN_MAC_LEN], with_null[SUBTOKEN_MAC_LEN];
  assert_int_equal(subtoken_secret_set(&secret, ST_TEXT(""), TEST_SECRET, 32), SUBTOKEN_OK);
  memset(mac, 'x', sizeof mac);
  assert_int_equal(subtoken_mac_compute(NULL, "a", 1, mac), SUBTOKEN_INVALID_ARGUMENT);
  assert_memory_equal(mac, zero, sizeof mac);
  memset(mac, 'x', sizeof mac);
  assert_int_equal(subtoken_mac_compute(&secret, NULL, 1, mac), SUBTOKEN_INVALID_ARGUMENT);
  assert_memory_equal(mac, zero, sizeof mac);
  assert_int_equal(subtoken_mac_compute(&secret, "a", 1, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_mac_compute(NULL, NULL, 0, NULL), SUBTOKEN_INVALID_ARGUMENT);
  /* Nothing is data too. */
  assert_int_equal(subtoken_mac_compute(&secret, NULL, 0, with_null), SUBTOKEN_OK);
  assert_int_equal(subtoken_mac_compute(&secret, "", 0, mac), SUBTOKEN_OK);
  assert_memory_equal(mac, with_null, sizeof mac);
  assert_int_equal(subtoken_mac_check(NULL, "a", 1, mac), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_mac_check(&secret, NULL, 1, mac), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_mac_check(&secret, "a", 1, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_mac_check(&secret, NULL, 0, mac), SUBTOKEN_OK);

  memset(&secret, 'x', sizeof secret);
  assert_int_equal(subtoken_secret_set(&secret, ST_TEXT(""), NULL, 32), SUBTOKEN_INVALID_ARGUMENT);
  assert_memory_equal(&secret, &no_secret, sizeof secret);
  memset(&secret, 'x', sizeof secret);
  assert_int_equal(subtoken_secret_set(&secret, (subtoken_text){NULL, 1}, TEST_SECRET, 32),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_memory_equal(&secret, &no_secret, sizeof secret);
  assert_int_equal(subtoken_secret_set(NULL, ST_TEXT(""), TEST_SECRET, 32),
                   SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_secret_set(&secret, (subtoken_text){NULL, 0}, TEST_SECRET, 32),
                   SUBTOKEN_OK);
  assert_int_equal(secret.kid_len, 0);
}

/* A secret that is refused leaves nothing behind. */
/* All zero, it would be a key that everybody knows. */
static void a_secret_that_was_not_set_is_refused(void **state) {
  (void)state;
  static const subtoken_secret zero;
  subtoken_secret wiped;
  subtoken_mac mac;
  uint8_t out[SUBTOKEN_MAC_LEN];
  assert_int_equal(subtoken_secret_set(&wiped, ST_TEXT("k"), TEST_SECRET, 32), SUBTOKEN_OK);
  assert_int_equal(subtoken_mac_compute(&wiped, "x", 1, out), SUBTOKEN_OK);
  assert_int_equal(subtoken_mac_check(&wiped, "x", 1, out), SUBTOKEN_OK);
  subtoken_wipe(&wiped, sizeof wiped);
  st_hmac(&zero, "x", 1, out); /* what anybody can compute */
  const subtoken_secret *rows[] = {&zero, &wiped};
  for (size_t i = 0; i < COUNT(rows); i++) {
    assert_int_equal(subtoken_mac_check(rows[i], "x", 1, out), SUBTOKEN_NO_SECRET);
    uint8_t other[SUBTOKEN_MAC_LEN] = {1};
    assert_int_equal(subtoken_mac_compute(rows[i], "x", 1, other), SUBTOKEN_NO_SECRET);
    assert_int_equal(other[0], 0);
    memset(&mac, 'x', sizeof mac);
    assert_int_equal(subtoken_mac_start(&mac, rows[i]), SUBTOKEN_NO_SECRET);
    static const subtoken_mac no_mac;
    assert_memory_equal(&mac, &no_mac, sizeof mac);
  }
  assert_int_equal(subtoken_mac_start(&mac, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_mac_start(NULL, &zero), SUBTOKEN_INVALID_ARGUMENT);
}

static void a_secret_has_32_to_64_bytes(void **state) {
  (void)state;
  static const subtoken_secret no_secret;
  static const struct {
    const char *kid, *bytes;
    size_t len;
    subtoken_result want;
  } rows[] = {
      {"", TEST_SECRET, 32, SUBTOKEN_OK},
      {"k-1_Z", TEST_SECRET, 32, SUBTOKEN_OK},
      {"", TEST_SECRET, 31, SUBTOKEN_BAD_SECRET},
      {"", TEST_SECRET, 0, SUBTOKEN_BAD_SECRET},
      {"", TEST_SECRET TEST_SECRET, 65, SUBTOKEN_BAD_SECRET},
      {"", TEST_SECRET TEST_SECRET, 64, SUBTOKEN_BAD_SECRET}, /* one piece twice */
      {"", TEST_SECRET OTHER_SECRET, 64, SUBTOKEN_OK},
      {"", "00000000000000000000000000000000", 32, SUBTOKEN_BAD_SECRET},
      {"", "a-string-secret-at-least-256-bits-long", 38, SUBTOKEN_BAD_SECRET},
      {"a.b", TEST_SECRET, 32, SUBTOKEN_OK}, /* derived for b */
      {"a.b", TEST_SECRET OTHER_SECRET, 64, SUBTOKEN_BAD_SECRET},
      {"a.b.c", TEST_SECRET, 32, SUBTOKEN_BAD_KID},
      {"a b", TEST_SECRET, 32, SUBTOKEN_BAD_KID},
      {"a.b", TEST_SECRET, 31, SUBTOKEN_BAD_SECRET},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text kid = exact_string(rows[i].kid);
    subtoken_text bytes = exact(
        rows[i].bytes, strlen(rows[i].bytes) < rows[i].len ? strlen(rows[i].bytes) : rows[i].len);
    subtoken_secret secret;
    memset(&secret, 'x', sizeof secret);
    subtoken_result got = subtoken_secret_set(&secret, kid, bytes.data, rows[i].len);
    CHECK(got == rows[i].want, "row %zu: %s", i, subtoken_result_name(got));
    if (got != SUBTOKEN_OK) {
      CHECK(memcmp(&secret, &no_secret, sizeof secret) == 0, "row %zu", i);
    } else {
      CHECK(st_text_equal(kid, (subtoken_text){secret.kid, secret.kid_len}), "row %zu", i);
    }
    release(kid);
    release(bytes);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sha256_on_any_processor_is_the_same),
      cmocka_unit_test(sha256_of_pieces_is_that_of_the_whole),
      cmocka_unit_test(known_answers_of_sha256_hold),
      cmocka_unit_test(the_vectors_of_rfc_4231_hold),
      cmocka_unit_test(keys_of_any_length_are_padded_or_hashed),
      cmocka_unit_test(a_mac_is_as_rfc_2104_defines_it),
      cmocka_unit_test(a_mac_of_gigabytes_is_right),
      cmocka_unit_test(a_mac_in_two_pieces_is_the_same),
      cmocka_unit_test(a_mac_in_many_pieces_is_the_same),
      cmocka_unit_test(each_bit_changes_the_mac),
      cmocka_unit_test(absent_arguments_are_invalid),
      cmocka_unit_test(a_secret_that_was_not_set_is_refused),
      cmocka_unit_test(a_secret_has_32_to_64_bytes),
  };
  return cmocka_run_group_tests_name("hmac", tests, NULL, NULL);
}
