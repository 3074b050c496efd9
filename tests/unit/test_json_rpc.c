/* json_rpc: which APIs a body calls, what is refused, and whether claims allow it. */
#include "policy_fixture.h"

static subtoken_result rpc_of(const char *body, size_t len, subtoken_rpc *rpc) {
  subtoken_text text = exact(body, len);
  char *scratch = malloc(len > 0 ? len : 1);
  if (scratch == NULL) abort();
  memset(rpc, 0x55, sizeof *rpc);
  subtoken_result result = subtoken_rpc_read(text, scratch, len, rpc);
  CHECK(len == 0 || memcmp(text.data, body, len) == 0, "%s", body);
  free(scratch);
  release(text);
  return result;
}

static void a_body_is_read_in_one_way_or_refused(void **state) {
  (void)state;
  static const struct {
    const char *body;
    const char *needs; /* NULL: refused */
  } rows[] = {
      {"{\"method\":\"call\",\"params\":[\"history\",\"get\",[1,{\"a\":[]}]]}", "history_api"},
      {"{\"params\":[\"history\",\"get\",[]],\"id\":1,\"jsonrpc\":\"2.0\",\"method\":\"call\"}",
       "history_api"},
      {" \n{\"method\":\"call\",\"params\":[0,\"get\",[]]}\n", "database_api"},
      {"{\"method\":\"call\",\"params\":[\"database\",\"get\",[]]}", "database_api"},
      /* A6 */
      {"{\"method\":\"call\",\"params\":[\"database_api\"]}", "database_api"},
      {"{\"method\":\"call\",\"params\":[\"condenser_api\",\"get_accounts\",[[\"a\"]]]}",
       "condenser_api"},
      {"{\"method\":\"call\",\"params\":[\"network_broadcast_api\",\"broadcast_transaction\",[{}]]"
       "}",
       "network_broadcast_api"},
      {"{\"jsonrpc\":\"2.0\",\"method\":\"condenser_api.get_accounts\",\"params\":[[\"a\"]],\"id\":"
       "1}",
       "condenser_api"},
      {"{\"method\":\"network_broadcast_api.broadcast_transaction\",\"params\":{\"trx\":{}}}",
       "network_broadcast_api"},
      {"{\"method\":\"bridge.get_ranked_posts\",\"params\":{}}", "bridge_api"},
      {"{\"method\":\"jsonrpc.get_methods\"}", "jsonrpc_api"},
      {"{\"params\":[\"history\"],\"method\":\"block_api.get\"}", "block_api"},
      {"{\"method\":\"bl\\u006fck_api\\u002eget\"}", "block_api"},
      {"{\"method\":\"api.x\"}", "api_api"},
      {"{\"method\":\"x_apx.get\"}", "x_apx_api"},
      {"{\"method\":\"\\u0061.bcde\"}", "a_api"}, /* what was a dot lies behind the text */
      {"{\"method\":\"call\",\"params\":[\"1-2\"]}", "1-2_api"},
      {"{\"method\":\"call\",\"params\":[\"1a\"]}", "1a_api"},
      {"{\"method\":\"call\",\"params\":[\"history\",1]}", "history_api"},
      {"{\"method\":\"call\",\"params\":[\"history\",\"x\",\"call\"]}", "history_api"},
      {"{\"method\":\"call\",\"params\":[\"history\",\"call\",\"x\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"9\"]}", NULL},
      {"{\"method\":\"x\",\"\x7F\":1}", "database_api"},
      {"{\"method\":\"_api.x\"}", "_api"},
      {"{\"method\":\"eth_call\"}", "database_api"},
      {"{\"method\":\"callback\"}", "database_api"},
      {"{\"method\":\"call.get\"}", "call_api"},
      {"{\"method\":\"" X60 "_api.x\"}", X60 "_api"},
      {"{\"method\":\"call\",\"params\":[\"" X60 "_api\"]}", X60 "_api"},
      {"[{\"method\":\"condenser_api.a\"},{\"method\":\"call\",\"params\":[\"condenser\"]},"
       "{\"method\":\"network_broadcast_api.b\"},{\"method\":\"c\"}]",
       "condenser_api network_broadcast_api database_api"},
      {"{\"method\":\"" X60 "x.x\"}", NULL},
      {"{\"method\":\"" X60 "x_api.x\"}", NULL},
      {"{\"method\":\".get\"}", NULL},
      {"{\"method\":\"block_api.\"}", NULL},
      {"{\"method\":\".\"}", NULL},
      {"{\"method\":\"steemd.block_api.get\"}", NULL},
      {"{\"method\":\"block_api..get\"}", NULL},
      {"{\"method\":\"0.get\"}", NULL},
      {"{\"method\":\"1.get\"}", NULL},
      {"{\"method\":\"\"}", NULL},
      {"{\"method\":\" call\",\"params\":[\"history\"]}", NULL},
      {"{\"method\":\"call \",\"params\":[\"history\"]}", NULL},
      {"{\"method\":\"block_api .get\"}", NULL},
      {"{\"method\":\"block_api,x.get\"}", NULL},
      {"{\"method\":\"get\\tx\"}", NULL},
      {"{\"method\":\"g\xC3\xA9t\"}", NULL},
      {"{\"method\":\"Call\",\"params\":[\"history\"]}", NULL}, /* somebody's call */
      {"{\"method\":\"CALL\",\"params\":[0]}", NULL},
      {"{\"method\":\"jsonrpc.call\",\"params\":[\"history\",\"get\",[]]}", NULL},
      {"{\"method\":\"condenser_api.Call\",\"params\":[]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"condenser_api\",\"call\",[\"network_broadcast_api\"]]}",
       NULL},
      {"{\"method\":\"call\",\"params\":[0,\"call\",[\"history\",\"x\",[]]]}", NULL},
      {"{\"method\":\"call\",\"params\":[2,\"get\",[]]}", NULL}, /* what a login gave it */
      {"{\"method\":\"call\",\"params\":[\"0\",\"get\",[]]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"2\",\"get\",[]]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"condenser_api.x\",\"get\",[]]}", NULL},
      {"{\"method\":\"get_objects\",\"params\":[[\"1.2.0\"]]}", "database_api"},
      {"{\"method\":\"get_objects\",\"params\":{\"method\":\"call\",\"params\":[]}}",
       "database_api"},
      {"{\"method\":\"get_objects\",\"params\":[\"history\"]}", "database_api"},
      {"{\"method\":\"get_objects\",\"params\":null}", "database_api"},
      {"{\"method\":\"get_objects\"}", "database_api"},
      {"{\"method\":\"c\\u0061ll\",\"params\":[\"hist\\u006fry\"]}", "history_api"},
      {"{\"m\\u0065thod\":\"call\",\"params\":[\"history\"]}", "history_api"},
      {"{\"method\":\"call\",\"params\":[\"" X60 "\"]}", X60 "_api"},
      {"[{\"method\":\"call\",\"params\":[\"b\"]}]", "b_api"},
      {"[{\"method\":\"call\",\"params\":[\"b\"]},{\"method\":\"call\",\"params\":[0]},"
       "{\"method\":\"call\",\"params\":[\"b\"]},{\"method\":\"x\"},"
       "{\"method\":\"call\",\"params\":[\"a\"]}]",
       "b_api database_api a_api"},
      {"{\"method\":\"call\",\"params\":[\"history\"],\"other\":{\"method\":1,\"params\":2}}",
       "history_api"},
      {"", NULL},
      {" ", NULL},
      {"null", NULL},
      {"0", NULL},
      {"\"call\"", NULL},
      {"{}", NULL},
      {"[]", NULL},
      {"[[]]", NULL},
      {"[[{\"method\":\"x\"}]]", NULL},
      {"[{\"method\":\"x\"},[]]", NULL},
      {"[{\"method\":\"x\"},1]", NULL},
      {"[{\"method\":\"x\"},{}]", NULL},
      {"[{\"method\":\"x\"},]", NULL},
      {"[{\"method\":\"x\"}", NULL},
      {"{\"method\":\"x\"}{\"method\":\"x\"}", NULL},
      {"{\"method\":\"x\"} x", NULL},
      {"{\"method\":\"x\"},", NULL},
      {"{\"id\":1,\"result\":{}}", NULL},
      {"{\"method\":null}", NULL},
      {"{\"method\":1}", NULL},
      {"{\"method\":[\"call\"]}", NULL},
      {"{\"method\":\"call\"}", NULL},
      {"{\"method\":\"call\",\"params\":null}", NULL},
      {"{\"method\":\"call\",\"params\":[]}", NULL},
      {"{\"method\":\"call\",\"params\":\"history\"}", NULL},
      {"{\"method\":\"call\",\"params\":{\"0\":\"history\"}}", NULL},
      {"{\"method\":\"call\",\"params\":[[\"history\"]]}", NULL},
      {"{\"method\":\"call\",\"params\":[null,0]}", NULL},
      {"{\"method\":\"call\",\"params\":[{},\"history\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[true]}", NULL},
      {"{\"method\":\"call\",\"params\":[1]}", NULL},
      {"{\"method\":\"call\",\"params\":[-0]}", NULL},
      {"{\"method\":\"call\",\"params\":[0.0]}", NULL},
      {"{\"method\":\"call\",\"params\":[0e1]}", NULL},
      {"{\"method\":\"call\",\"params\":[00]}", NULL},
      {"{\"method\":\"call\",\"params\":[0x0]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"a b\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"a,b\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"a\\\"\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"a\\u0000\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"\xC3\xA9\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"" X60 "x\"]}", NULL},
      {"{\"method\":\"x\",\"method\":\"call\",\"params\":[\"a\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"a\"],\"params\":[\"b\"]}", NULL},
      {"{\"method\":\"x\",\"m\\u0065thod\":\"call\",\"params\":[\"a\"]}", NULL},
      {"{\"method\":\"x\",\"Method\":\"call\",\"params\":[\"a\"]}", NULL},
      {"{\"METHOD\":\"call\",\"params\":[\"a\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"a\"],\"PARAMS\":[\"b\"]}", NULL},
      {"{\"method\":\"call\",\"params\":[\"a\"],\"param\xC5\xBF\":[\"b\"]}", NULL},
      {"{\"method\":\"x\",\"id\":1,\"id\":2}", NULL},
      {"{\"method\":\"x\",\"params\":[{\"a\":1,\"a\":2}]}", NULL}, /* twice, deep down */
      {"{\"method\":\"x\",\"params\":[\"\xFF\"]}", NULL},
      {"{\"method\":\"x\",\"params\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", NULL},
      {"\xEF\xBB\xBF{\"method\":\"x\"}", NULL},
      {"{\"method\":\"x\"/**/}", NULL},
      {"{'method':'x'}", NULL},
  };
  static subtoken_rpc rpc;
  for (size_t i = 0; i < COUNT(rows); i++) {
    char got[512] = "";
    subtoken_result result = rpc_of(rows[i].body, strlen(rows[i].body), &rpc);
    for (size_t n = 0; n < rpc.count; n++) {
      subtoken_text need = subtoken_rpc_need(&rpc, n);
      snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s", n > 0 ? " " : "",
               (int)need.len, need.data);
    }
    if (rows[i].needs == NULL) {
      CHECK(result == SUBTOKEN_MALFORMED && rpc.count == 0, "%s: %s", rows[i].body, got);
    } else {
      CHECK(result == SUBTOKEN_OK && strcmp(got, rows[i].needs) == 0, "%s: %s", rows[i].body, got);
    }
  }
  assert_int_equal(rpc_of("{\"method\":\"x\0\"}", 15, &rpc), SUBTOKEN_MALFORMED);
}

