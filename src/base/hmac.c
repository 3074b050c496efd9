/* SHA-256 and HMAC-SHA-256 with precomputed states, and the public functions of subtoken/mac.h.
 * mbedTLS hashes where the processor has no SHA instructions (base/vector.h), and checks these
 * where it has.
 */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS /* to set the state of a SHA-256 */
#include "base/hmac.h"

#include "base/cpu.h"
#include "base/impossible.h"
#include "base/vector.h"
#include "mbedtls/sha256.h"

#define BLOCK 64

static void plain_blocks(uint32_t state[8], const uint8_t *data, size_t blocks) {
  mbedtls_sha256_context context;
  mbedtls_sha256_init(&context);
  memcpy(context.state, state, sizeof context.state);
  for (; blocks > 0; blocks--, data += BLOCK) {
    (void)mbedtls_internal_sha256_process(&context, data); /* always 0 */
  }
  memcpy(state, context.state, sizeof context.state);
  mbedtls_sha256_free(&context);
}

void st_hmac_blocks(uint8_t cpu, uint32_t state[8], const uint8_t *data, size_t blocks) {
  if ((cpu & ST_CPU_SHA) != 0) {
    st_vector_sha256(cpu, state, data, blocks);
  } else {
    plain_blocks(state, data, blocks);
  }
}

/* ---- the secret ---- */

/* FIPS 180-4 section 5.3.3. */
static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* The two states, and a third over both pads at once, which serves to compare only. */
static void key_states(uint8_t cpu, const uint8_t pads[2 * BLOCK], uint32_t states[3][8]) {
  for (size_t i = 0; i < 3; i++) memcpy(states[i], initial, sizeof initial);
  st_hmac_blocks(cpu, states[0], pads, 1);
  st_hmac_blocks(cpu, states[1], pads + BLOCK, 1);
  st_hmac_blocks(cpu, states[2], pads, 2);
}

/* Both pads of RFC 2104 over a key of any length. */
static void key_pads(const void *key, size_t len, uint8_t pads[2 * BLOCK]) {
  uint8_t padded[BLOCK] = {0};
  if (len > BLOCK) {
    st_sha256(key, len, padded);
  } else if (len > 0) {
    memcpy(padded, key, len);
  }
  for (size_t i = 0; i < BLOCK; i++) {
    pads[i] = padded[i] ^ 0x36;
    pads[BLOCK + i] = padded[i] ^ 0x5C;
  }
  subtoken_wipe(padded, sizeof padded);
}

void st_hmac_key(subtoken_secret *secret, const void *key, size_t len) {
  uint8_t pads[2 * BLOCK];
  uint32_t plain[3][8], fast[3][8];
  key_pads(key, len, pads);
  secret->cpu = st_cpu_features();
  key_states(0, pads, plain);
  key_states(secret->cpu, pads, fast);
  /* When the processor and mbedTLS differ, use mbedTLS. */
  bool differ = !st_equal_secret(plain, fast, sizeof plain);
  if (st_impossible(differ, "a processor's SHA hashes as mbedTLS does")) secret->cpu = 0;
  memcpy(secret->inner, plain[0], sizeof secret->inner);
  memcpy(secret->outer, plain[1], sizeof secret->outer);
  subtoken_wipe(pads, sizeof pads);
  subtoken_wipe(plain, sizeof plain);
  subtoken_wipe(fast, sizeof fast);
}

void st_hmac_key_by(uint8_t cpu, subtoken_secret *secret, const void *key, size_t len) {
  uint8_t pads[2 * BLOCK];
  key_pads(key, len, pads);
  secret->cpu = cpu;
  memcpy(secret->inner, initial, sizeof initial);
  memcpy(secret->outer, initial, sizeof initial);
  st_hmac_blocks(cpu, secret->inner, pads, 1);
  st_hmac_blocks(cpu, secret->outer, pads + BLOCK, 1);
  subtoken_wipe(pads, sizeof pads);
}

/* ---- the MAC ---- */

/* A secret that was never set or has been wiped is all zero, a key that everybody knows. */
static bool is_set(const subtoken_secret *secret) {
  return secret->header_len > 0;
}

static void mac_start_state(subtoken_mac *state, const subtoken_secret *secret) {
  memcpy(state->state, secret->inner, sizeof state->state);
  memcpy(state->outer, secret->outer, sizeof state->outer);
  state->cpu = secret->cpu;
  state->len = 0;
}

