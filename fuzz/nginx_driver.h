/* nginx_driver - what fuzz_nginx.c, which starts nginx, and nginx_driver.c, which is loaded into
 * it, have in common.
 */
#ifndef FUZZ_NGINX_DRIVER_H
#define FUZZ_NGINX_DRIVER_H

#define DRIVER_DIR "FUZZ_NGINX_DIR"   /* environment: where its files are */
#define DRIVER_ARGS "FUZZ_NGINX_ARGS" /* environment: libFuzzer's arguments, a line each */

#define DRIVER_SECRET "subtoken-fuzz-nginx-secret-00001"

/* Bytes of an input that stand for credentials. */
enum { DRIVER_PLAIN = 1, DRIVER_LISTED, DRIVER_REVOKED, DRIVER_KEY, DRIVER_OTHER, DRIVER_END };

#define DRIVER_SUB_OF(i) ("?abcde"[i]) /* 43 times */

#define DRIVER_POLICY                                                                          \
  "{\"default\":\"deny\",\"routes\":[{\"path\":\"/policy/a\",\"needs\":[\"account\"]},"        \
  "{\"path\":\"/policy/*\",\"needs\":[\"bank\"]},"                                             \
  "{\"path\":\"/policy/open\",\"public\":true},"                                               \
  "{\"path\":\"/policy/rpc\",\"json_rpc\":true},"                                              \
  "{\"path\":\"/policy/mcp\",\"needs\":[\"account\"],\"mcp\":{\"tools/call x\":[\"account\"]," \
  "\"tools/call *\":[\"bank\"]}}]}"

#endif