static void bodies_at_their_limits_are_read(void **state) {
  (void)state;
  static subtoken_rpc rpc;
  static char body[SUBTOKEN_RPC_BODY_MAX + 2], scratch[SUBTOKEN_RPC_BODY_MAX + 2];
  for (int count = 64; count <= 65; count++) {
    int len = snprintf(body, sizeof body, "[");
    for (int i = 0; i < 2 * count; i++) {
      len += snprintf(body + len, 64, "%s{\"method\":\"call\",\"params\":[\"a%d\",\"m\",[]]}",
                      i > 0 ? "," : "", i % count);
    }
    len += snprintf(body + len, 64, "]");
    assert_int_equal(rpc_of(body, (size_t)len, &rpc),
                     count == 64 ? SUBTOKEN_OK : SUBTOKEN_MALFORMED);
    assert_int_equal(rpc.count, count == 64 ? 64 : 0);
  }
  for (size_t len = SUBTOKEN_RPC_BODY_MAX; len <= SUBTOKEN_RPC_BODY_MAX + 1; len++) {
    memset(body, ' ', len);
    memcpy(body, "{\"method\":\"x\"}", 14);
    assert_int_equal(rpc_of(body, len, &rpc),
                     len == SUBTOKEN_RPC_BODY_MAX ? SUBTOKEN_OK : SUBTOKEN_TOO_LARGE);
  }
  subtoken_text good = ST_TEXT("{\"method\":\"x\"}");
  assert_int_equal(subtoken_rpc_read(good, scratch, good.len, &rpc), SUBTOKEN_OK);
  assert_int_equal(subtoken_rpc_read(good, scratch, good.len - 1, &rpc), SUBTOKEN_BUFFER_TOO_SMALL);
  assert_int_equal(subtoken_rpc_read(good, NULL, good.len, &rpc), SUBTOKEN_BUFFER_TOO_SMALL);
  assert_int_equal(subtoken_rpc_read(good, scratch, good.len, NULL), SUBTOKEN_INVALID_ARGUMENT);
  assert_int_equal(subtoken_rpc_read(ST_TEXT(""), NULL, 0, &rpc), SUBTOKEN_MALFORMED);
  assert_int_equal(subtoken_rpc_read((subtoken_text){NULL, 5}, scratch, 5, &rpc),
                   SUBTOKEN_MALFORMED);
}

