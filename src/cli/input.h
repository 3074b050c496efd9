/* input - what commands read from the user: option values, standard input, a key file. */
#ifndef ST_CLI_INPUT_H
#define ST_CLI_INPUT_H

#include "domain/key.h"

/* How long from now: a number with s, m, h or d. Without one it could be meant in days. */
bool st_input_span(const char *text, int64_t *seconds);

/* --leeway: seconds, or a number with s, m or h; SUBTOKEN_LEEWAY_MAX at most. */
#define ST_LEEWAY_USAGE "--leeway must be seconds, or a number with s, m or h: an hour at most"

bool st_input_leeway(const char *text, int64_t *seconds);

/* --max-size: bytes, or a number with k, m or g (times 1024, and so on); at least 1. */
#define ST_SIZE_USAGE "--max-size must be bytes, or a number with k, m or g"

bool st_input_size(const char *text, size_t *size);

/* A credential from standard input: white space around it is dropped. On a terminal a line says
 * that it is awaited.
 */
bool st_input_credential(char *out, size_t size, subtoken_text *credential, char *error);

/* The same from a file, which is read as a secret (os/secret_file.h) and holds nothing else. out
 * ends with a NUL behind the credential, and is the caller's to wipe.
 */
bool st_input_key_file(const char *path, char *out, size_t size, subtoken_text *credential,
                       char *error);

/* More memory in place of old, of which used bytes are kept and all is wiped; NULL: none, and old
 * is as it was. To be freed. */
void *st_input_grow(void *old, size_t used, size_t size);

/* Standard input line by line, each with its end, where it has one; all of it may be secret. begin
 * with zeros. False: there is no more, or it failed; the end says which, and wipes what was read.
 */
typedef struct st_input_lines {
  char *text;
  size_t size;
  bool no_memory;
} st_input_lines;

bool st_input_next_line(st_input_lines *lines, subtoken_text *line);
bool st_input_end_lines(st_input_lines *lines, char *error) __attribute__((warn_unused_result));

/* Without white space around it: spaces, tabs, ends of lines. */
subtoken_text st_input_trim(subtoken_text text);

/* A password from standard input, up to its end, with one end of line dropped from it; on a
 * terminal it is asked for, and not shown. 1 to ST_PASSWORD_MAX bytes on one line. out, of
 * ST_PASSWORD_MAX + 2 bytes or more, is the caller's to wipe.
 */
bool st_input_password(char *out, size_t size, subtoken_text *password, char *error);

/* The context of a change for the audit log: "user NAME" of the operating system, in who, and the
 * time. */
#define ST_WHO_MAX (ST_NAME_MAX + 16)

st_audit_context st_input_audit_context(char who[ST_WHO_MAX]);

#endif
