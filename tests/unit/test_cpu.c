/* cpu: what the processor is said to have is what base/vector.h may be called with. */
#include "support.h"

#include "base/cpu.h"

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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_feature_rests_on_those_it_needs),
      cmocka_unit_test(asking_again_gives_the_same_answer),
      cmocka_unit_test(the_kernel_says_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
