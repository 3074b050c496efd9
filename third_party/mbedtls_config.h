/*
 * mbedTLS with SHA-256 and nothing else: src/base/hmac.c builds HMAC on it.
 *
 * Given to both mbedTLS and our code as MBEDTLS_CONFIG_FILE, in angle brackets:
 * in quotes the compiler would find mbedTLS's own file of the same name first.
 */
#ifndef SUBTOKEN_MBEDTLS_CONFIG_H
#define SUBTOKEN_MBEDTLS_CONFIG_H

#define MBEDTLS_SHA256_C

#endif
