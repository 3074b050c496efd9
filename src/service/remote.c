/* X-Forwarded-For from its end to its front: as long as those who wrote it are trusted, what they
 * wrote is believed. What an element may look like is in read_host.
 */
#include "service/remote.h"

#include <string.h>

#include "base/bytes.h"
#include "domain/config.h"
#include "service/service.h"

#define HOST_MAX 64 /* longer than any address */

/* Nothing, or a colon and a number. */
static bool remote_is_port(subtoken_text text) {
  if (text.len == 0) return true;
  if (text.len < 2 || text.len > 6 || text.data[0] != ':') return false;
  for (size_t i = 1; i < text.len; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return false;
  }
  return true;
}

static size_t remote_find(subtoken_text text, char c) {
  const char *at = text.len > 0 ? memchr(text.data, c, text.len) : NULL;
  return at != NULL ? (size_t)(at - text.data) : text.len;
}

/* `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`: proxies write
 * all of them. *host is the address alone.
 */
static bool remote_read_host(subtoken_text text, subtoken_text *host) {
  st_network network;
  if (text.len > HOST_MAX) return false;
  *host = text;
  if (text.len > 0 && text.data[0] == '[') {
    size_t end = remote_find(text, ']');
    if (end == text.len ||
        !remote_is_port((subtoken_text){text.data + end + 1, text.len - end - 1})) {
      return false;
    }
    *host = (subtoken_text){text.data + 1, end - 1};
    if (remote_find(*host, ':') == host->len) return false;
  } else if (remote_find(text, '.') < remote_find(text, ':')) {
    host->len = remote_find(text, ':');
    if (!remote_is_port((subtoken_text){text.data + host->len, text.len - host->len})) return false;
  }
  return remote_find(*host, '/') == host->len && st_network_read(*host, &network);
}

/* Cuts the last element off the list. */
static subtoken_text remote_cut_last(subtoken_text *list) {
  size_t at = list->len;
  while (at > 0 && list->data[at - 1] != ',') at--;
  subtoken_text last = {list->data + at, list->len - at};
  list->len = at > 0 ? at - 1 : 0;
  return st_text_trim(last);
}

subtoken_text st_remote_of(const st_settings *settings, const st_request *request,
                           subtoken_text peer) {
  subtoken_text remote = peer;
  for (size_t i = request->header_count; i > 0; i--) {
    if (!st_config_trusts(settings, remote)) return remote;
    if (!st_text_is_nocase(request->headers[i - 1].name, "X-Forwarded-For")) continue;
    subtoken_text list = request->headers[i - 1].value;
    while (list.len > 0 && st_config_trusts(settings, remote)) {
      subtoken_text last = remote_cut_last(&list);
      if (last.len > 0 && !remote_read_host(last, &remote)) return st_text(ST_REMOTE_UNKNOWN);
    }
  }
  return remote;
}
