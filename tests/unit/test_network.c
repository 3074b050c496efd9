/* Networks: which addresses one holds, and what none is read of. The setting `trusted_proxies`,
 * which lists them, is in test_config.c.
 */
#include "support.h"

#include <arpa/inet.h>

#include "domain/network.h"

static void address_of(const char *text, uint8_t address[16]) {
  struct in_addr four;
  memset(address, 0, 16);
  if (inet_pton(AF_INET, text, &four) == 1) {
    address[10] = address[11] = 0xFF;
    memcpy(address + 12, &four, 4);
    return;
  }
  assert_int_equal(inet_pton(AF_INET6, text, address), 1);
}

static void a_network_holds_its_addresses(void **state) {
  (void)state;
  static const struct {
    const char *network, *address;
    bool held;
  } rows[] = {
      {"10.0.0.1", "10.0.0.1", true},
      {"10.0.0.1", "10.0.0.2", false},
      {"10.0.0.1/32", "10.0.0.1", true},
      {"10.0.0.0/8", "10.255.255.255", true},
      {"10.0.0.0/8", "11.0.0.0", false},
      {"10.0.0.0/9", "10.127.0.1", true},
      {"10.0.0.0/9", "10.128.0.1", false},
      {"10.1.2.3/8", "10.9.9.9", true}, /* the bits behind the prefix do not count */
      {"192.0.2.128/25", "192.0.2.128", true},
      {"192.0.2.128/25", "192.0.2.127", false},
      {"192.0.2.2/31", "192.0.2.3", true},
      {"192.0.2.2/31", "192.0.2.4", false},
      {"0.0.0.0/0", "203.0.113.9", true},
      {"0.0.0.0/0", "::1", false},
      {"::/0", "203.0.113.9", true},
      {"::1", "::1", true},
      {"::1", "::2", false},
      {"2001:db8::/32", "2001:db8:ffff::1", true},
      {"2001:db8::/32", "2001:db9::1", false},
      {"2001:DB8::/33", "2001:db8:8000::", false},
      {"8000::/1", "::1", false},
      {"8000::/1", "ffff::", true},
      /* an IPv4 address and the same one mapped are one */
      {"::ffff:10.0.0.1", "10.0.0.1", true},
      {"10.0.0.1", "::ffff:10.0.0.1", true},
      {"::ffff:10.0.0.0/104", "10.200.0.1", true},
      {"::ffff:10.0.0.0/104", "11.0.0.1", false},
      {"::10.0.0.1", "10.0.0.1", false},
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_network network;
    uint8_t address[16];
    subtoken_text text = exact_string(rows[i].network);
    CHECK(st_network_read(text, &network), "%s", rows[i].network);
    address_of(rows[i].address, address);
    CHECK(st_network_holds(&network, address) == rows[i].held, "%s and %s", rows[i].network,
          rows[i].address);
    release(text);
  }
}

static void bad_networks_are_refused(void **state) {
  (void)state;
  static const char *const rows[] = {
      "",
      "/",
      "/8",
      "10.0.0.1/",
      "10.0.0.1/33",
      "10.0.0/8",
      "10.0.0.1/8/8",
      "10.0.0.1/-1",
      "10.0.0.1/+1",
      "10.0.0.1/ 8",
      "10.0.0.1 ",
      " 10.0.0.1",
      "10.0.0.256",
      "010.0.0.1",
      "0x0a.0.0.1",
      "10.0.0.1:80",
      "localhost",
      "::1/129",
      "::1/1000",
      "[::1]",
      "fe80::1%eth0",
      ":::",
      "1:2:3:4:5:6:7",
      "::ffff:10.0.0.1/129",
      "2001:0db8:0000:0000:0000:0000:0000:0001:0002",
      "10.0.0.1/8x",
      "10.0.0.1/0x8",
      "10.0.0.1/8s",
      "::/1m",
      "::/2h",
      "::/0008",
      "1111:2222:3333:4444:5555:6666:255.255.255.255000000000",
  };
  for (size_t i = 0; i < COUNT(rows); i++) {
    st_network network;
    subtoken_text text = exact_string(rows[i]);
    CHECK(!st_network_read(text, &network), "%s", rows[i]);
    release(text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_network_holds_its_addresses),
      cmocka_unit_test(bad_networks_are_refused),
  };
  return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
