/* base64url - RFC 4648 section 5, strict: no padding, no white space, and the
 * unused bits of the last character zero, so that one value has one spelling. And
 * base64 as others write it.
 */
#ifndef ST_BASE_BASE64URL_H
#define ST_BASE_BASE64URL_H

#include "base/bytes.h"

/* Length of n bytes encoded, and the most that n characters decode to. */
#define ST_BASE64URL_LEN(n) ((n) / 3 * 4 + ((n) % 3 * 4 + 2) / 3)
#define ST_BASE64URL_BYTES(n) ((n) / 4 * 3 + (n) % 4 * 3 / 4)

/* out has ST_BASE64URL_BYTES(text.len) bytes or more, which are unspecified when it is refused. The
 * function with cpu (subtoken_secret.cpu, or 0) is the faster one, for tokens. The other is for
 * secrets: the time that it takes, and where it reads, depend on the length and the answer alone.
 * So it is with writing. */
bool st_base64url_decode_by(uint8_t cpu, subtoken_text text, void *out, size_t out_size,
                            size_t *out_len) __attribute__((warn_unused_result));
bool st_base64url_decode(subtoken_text text, void *out, size_t out_size, size_t *out_len)
    __attribute__((warn_unused_result));

/* Is this valid base64url? */
bool st_base64url_valid(subtoken_text text) __attribute__((warn_unused_result));

void st_base64url_write_by(uint8_t cpu, st_writer *writer, const void *data, size_t len);
void st_base64url_write(st_writer *writer, const void *data, size_t len);

/* The standard alphabet (RFC 4648 section 4), for text that others wrote. It is as strict; the
 * padding is required, or refused as in a PHC string. out has room for the result, at most
 * ST_BASE64URL_BYTES(text.len) bytes, and is zeroed when the text is refused. Where it is refused
 * can be seen from the time, but nothing of the rest. */
#define ST_BASE64_LEN(n) (((n) + 2) / 3 * 4)
typedef enum st_padding { ST_UNPADDED, ST_PADDED } st_padding;
bool st_base64_read(subtoken_text text, st_padding padding, void *out, size_t out_size,
                    size_t *out_len) __attribute__((warn_unused_result));
void st_base64_write(st_writer *writer, st_padding padding, const void *data, size_t len);

#endif
