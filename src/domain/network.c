/* IP addresses and networks as text: of proxies in the settings, of clients in headers. Names are
 * not resolved.
 */
#include "domain/network.h"

#include <arpa/inet.h>

#include "base/bytes.h"

/* The length of a prefix: one to three digits, and nothing else. */
static bool network_read_bits(subtoken_text text, int64_t *bits) {
  if (text.len < 1 || text.len > 3) return false;
  *bits = 0;
  for (size_t i = 0; i < text.len; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') return false;
    *bits = *bits * 10 + (text.data[i] - '0');
  }
  return true;
}

bool st_network_read(subtoken_text text, st_network *network) {
  char address[INET6_ADDRSTRLEN + 1];
  st_cutter cutter = {text, false};
  subtoken_text host, bits;
  struct in_addr four;
  (void)st_cut(&cutter, '/', &host); /* there is always a first piece */
  if (host.len >= sizeof address) return false;
  memset(network, 0, sizeof *network);
  memcpy(address, host.data, host.len);
  address[host.len] = '\0';
  if (strlen(address) != host.len) return false; /* a NUL, where inet_pton would stop */
  int64_t most = 128, least = 0, count = 128;
  if (inet_pton(AF_INET, address, &four) == 1) {
    network->address[10] = network->address[11] = 0xFF;
    memcpy(network->address + 12, &four, 4);
    least = 96;
  } else if (inet_pton(AF_INET6, address, network->address) != 1) {
    return false;
  }
  if (st_cut(&cutter, '/', &bits)) {
    if (!network_read_bits(bits, &count)) return false;
    count += least;
  }
  if (!cutter.done || count > most) return false;
  network->bits = (uint8_t)count;
  return true;
}

bool st_network_holds(const st_network *network, const uint8_t address[16]) {
  for (size_t bit = 0; bit < network->bits; bit++) {
    if (((network->address[bit / 8] ^ address[bit / 8]) >> (7 - bit % 8)) & 1) return false;
  }
  return true;
}
