/* What /v2/authorize says of a credential, as claims: a first line with the sub, then the list of
 * permissions. Whatever is accepted says the same again when it is written, and the claims have
 * each of the permissions and no other; whatever is refused leaves nothing behind.
 */
#include "core/claims.h"
#include "fuzz.h"
#include "subtoken/verify.h"

/* The list that the claims stand for. Each permission is in it once. */
static subtoken_text list_of(const subtoken_claims *claims, char *out, size_t size) {
  st_writer writer = st_writer_on(out, size);
  for (size_t i = 0; i < claims->permission_count; i++) {
    if (i > 0) st_write_char(&writer, ',');
    st_write_view(&writer, subtoken_claims_text(claims, claims->permissions[i]));
  }
  HOLD(!writer.overflow);
  return (subtoken_text){out, writer.len};
}

static void check_accepted(const subtoken_claims *claims, subtoken_text sub, subtoken_text list) {
  static subtoken_claims again;
  char out[SUBTOKEN_PERMISSIONS_MAX * (SUBTOKEN_PERMISSION_MAX + 1)];
  subtoken_text item, lacking, other = ST_TEXT("a,b"); /* of no permission's form */
  HOLD(st_claims_in_bounds(claims) && claims->every_url && claims->exp == 7);
  HOLD(st_text_equal(subtoken_claims_text(claims, claims->sub), sub));
  HOLD(sub.len == 0 || subtoken_sub_valid(sub));
  st_cutter cutter = {list, list.len == 0};
  while (st_cut(&cutter, ',', &item)) {
    HOLD(subtoken_permission_valid(item) && subtoken_claims_has_permission(claims, item));
    HOLD(subtoken_claims_check_needs(claims, &item, 1, &lacking) == SUBTOKEN_OK);
  }
  HOLD(!subtoken_claims_has_permission(claims, other));
  HOLD(subtoken_claims_check_needs(claims, &other, 1, &lacking) == SUBTOKEN_PERM);
  HOLD(st_text_equal(lacking, other));
  subtoken_text written = list_of(claims, out, sizeof out);
  HOLD(written.len <= list.len);
  HOLD(subtoken_claims_from_identity(&again, sub, written, 7) == SUBTOKEN_OK);
  HOLD(again.permission_count == claims->permission_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static subtoken_claims claims;
  static const subtoken_claims zero;
  char *copy = fuzz_copy(data, size);
  subtoken_text list = {copy, size}, sub = fuzz_line(&list);
  memset(&claims, 0xA5, sizeof claims);
  subtoken_result result = subtoken_claims_from_identity(&claims, sub, list, 7);
  if (result == SUBTOKEN_OK) {
    check_accepted(&claims, sub, list);
  } else {
    HOLD(result == SUBTOKEN_CLAIMS || result == SUBTOKEN_TOO_MANY_PERMISSIONS);
    HOLD(memcmp(&claims, &zero, sizeof zero) == 0);
  }
  free(copy);
  return 0;
}
