#include "support.h"

static void to_hex(const uint8_t *bytes, size_t len, char *out) {
  for (size_t i = 0; i < len; i++) sprintf(out + 2 * i, "%02x", bytes[i]);
}

/* FIPS 180-4 examples, and the lengths around a block's end. */
static void sha256_known(void **state) {
  (void)state;
  static const struct {
    const char *text;
    const char *hash;
  } rows[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_text text = exact_string(rows[i].text);
    uint8_t hash[ST_HASH_LEN];
    char hex[65];
    assert_true(st_sha256(text.data, text.len, hash));
    to_hex(hash, sizeof hash, hex);
    assert_string_equal(hex, rows[i].hash);
    release(text);
  }
}

/* RFC 4231 sections 4.2 to 4.8. */
static void rfc4231(void **state) {
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
    assert_true(st_hmac_key(&secret, key.data, key.len));
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
static void key_lengths(void **state) {
  (void)state;
  char key[66];
  memset(key, 'k', sizeof key);
  uint8_t a[ST_HASH_LEN], b[ST_HASH_LEN], hash[ST_HASH_LEN];
  subtoken_secret x, y;
  assert_true(st_hmac_key(&x, key, 65) && st_sha256(key, 65, hash));
  assert_true(st_hmac_key(&y, hash, sizeof hash));
  st_hmac(&x, "m", 1, a);
  st_hmac(&y, "m", 1, b);
  assert_memory_equal(a, b, sizeof a);
  assert_true(st_hmac_key(&x, key, 64) && st_sha256(key, 64, hash));
  assert_true(st_hmac_key(&y, hash, sizeof hash));
  st_hmac(&x, "m", 1, a);
  st_hmac(&y, "m", 1, b);
  assert_memory_not_equal(a, b, sizeof a);
  assert_true(st_hmac_key(&x, NULL, 0));
  st_hmac(&x, "", 0, a);
  char hex[65];
  to_hex(a, sizeof a, hex);
  assert_string_equal(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sha256_known),
      cmocka_unit_test(rfc4231),
      cmocka_unit_test(key_lengths),
  };
  return cmocka_run_group_tests_name("hmac", tests, NULL, NULL);
}
