/* Whom a request comes from. The input is X-Forwarded-For, a line each. The answer is an address
 * that stands there, the peer, or nobody that is known, and is the same however often it is asked.
 */
#include "fuzz.h"
#include "service/remote.h"

static bool is_address(subtoken_text text) {
  st_network network;
  return st_network_read(text, &network) && network.bits == 128;
}

static void check(const st_settings *settings, const st_request *request, subtoken_text peer) {
  subtoken_text remote = st_remote_of(settings, request, peer);
  if (remote.data == peer.data) {
    HOLD(st_text_equal(remote, peer));
    return;
  }
  HOLD(st_config_trusts(settings, peer));
  if (st_text_is(remote, ST_REMOTE_UNKNOWN)) return;
  HOLD(is_address(remote) && memchr(remote.data, '/', remote.len) == NULL);
  /* What it says is believed when it is said without dressing, too. */
  st_header one = {ST_TEXT("X-Forwarded-For"), remote};
  st_request again = {.headers = &one, .header_count = 1};
  HOLD(st_text_equal(st_remote_of(settings, &again, peer), remote));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static st_settings settings;
  static const char text[] = "{\"trusted_proxies\":[\"127.0.0.1\",\"10.0.0.0/8\",\"unix:\"]}";
  char error[ST_CONFIG_ERROR_MAX];
  st_header headers[8];
  st_request request = {.headers = headers};
  if (settings.proxy_count == 0) HOLD(st_config_read(st_text(text), &settings, error));
  char *copy = fuzz_copy(data, size);
  subtoken_text rest = {copy, size};
  while (rest.len > 0 && request.header_count < sizeof headers / sizeof headers[0]) {
    headers[request.header_count++] = (st_header){ST_TEXT("x-forwarded-for"), fuzz_line(&rest)};
  }
  check(&settings, &request, ST_TEXT("127.0.0.1"));
  check(&settings, &request, ST_TEXT("192.0.2.1"));
  check(&settings, &request, ST_TEXT(ST_PEER_UNIX));
  free(copy);
  return 0;
}
