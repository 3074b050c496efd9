/* cpu: what the processor is said to have is what base/vector.h may be called with. */
#include "support.h"

#include "base/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* The SHA code uses the vectors, too, and clears AVX registers only where there are any. */
static void every_feature_rests_on_those_it_needs(void **state) {
  (void)state;
  uint8_t cpu = st_cpu_features();
  assert_int_equal(cpu & ~(ST_CPU_VECTOR | ST_CPU_SHA | ST_CPU_AVX), 0);
  if ((cpu & (ST_CPU_SHA | ST_CPU_AVX)) != 0) assert_true((cpu & ST_CPU_VECTOR) != 0);
}

static void asking_again_gives_the_same_answer(void **state) {
  (void)state;
  assert_int_equal(st_cpu_features(), st_cpu_features());
}

/* What the kernel tells of the first processor: a word in its list is a feature that it allows. */
static bool kernel_says(const char *flag) {
  char line[16384], word[32];
  bool found = false;
  FILE *file = fopen("/proc/cpuinfo", "r");
  if (file == NULL) return false;
  snprintf(word, sizeof word, " %s ", flag);
  while (!found && fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = ' ';
    found = strncmp(line, "flags", 5) == 0 && strstr(line, word) != NULL;
  }
  fclose(file);
  return found;
}

static void the_kernel_says_the_same(void **state) {
  (void)state;
#if defined(__x86_64__)
  if (!kernel_says("sse2")) skip(); /* no list to compare with */
  uint8_t cpu = st_cpu_features();
  assert_int_equal((cpu & ST_CPU_VECTOR) != 0, kernel_says("sse4_1") && kernel_says("ssse3"));
  if ((cpu & ST_CPU_SHA) != 0) assert_true(kernel_says("sha_ni"));
  if ((cpu & ST_CPU_AVX) != 0) assert_true(kernel_says("avx"));
#elif defined(__aarch64__)
  uint8_t cpu = st_cpu_features();
  assert_int_equal(cpu & ~ST_CPU_SHA, ST_CPU_VECTOR);
  if ((cpu & ST_CPU_SHA) != 0 && kernel_says("asimd")) assert_true(kernel_says("sha2"));
#else
  assert_int_equal(st_cpu_features(), 0);
#endif
}

#if defined(__x86_64__)
/* The compiler's library asks by itself, of the processor and of what the system keeps. */
static void the_compiler_says_the_same(void **state) {
  (void)state;
  uint8_t cpu = st_cpu_features();
  __builtin_cpu_init();
  bool sse = __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1");
  assert_int_equal((cpu & ST_CPU_VECTOR) != 0, sse);
  assert_int_equal((cpu & ST_CPU_AVX) != 0, sse && __builtin_cpu_supports("avx"));
  unsigned a, b = 0, c, d;
  bool sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0;
  assert_int_equal((cpu & ST_CPU_SHA) != 0, sse && sha);
}

static unsigned avx_asked;
static bool avx_is_kept(void) {
  avx_asked++;
  return true;
}
static bool avx_is_lost(void) {
  return false;
}

/* Of processors that this one is not. */
static void a_feature_needs_each_of_its_bits(void **state) {
  (void)state;
  const uint32_t ssse3 = 1U << 9, sse41 = 1U << 19, osxsave = 1U << 27, avx = 1U << 28;
  const uint32_t sha = 1U << 29, sse = ssse3 | sse41, all = sse | osxsave | avx;
  const uint8_t vector = ST_CPU_VECTOR, hash = ST_CPU_VECTOR | ST_CPU_SHA;
  const struct {
    uint32_t leaf_1, leaf_7;
    bool (*keeps_avx)(void);
    uint8_t want;
    bool asks;
  } rows[] = {
      {0, 0, avx_is_kept, 0, false},
      {ssse3 | osxsave | avx, sha, avx_is_kept, 0, false},
      {sse41 | osxsave | avx, sha, avx_is_kept, 0, false},
      {sse, 0, avx_is_kept, vector, false},
      {~all | sse, ~sha, avx_is_kept, vector, false},
      {sse, sha, avx_is_kept, hash, false},
      {sse | avx, sha, avx_is_kept, hash, false}, /* xgetbv would fault */
      {sse | osxsave, sha, avx_is_kept, hash, false},
      {all, 0, avx_is_kept, vector | ST_CPU_AVX, true},
      {all, sha, avx_is_kept, hash | ST_CPU_AVX, true},
      {all, sha, avx_is_lost, hash, false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    avx_asked = 0;
    uint8_t got = st_cpu_features_of(rows[i].leaf_1, rows[i].leaf_7, rows[i].keeps_avx);
    CHECK(got == rows[i].want, "row %zu: %u", i, got);
    CHECK(avx_asked == rows[i].asks, "row %zu: asked %u times", i, avx_asked);
  }
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_feature_rests_on_those_it_needs),
    cmocka_unit_test(asking_again_gives_the_same_answer),
    cmocka_unit_test(the_kernel_says_the_same),
#if defined(__x86_64__)
    cmocka_unit_test(the_compiler_says_the_same),
    cmocka_unit_test(a_feature_needs_each_of_its_bits),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
