/* The functions of base/vector.h on machines for which nothing faster than the plain versions is
 * written: x86.c, arm.c and wasm.c have the others.
 */
#include "base/vector.h"

#if !defined(__x86_64__) && !defined(__aarch64__) && !defined(__wasm_simd128__)

/* st_cpu_features returns 0, so only the first of these is ever called. */
void st_vector_clean(uint8_t cpu) {
  (void)cpu;
}
void st_vector_sha256(uint8_t cpu, uint32_t state[8], const uint8_t *data, size_t blocks) {
  (void)cpu, (void)state, (void)data, (void)blocks;
}
size_t st_vector_base64url_decode(const char *text, size_t len, uint8_t *out) {
  (void)text, (void)len, (void)out;
  return 0;
}
size_t st_vector_base64url_encode(const uint8_t *data, size_t len, char *out) {
  (void)data, (void)len, (void)out;
  return 0;
}
size_t st_vector_span(const char *text, size_t len, uint8_t class) {
  (void)text, (void)len, (void)class;
  return 0;
}
size_t st_vector_path(const char *text, size_t len) {
  (void)text, (void)len;
  return 0;
}

#endif