static void claims_must_have_every_api_of_a_body(void **state) {
  (void)state;
  static subtoken_rpc rpc;
  static const char body[] =
      "[{\"method\":\"call\",\"params\":[\"history\",\"m\",[]]},{\"method\":\"get\"}]";
  static const struct {
    const char *permissions;
    subtoken_result result;
    const char *lacking;
  } rows[] = {
      {"", SUBTOKEN_PERM, "history_api"},
      {"history_api", SUBTOKEN_PERM, "database_api"},
      {"database_api", SUBTOKEN_PERM, "history_api"},
      {"history,database", SUBTOKEN_PERM, "history_api"},
      {"database_api,x,history_api", SUBTOKEN_OK, ""},
  };
  assert_int_equal(rpc_of(body, strlen(body), &rpc), SUBTOKEN_OK);
  for (size_t i = 0; i < COUNT(rows); i++) {
    subtoken_claims claims = grant_of(rows[i].permissions, NULL);
    subtoken_text lacking = ST_TEXT("?");
    CHECK(subtoken_rpc_allowed(&rpc, &claims, NULL) == rows[i].result, "%s", rows[i].permissions);
    CHECK(subtoken_rpc_allowed(&rpc, &claims, &lacking) == rows[i].result &&
              st_text_is(lacking, rows[i].lacking),
          "%s", rows[i].permissions);
  }
  subtoken_claims all = grant_of("database_api,history_api", NULL);
  subtoken_text lacking = ST_TEXT("?");
  assert_int_equal(subtoken_rpc_allowed(NULL, &all, &lacking), SUBTOKEN_INVALID_ARGUMENT);
  assert_null(lacking.data);
  assert_int_equal(subtoken_rpc_allowed(&rpc, NULL, NULL), SUBTOKEN_INVALID_ARGUMENT);
  subtoken_rpc broken = rpc;
  broken.needs[2] = (subtoken_slice){sizeof broken.text, 1}; /* behind the last */
  assert_int_equal(subtoken_rpc_allowed(&broken, &all, NULL), SUBTOKEN_OK);
  broken.needs[1].at = (uint16_t)(sizeof broken.text - broken.needs[1].len); /* up to the end */
  assert_int_equal(subtoken_rpc_allowed(&broken, &all, NULL), SUBTOKEN_PERM);
  broken.needs[1].at++;
  assert_int_equal(subtoken_rpc_allowed(&broken, &all, NULL), SUBTOKEN_INVALID_ARGUMENT);
  broken.needs[1].at = sizeof broken.text - 3;
  assert_int_equal(subtoken_rpc_allowed(&broken, &all, NULL), SUBTOKEN_INVALID_ARGUMENT);
  memset(&broken, 0, sizeof broken); /* what was not read lets nobody through */
  assert_int_equal(subtoken_rpc_allowed(&broken, &all, NULL), SUBTOKEN_INVALID_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_body_is_read_in_one_way_or_refused),
      cmocka_unit_test(bodies_at_their_limits_are_read),
      cmocka_unit_test(claims_must_have_every_api_of_a_body),
  };
  return cmocka_run_group_tests_name("json_rpc", tests, NULL, NULL);
}
