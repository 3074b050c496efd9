/* network - an IP address, or a network of them. */
#ifndef ST_DOMAIN_NETWORK_H
#define ST_DOMAIN_NETWORK_H

#include "subtoken/common.h"

/* An address, IPv4 ones as ::ffff:a.b.c.d, and how many of its bits count. */
typedef struct st_network {
  uint8_t address[16];
  uint8_t bits;
} st_network;

/* An address, or `address/bits`. */
bool st_network_read(subtoken_text text, st_network *network) __attribute__((warn_unused_result));
bool st_network_holds(const st_network *network, const uint8_t address[16]);

#endif
