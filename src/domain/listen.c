/* One reader for --listen and for the setting: what it takes can be bound without another look at
 * its form. Names are not resolved, but for `localhost`.
 */
#include "domain/listen.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/bytes.h"
#include "base/impossible.h"

#define UNIX "unix:"

static bool listen_starts_with(subtoken_text text, const char *start) {
  subtoken_text front = text;
  if (front.len > strlen(start)) front.len = strlen(start);
  return st_text_is(front, start);
}

static bool listen_read_port(subtoken_text text, uint16_t *port) {
  uint32_t number = 0;
  if (text.len < 1 || text.len > 5) return false;
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return false;
    number = number * 10 + (uint32_t)(text.data[i] - '0');
  }
  *port = (uint16_t)number;
  return number <= UINT16_MAX;
}

/* An IPv6 address has brackets, an IPv4 one has none. */
static bool listen_read_host(subtoken_text host, st_listen *listen) {
  char address[INET6_ADDRSTRLEN + 1];
  bool brackets = host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';
  if (brackets) host = (subtoken_text){host.data + 1, host.len - 2};
  if (host.len >= sizeof address || memchr(host.data, '\0', host.len) != NULL) return false;
  memcpy(address, host.data, host.len);
  address[host.len] = '\0';
  listen->kind = brackets ? ST_LISTEN_V6 : ST_LISTEN_V4;
  return inet_pton(brackets ? AF_INET6 : AF_INET, address, listen->address) == 1;
}

static bool listen_read_path(subtoken_text path, st_listen *listen) {
  listen->kind = ST_LISTEN_UNIX;
  return path.len > 1 && path.len <= ST_LISTEN_PATH_MAX && path.data[0] == '/' &&
         path.data[path.len - 1] != '/' && memchr(path.data, '\0', path.len) == NULL;
}

static bool listen_read_any(subtoken_text text, st_listen *listen) {
  size_t colon = text.len;
  if (listen_starts_with(text, UNIX)) {
    return listen_read_path((subtoken_text){text.data + 5, text.len - 5}, listen);
  }
  while (colon > 0 && text.data[colon - 1] != ':') colon--;
  if (colon < 2) return false;
  subtoken_text host = {text.data, colon - 1};
  if (st_text_is(host, "localhost")) host = ST_TEXT("127.0.0.1");
  return listen_read_port((subtoken_text){text.data + colon, text.len - colon}, &listen->port) &&
         listen_read_host(host, listen);
}

bool st_listen_read(subtoken_text text, st_listen *listen) {
  static const char name[] = "localhost";
  st_listen fresh = {0};
  memset(listen, 0, sizeof *listen);
  if (text.len == 0 || !listen_read_any(text, &fresh)) return false;
  bool named = listen_starts_with(text, "localhost:");
  st_writer writer = st_writer_on(fresh.text, sizeof fresh.text);
  if (named) {
    st_write_literal(&writer, "127.0.0.1");
    text = (subtoken_text){text.data + sizeof name - 1, text.len - (sizeof name - 1)};
  }
  st_write_view(&writer, text);
  if (st_impossible(!st_writer_end(&writer), "an address or a path fits")) return false;
  *listen = fresh;
  return true;
}

bool st_listen_is_local(const st_listen *listen) {
  static const uint8_t loopback[16] = {[15] = 1};
  switch (listen->kind) {
    case ST_LISTEN_UNIX: return true;
    case ST_LISTEN_V4: return listen->address[0] == 127;
    case ST_LISTEN_V6: return memcmp(listen->address, loopback, 16) == 0;
    default: return false;
  }
}

const char *st_listen_path(const st_listen *listen) {
  return listen->text + sizeof UNIX - 1;
}