subtoken_result subtoken_mac_start(subtoken_mac *state, const subtoken_secret *secret) {
  if (state == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  memset(state, 0, sizeof *state);
  if (secret == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  if (!is_set(secret)) return SUBTOKEN_NO_SECRET;
  mac_start_state(state, secret);
  return SUBTOKEN_OK;
}

void subtoken_mac_update(subtoken_mac *state, const void *data, size_t len) {
  const uint8_t *from = data;
  size_t held = state->len % BLOCK;
  state->len += len;
  if (held > 0 && len >= BLOCK - held) {
    memcpy(state->block + held, from, BLOCK - held);
    st_hmac_blocks(state->cpu, state->state, state->block, 1);
    from += BLOCK - held;
    len -= BLOCK - held;
    held = 0;
  }
  if (len >= BLOCK) {
    st_hmac_blocks(state->cpu, state->state, from, len / BLOCK);
    from += len / BLOCK * BLOCK;
    len %= BLOCK;
  }
  if (len > 0) memcpy(state->block + held, from, len);
}

static void put_words(uint8_t *out, const uint32_t *words, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t word = words[i];
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap32(word);
#endif
    memcpy(out + 4 * i, &word, sizeof word);
  }
}

/* The end of a block of which `used` bytes are taken, in a hash over `total` bytes
 * (FIPS 180-4 section 5.1.1). */
static void end_block(uint8_t cpu, uint32_t state[8], uint8_t block[BLOCK], size_t used,
                      uint64_t total) {
  uint32_t bits[2] = {(uint32_t)(total >> 29), (uint32_t)(total << 3)};
  block[used++] = 0x80;
  memset(block + used, 0, BLOCK - used);
  if (used > BLOCK - 8) {
    st_hmac_blocks(cpu, state, block, 1);
    memset(block, 0, BLOCK);
  }
  put_words(block + BLOCK - 8, bits, 2);
  st_hmac_blocks(cpu, state, block, 1);
}

void st_sha256_on(uint8_t cpu, const void *data, size_t len, uint8_t out[ST_HASH_LEN]) {
  uint32_t state[8];
  uint8_t block[BLOCK];
  size_t used = len % BLOCK;
  memcpy(state, initial, sizeof state);
  st_hmac_blocks(cpu, state, data, len / BLOCK);
  if (used > 0) memcpy(block, (const uint8_t *)data + len - used, used);
  end_block(cpu, state, block, used, len);
  put_words(out, state, 8);
  subtoken_wipe(block, sizeof block);
  subtoken_wipe(state, sizeof state);
}

void st_sha256(const void *data, size_t len, uint8_t out[ST_HASH_LEN]) {
  st_sha256_on(0, data, len, out);
}

void st_sha256_pieces(uint8_t cpu, const subtoken_text *pieces, size_t count,
                      uint8_t out[ST_HASH_LEN]) {
  subtoken_mac hash = {.cpu = cpu};
  memcpy(hash.state, initial, sizeof hash.state);
  for (size_t i = 0; i < count; i++) subtoken_mac_update(&hash, pieces[i].data, pieces[i].len);
  end_block(cpu, hash.state, hash.block, hash.len % BLOCK, hash.len);
  put_words(out, hash.state, 8);
}

void subtoken_mac_finish(subtoken_mac *state, uint8_t mac[SUBTOKEN_MAC_LEN]) {
  end_block(state->cpu, state->state, state->block, state->len % BLOCK, BLOCK + state->len);
  put_words(state->block, state->state, 8);
  end_block(state->cpu, state->outer, state->block, ST_HASH_LEN, BLOCK + ST_HASH_LEN);
  put_words(mac, state->outer, 8);
  subtoken_wipe(state, sizeof *state);
}

void st_hmac(const subtoken_secret *secret, const void *data, size_t len,
             uint8_t out[ST_HASH_LEN]) {
  subtoken_mac mac;
  mac_start_state(&mac, secret);
  subtoken_mac_update(&mac, data, len);
  subtoken_mac_finish(&mac, out);
}

subtoken_result subtoken_mac_compute(const subtoken_secret *secret, const void *data, size_t len,
                                     uint8_t mac[SUBTOKEN_MAC_LEN]) {
  if (mac == NULL) return SUBTOKEN_INVALID_ARGUMENT;
  memset(mac, 0, SUBTOKEN_MAC_LEN);
  if (secret == NULL || (data == NULL && len > 0)) return SUBTOKEN_INVALID_ARGUMENT;
  if (!is_set(secret)) return SUBTOKEN_NO_SECRET;
  st_hmac(secret, data, len, mac);
  return SUBTOKEN_OK;
}

subtoken_result subtoken_mac_check(const subtoken_secret *secret, const void *data, size_t len,
                                   const uint8_t mac[SUBTOKEN_MAC_LEN]) {
  uint8_t right[SUBTOKEN_MAC_LEN];
  if (secret == NULL || mac == NULL || (data == NULL && len > 0)) {
    return SUBTOKEN_INVALID_ARGUMENT;
  }
  if (!is_set(secret)) return SUBTOKEN_NO_SECRET;
  st_hmac(secret, data, len, right);
  bool equal = st_equal_secret(right, mac, sizeof right);
  subtoken_wipe(right, sizeof right); /* the right MAC of wrong data is a forgery */
  return equal ? SUBTOKEN_OK : SUBTOKEN_MAC;
}
