/* What base/x86.c or arm.c does faster is held against the plain versions here, with blocks of
 * their exact size on the heap. What the processor lacks is skipped, and said.
 */
#include "support.h"

#include <ctype.h>

#include "base/vector.h"

#define SSE_CPU ST_CPU_VECTOR
#define SHA_CPU (ST_CPU_VECTOR | ST_CPU_SHA)

static uint8_t this_cpu; /* asked once: under a hypervisor that takes its time */

static bool have(uint8_t cpu, const char *name) {
  if ((this_cpu & cpu) == cpu) return true;
  print_message("this processor has no %s\n", name);
  return false;
}

static void fill_random(uint64_t *seed, void *out, size_t len) {
  uint8_t *bytes = out;
  for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)random_next(seed);
}

/* ---- SHA-256 ---- */

static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* FIPS 180-4 section 5.1.1 over blocks, so that nothing but blocks is under test. */
static void hash_by(uint8_t cpu, const uint8_t *data, size_t len, char hex[65]) {
  size_t blocks = (len + 9 + 63) / 64;
  uint8_t *padded = calloc(blocks, 64);
  uint32_t state[8];
  if (padded == NULL) abort();
  if (len > 0) memcpy(padded, data, len);
  padded[len] = 0x80;
  for (size_t i = 0; i < 8; i++)
    padded[blocks * 64 - 1 - i] = (uint8_t)((uint64_t)len * 8 >> 8 * i);
  memcpy(state, initial, sizeof state);
  st_hmac_blocks(cpu, state, padded, blocks);
  for (size_t i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08x", state[i]);
  free(padded);
}

/* The examples of FIPS 180-4, NIST's among them the million times `a`. */
static void known_hashes(uint8_t cpu) {
  static const struct {
    const char *text;
    size_t times;
    const char *hash;
  } rows[] = {
      {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmn"
       "opqrsmnopqrstnopqrstu",
       1, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
      {"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    size_t len = strlen(rows[i].text);
    uint8_t *data = malloc(len * rows[i].times + 1);
    char hex[65];
    if (data == NULL) abort();
    for (size_t j = 0; j < rows[i].times; j++) memcpy(data + len * j, rows[i].text, len);
    hash_by(cpu, data, len * rows[i].times, hex);
    CHECK(strcmp(hex, rows[i].hash) == 0, "cpu %u, row %zu: %s", cpu, i, hex);
    free(data);
  }
}

/* RFC 4231 section 4.2 to 4.7, by the instructions that are asked for. */
static void known_macs(uint8_t cpu) {
  static const struct {
    const char *key;
    size_t key_times;
    const char *data;
    size_t data_times;
    const char *mac;
  } rows[] = {
      {"\x0b", 20, "Hi There", 1,
       "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {"Jefe", 1, "what do ya want for nothing?", 1,
       "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {"\xaa", 20, "\xdd", 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {"\xaa", 131, "Test Using Larger Than Block-Size Key - Hash Key First", 1,
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
      {"\xaa", 131,
       "This is a test using a larger than block-size key and a larger than block-size data. The "
       "key needs to be hashed before being used by the HMAC algorithm.",
       1, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    char key[200], data[200], hex[65];
    size_t key_len = strlen(rows[i].key), len = strlen(rows[i].data);
    for (size_t j = 0; j < rows[i].key_times; j++) memcpy(key + key_len * j, rows[i].key, key_len);
    for (size_t j = 0; j < rows[i].data_times; j++) memcpy(data + len * j, rows[i].data, len);
    subtoken_secret secret;
    uint8_t mac[ST_HASH_LEN];
    st_hmac_key(&secret, key, key_len * rows[i].key_times);
    secret.cpu = cpu;
    st_hmac(&secret, data, len * rows[i].data_times, mac);
    for (size_t j = 0; j < sizeof mac; j++) snprintf(hex + 2 * j, 3, "%02x", mac[j]);
    CHECK(strcmp(hex, rows[i].mac) == 0, "cpu %u, row %zu: %s", cpu, i, hex);
  }
}

/* 0 to 40 blocks at each place of a register, from a state that is not the first. */
static void same_blocks(uint8_t cpu) {
  uint64_t seed = 4;
  for (size_t at = 0; at < 16; at++) {
    for (size_t blocks = 0; blocks <= 40; blocks++) {
      uint8_t *data = malloc(at + 64 * blocks + 1);
      uint32_t plain[8], fast[8];
      if (data == NULL) abort();
      fill_random(&seed, data, at + 64 * blocks);
      data = realloc(data, at + 64 * blocks > 0 ? at + 64 * blocks : 1);
      if (data == NULL) abort();
      fill_random(&seed, plain, sizeof plain);
      memcpy(fast, plain, sizeof fast);
      st_hmac_blocks(0, plain, data + at, blocks);
      st_hmac_blocks(cpu, fast, data + at, blocks);
      CHECK(memcmp(plain, fast, sizeof plain) == 0, "cpu %u: %zu blocks at %zu", cpu, blocks, at);
      free(data);
    }
  }
}

static void known_hashes_hold_in_plain_c(void **state) {
  (void)state;
  known_hashes(0);
  known_macs(0);
  /* Without the bit, no instruction is used, whatever else there is. */
  same_blocks(ST_CPU_VECTOR);
  same_blocks(ST_CPU_VECTOR | ST_CPU_AVX);
}

static void sha_instructions_agree_with_c(void **state) {
  (void)state;
  if (!have(SHA_CPU, "SHA instructions")) skip();
  known_hashes(SHA_CPU);
  known_macs(SHA_CPU);
  same_blocks(SHA_CPU);
}

static void known_hashes_hold_with_avx(void **state) {
  (void)state;
  const uint8_t cpu = SHA_CPU | ST_CPU_AVX;
  if (!have(cpu, "SHA instructions with AVX registers")) skip();
  known_hashes(cpu);
  known_macs(cpu);
  same_blocks(cpu);
}

/* That a processor which hashes otherwise falls back to plain C cannot be shown on one
 * that hashes well; but what was found is what is used, and it makes no difference. */
static void a_key_names_the_instructions_that_it_uses(void **state) {
  (void)state;
  subtoken_secret secret;
  uint8_t fast[ST_HASH_LEN], plain[ST_HASH_LEN];
  uint64_t seed = 5;
  st_hmac_key(&secret, TEST_SECRET, 32);
  assert_int_equal(secret.cpu, st_cpu_features());
  for (size_t len = 0; len <= 300; len++) {
    uint8_t bytes[300];
    fill_random(&seed, bytes, len);
    subtoken_text data = exact(bytes, len);
    secret.cpu = this_cpu;
    st_hmac(&secret, data.data, len, fast);
    secret.cpu = 0;
    st_hmac(&secret, data.data, len, plain);
    CHECK(memcmp(fast, plain, sizeof fast) == 0, "%zu bytes", len);
    release(data);
  }
}

#if defined(__x86_64__)
#define UPPER_HALF_AROUND(call, upper)                                          \
  do {                                                                          \
    __asm__ __volatile__("vcmptrueps %%ymm15, %%ymm15, %%ymm15" : : : "xmm15"); \
    call;                                                                       \
    __asm__ __volatile__(                                                       \
        "vextractf128 $1, %%ymm15, %%xmm15\n\tvmovdqu %%xmm15, %0\n\t"          \
        "vzeroupper"                                                            \
        : "=m"(upper)                                                           \
        :                                                                       \
        : "xmm15");                                                             \
  } while (0)

/* Values that somebody left in the upper halves of the registers: gone where the bit says
 * that there are such halves, let alone where it does not. */
static void upper_halves_of_registers_are_cleaned(void **state) {
  (void)state;
  if (!have(ST_CPU_AVX, "AVX registers")) skip();
  uint64_t upper[2];
  UPPER_HALF_AROUND(st_vector_clean(0), upper);
  assert_true(upper[0] == UINT64_MAX && upper[1] == UINT64_MAX);
  UPPER_HALF_AROUND(st_vector_clean(ST_CPU_AVX), upper);
  assert_true(upper[0] == 0 && upper[1] == 0);
  if (!have(SHA_CPU, "SHA instructions")) return;
  uint32_t hash[8] = {0};
  uint8_t block[64] = {0};
  UPPER_HALF_AROUND(st_vector_sha256(this_cpu, hash, block, 1), upper);
  assert_true(upper[0] == 0 && upper[1] == 0);
}
#else
static void upper_halves_of_registers_are_cleaned(void **state) {
  (void)state;
  skip();
}
#endif

/* ---- base64url ---- */

/* Both ways of decoding: the same answer, and when it is yes the same bytes. */
static bool decodes_alike(const char *text, size_t len) {
  subtoken_text in = exact(text, len);
  size_t room = ST_BASE64URL_BYTES(len), plain_len = 99999, fast_len = 99999;
  uint8_t *plain = malloc(room), *fast = malloc(room);
  if (room > 0 && (plain == NULL || fast == NULL)) abort();
  bool good = st_base64url_decode(in, plain, room, &plain_len);
  CHECK(st_base64url_decode_by(SSE_CPU, in, fast, room, &fast_len) == good, "%.*s", (int)len, text);
  CHECK(fast_len == plain_len, "%.*s", (int)len, text);
  CHECK(!good || len == 0 || memcmp(plain, fast, plain_len) == 0, "%.*s", (int)len, text);
  CHECK(st_base64url_valid(in) == good, "%.*s", (int)len, text);
  if (room > 0) {
    CHECK(!st_base64url_decode_by(SSE_CPU, in, fast, room - 1, &fast_len), "%zu", len);
  }
  /* The instructions alone: all whole groups or nothing. */
  size_t whole = len / 4 * 4, done = st_vector_base64url_decode(in.data, len, fast);
  CHECK(done == 0 || (done == whole && done >= 16), "%zu of %zu", done, len);
  if (good && len >= 16) {
    CHECK(done == whole && memcmp(plain, fast, whole / 4 * 3) == 0, "%zu of %zu", done, len);
  }
  free(plain);
  free(fast);
  release(in);
  return good;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void decoding_agrees_with_c(void **state) {
  (void)state;
  if (!have(SSE_CPU, "SSE4.1")) skip();
  uint64_t seed = 1;
  char text[200];
  size_t good = 0;
  for (size_t len = 0; len <= sizeof text; len++) {
    for (int round = 0; round < 20; round++) {
      for (size_t i = 0; i < len; i++) text[i] = alphabet[random_below(&seed, 64)];
      /* Half of them with the last bits zero, as one spelling wants. */
      if (len > 0 && round % 2 == 0) text[len - 1] = 'A';
      good += decodes_alike(text, len);
    }
    for (size_t i = 0; i < len; i++) text[i] = (char)random_next(&seed);
    (void)decodes_alike(text, len);
  }
  assert_true(good > 1500);
}

/* Each byte at each place, in texts that end in each of the ways there are. */
static void each_byte_is_decoded_as_in_c(void **state) {
  (void)state;
  if (!have(SSE_CPU, "SSE4.1")) skip();
  char text[67];
  for (size_t len = 62; len <= sizeof text; len++) {
    size_t accepted = 0, last = 0;
    memset(text, 'A', sizeof text);
    for (size_t at = 0; at < len; at++) {
      for (int c = 0; c < 256; c++) {
        text[at] = (char)c;
        bool good = decodes_alike(text, len);
        accepted += good;
        if (at == len - 1) last += good;
        bool in = c != 0 && strchr(alphabet, c) != NULL;
        if (at < len - 1) CHECK(good == (in && len % 4 != 1), "byte %d at %zu of %zu", c, at, len);
      }
      text[at] = at + 1 < len ? alphabet[at % 64] : 'A';
    }
    /* The last character has no stray bits. */
    static const size_t spellings[4] = {64, 0, 4, 16};
    CHECK(last == spellings[len % 4], "%zu of %zu", last, len);
    CHECK(accepted == (len % 4 == 1 ? 0 : (len - 1) * 64 + last), "%zu of %zu", accepted, len);
  }
}

static void encoding_agrees_with_c(void **state) {
  (void)state;
  if (!have(SSE_CPU, "SSE4.1")) skip();
  uint64_t seed = 2;
  uint8_t bytes[200];
  for (size_t len = 0; len <= sizeof bytes; len++) {
    for (int round = 0; round < 20; round++) {
      fill_random(&seed, bytes, len);
      if (round == 0) memset(bytes, 0xFF, len);
      subtoken_text data = exact(bytes, len);
      size_t want = ST_BASE64URL_LEN(len);
      char *plain = malloc(want), *fast = malloc(want);
      if (want > 0 && (plain == NULL || fast == NULL)) abort();
      st_writer one = st_writer_on(plain, want), two = st_writer_on(fast, want);
      st_base64url_write(&one, data.data, len);
      st_base64url_write_by(SSE_CPU, &two, data.data, len);
      CHECK(!one.overflow && !two.overflow && one.len == want && two.len == want, "%zu", len);
      CHECK(want == 0 || memcmp(plain, fast, want) == 0, "%zu bytes", len);
      size_t done = st_vector_base64url_encode((const uint8_t *)data.data, len, fast);
      CHECK(done % 12 == 0 && done <= len && len - done < 16, "%zu of %zu", done, len);
      CHECK(done == 0 || memcmp(plain, fast, done / 3 * 4) == 0, "%zu bytes", len);
      if (want > 0) {
        two = st_writer_on(fast, want - 1);
        st_base64url_write_by(SSE_CPU, &two, data.data, len);
        CHECK(two.overflow && two.len == 0, "%zu bytes", len);
      }
      free(plain);
      free(fast);
      release(data);
    }
  }
}

/* Each six bits at each place of a step. */
static void each_value_is_encoded_as_in_c(void **state) {
  (void)state;
  if (!have(SSE_CPU, "SSE4.1")) skip();
  for (size_t place = 0; place < 16; place++) {
    for (unsigned value = 0; value < 64; value++) {
      uint8_t bytes[16] = {0};
      char out[16], want[16];
      size_t bit = place * 6;
      unsigned shifted = value << (10 - bit % 8);
      bytes[bit / 8] |= (uint8_t)(shifted >> 8);
      bytes[bit / 8 + 1] |= (uint8_t)shifted;
      memset(want, 'A', sizeof want);
      want[place] = alphabet[value];
      assert_int_equal(st_vector_base64url_encode(bytes, sizeof bytes, out), 12);
      CHECK(memcmp(out, want, sizeof out) == 0, "%u at %zu", value, place);
    }
  }
}

/* ---- classes ---- */

static bool one_of(int c, const char *list) {
  return c != 0 && strchr(list, c) != NULL;
}

/* The classes as bytes.h and the RFCs tell them. */
static bool told_in_words(int c, uint8_t kind) {
  bool ascii = c < 0x80, alnum = ascii && isalnum(c), printable = c >= 0x20 && c <= 0x7E;
  /* RFC 3986 section 3.3: unreserved, sub-delims, `:` and `@`. */
  bool segment = alnum || one_of(c, "-._~!$&'()+,=:@");
  switch (kind) {
    case ST_CHAR_STRING: return printable && c != '"' && c != '\\';
    case ST_CHAR_SCOPE: return c > 0x20 && c <= 0x7E && !one_of(c, "\"\\,");
    case ST_CHAR_NAME: return alnum || c == '_' || c == '-';
    case ST_CHAR_SEGMENT: return segment;
    case ST_CHAR_QUERY: return c > 0x20 && c <= 0x7E && c != '#';
    case ST_CHAR_ESCAPED: return printable && !one_of(c, "/\\%?#;");
    case ST_CHAR_PATH: return segment || c == '/';
    default: return false;
  }
}

static uint8_t words[256]; /* the classes of each byte, as they are told */

static int setup(void **state) {
  (void)state;
  this_cpu = st_cpu_features();
  for (int c = 0; c < 256; c++) {
    for (unsigned kind = 1; kind < 256; kind <<= 1) {
      if (told_in_words(c, (uint8_t)kind)) words[c] |= (uint8_t)kind;
    }
  }
  return 0;
}

static bool in_words(char c, uint8_t kind) {
  return (words[(uint8_t)c] & kind) != 0;
}

static void classes_are_as_described_in_words(void **state) {
  (void)state;
  for (int c = 0; c < 256; c++) {
    uint8_t want = words[c];
    CHECK(st_classes[c] == want, "byte %d: %02x, not %02x", c, st_classes[c], want);
    char one = (char)c;
    CHECK(st_text_class((subtoken_text){&one, 1}) == want, "byte %d", c);
  }
  assert_int_equal(st_text_class(ST_TEXT("")), 0xFF);
}

static size_t words_span(const char *text, size_t len, uint8_t kind) {
  size_t i = 0;
  while (i < len && in_words(text[i], kind)) i++;
  return i;
}

/* The plain span, and the fast one, which may stop for the end. */
static void spans_alike(const char *text, size_t len, uint8_t kind) {
  size_t want = words_span(text, len, kind), whole = len / 16 * 16;
  CHECK(st_text_span((subtoken_text){text, len}, kind) == want, "kind %u", kind);
  if ((this_cpu & SSE_CPU) == 0) return;
  size_t got = st_vector_span(text, len, kind);
  CHECK(got == (want < whole ? want : whole), "kind %u: %zu of %zu", kind, got, want);
}

static void spans_agree_with_c(void **state) {
  (void)state;
  if (!have(SSE_CPU, "SSE4.1")) print_message("only the plain span is held against words\n");
  uint64_t seed = 3;
  for (unsigned bit = 1; bit <= ST_CHAR_PATH; bit <<= 1) {
    const uint8_t kind = (uint8_t)bit;
    for (size_t len = 0; len <= 100; len++) {
      subtoken_text text = repeated("", 'A', len);
      spans_alike(text.data, len, kind);
      release(text);
    }
    for (int c = 0; c < 256; c++) {
      subtoken_text text = repeated("", (char)c, 33);
      spans_alike(text.data, text.len, kind);
      release(text);
    }
    for (size_t len = 33; len <= 48; len += 15) {
      subtoken_text text = repeated("", 'A', len);
      char *bytes = (char *)(uintptr_t)text.data;
      for (size_t at = 0; at < len; at++) {
        for (int c = 0; c < 256; c++) {
          bytes[at] = (char)c;
          spans_alike(bytes, len, kind);
        }
        bytes[at] = 'A';
      }
      release(text);
    }
    for (int round = 0; round < 20000; round++) {
      size_t len = random_below(&seed, 70);
      subtoken_text text = repeated("", 'A', len);
      char *bytes = (char *)(uintptr_t)text.data;
      for (size_t i = 0; i < len; i++) bytes[i] = (char)(0x20 + random_below(&seed, 0x60));
      for (size_t i = 0; i < len && round % 2 == 0; i++) {
        while (!in_words(bytes[i], kind)) bytes[i] = (char)random_next(&seed);
      }
      spans_alike(bytes, len, kind);
      release(text);
    }
  }
}

/* ---- paths ---- */

/* vector.h in plain words. */
static size_t words_path(const char *text, size_t len) {
  if (len < 16) return 0;
  for (size_t i = 0; i < len; i++) {
    size_t end = i < len / 16 * 16 ? (i / 16 + 1) * 16 : len;
    if (!in_words(text[i], ST_CHAR_PATH)) return i;
    if (text[i] != '/') continue;
    if (i + 1 == end || text[i + 1] == '.' || !in_words(text[i + 1], ST_CHAR_SEGMENT)) {
      return i;
    }
  }
  return len;
}

static void paths_agree_with_c(void **state) {
  (void)state;
  static const char pool[] = "////....aaabbZ09-_~!$&'()+,=:@";
  if (!have(SSE_CPU, "SSE4.1")) skip();
  static const size_t lens[] = {0, 1, 15, 16, 17, 18, 31, 32, 33, 34, 47, 48, 50, 64, 79, 80};
  uint64_t seed = 6;
  for (int c = 0; c < 256; c++) {
    subtoken_text text = repeated("", (char)c, 33);
    CHECK(st_vector_path(text.data, 33) == words_path(text.data, 33), "33 times byte %d", c);
    release(text);
  }
  for (size_t n = 0; n < COUNT(lens); n++) {
    size_t len = lens[n];
    subtoken_text text = repeated("", 'a', len);
    char *bytes = (char *)(uintptr_t)text.data;
    CHECK(st_vector_path(bytes, len) == words_path(bytes, len), "%zu", len);
    for (size_t at = 0; at < len; at++) {
      for (int c = 0; c < 256; c++) {
        bytes[at] = (char)c;
        CHECK(st_vector_path(bytes, len) == words_path(bytes, len), "byte %d at %zu of %zu", c, at,
              len);
        if (at + 1 == len) continue;
        /* And right behind a slash. */
        bytes[at] = '/';
        bytes[at + 1] = (char)c;
        CHECK(st_vector_path(bytes, len) == words_path(bytes, len), "/ and byte %d at %zu of %zu",
              c, at, len);
        bytes[at + 1] = 'a';
      }
      bytes[at] = 'a';
    }
    for (int round = 0; round < 500; round++) {
      for (size_t i = 0; i < len; i++) {
        size_t piece = random_below(&seed, sizeof pool - 1);
        bytes[i] = round % 4 == 0 || piece > 7 ? pool[piece] : 'a';
      }
      for (size_t i = 0; i < len && round % 2 == 0; i += 2 + random_below(&seed, 9)) bytes[i] = '/';
      CHECK(st_vector_path(bytes, len) == words_path(bytes, len), "%.*s", (int)len, bytes);
    }
    release(text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_hashes_hold_in_plain_c),
      cmocka_unit_test(sha_instructions_agree_with_c),
      cmocka_unit_test(known_hashes_hold_with_avx),
      cmocka_unit_test(a_key_names_the_instructions_that_it_uses),
      cmocka_unit_test(upper_halves_of_registers_are_cleaned),
      cmocka_unit_test(decoding_agrees_with_c),
      cmocka_unit_test(each_byte_is_decoded_as_in_c),
      cmocka_unit_test(encoding_agrees_with_c),
      cmocka_unit_test(each_value_is_encoded_as_in_c),
      cmocka_unit_test(classes_are_as_described_in_words),
      cmocka_unit_test(spans_agree_with_c),
      cmocka_unit_test(paths_agree_with_c),
  };
  return cmocka_run_group_tests_name("vector", tests, setup, NULL);
}
