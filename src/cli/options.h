/* command - what the sub-commands share: options, exit codes, DATA, printing. */
#ifndef ST_CLI_OPTIONS_H
#define ST_CLI_OPTIONS_H

#include <stdio.h>

#include "domain/password.h"
#include "service/service.h"
#include "base/bytes.h"
#include "os/file.h"
#include "subtoken/feed.h"

/* Exit codes of every command (interface section 7). */
enum { ST_EXIT_DONE = 0, ST_EXIT_REFUSED = 1, ST_EXIT_USAGE = 2, ST_EXIT_FAILED = 3 };

/* A sub-command, or a word after one: its row in a table that ends with name NULL. */
typedef struct st_command {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *summary;
} st_command;

int st_command_run(const st_command *table, const char *program, int argc, char **argv);

/* An option is a flag, or takes a value: `--name value` or `--name=value`. The table
 * ends with name NULL.
 */
typedef struct st_option {
  const char *name;   /* with its dashes */
  bool *flag;         /* set to true, or NULL when the option takes a value */
  const char **value; /* NULL when it is a flag */
} st_option;

/* Reads options, and up to word_max words that are none, in any order. Anything else
 * is said, with the usage line, and false. --help prints help and sets *helped.
 */
typedef struct st_arguments {
  const char *command; /* "key create", for messages */
  const char *help;    /* its first line is the usage */
  const st_option *options;
  const char **words;
  size_t word_max;
  size_t word_count;
  bool helped;
  int code; /* set by st_begin */
} st_arguments;
bool st_arguments_read(st_arguments *arguments, int argc, char **argv);
/* What each command begins with: false when it has nothing left to do, because it was used
 * wrongly or printed its help, and code is its exit code.
 */
bool st_begin(st_arguments *arguments, int argc, char **argv);
int st_usage(const st_arguments *arguments, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* `subtoken COMMAND: text` to standard error; the answer is code. */
int st_complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The paths of DATA: option, or SUBTOKEN_DATA, or ./var. */
typedef struct st_data {
  char dir[ST_PATH_TEXT_MAX];
  char secrets[ST_PATH_TEXT_MAX + 16];
  char database[ST_PATH_TEXT_MAX + 16];
  char config[ST_PATH_TEXT_MAX + 16]; /* config.json; it need not be there */
} st_data;
/* If config.json says data_group, and nobody else can have written it, the group is trusted. */
bool st_data_find(const char *option, st_data *data, char *why);

/* Trust the group of DATA and of what is in it, or do not (the setting data_group). */
void st_data_trust_group(bool trust);

/* Make DATA, its ring and its database when it is new. A ring that is missing beside
 * a database is an error: making another would end every token.
 */
bool st_data_make(const st_data *data, char *why);
/* Open the database; with make, after st_data_make. */
st_store *st_data_open(const st_data *data, bool make, char *why);
/* Both of the above for a command: ST_EXIT_DONE, or it has complained in the command's
 * name and the answer is its exit code.
 */
int st_data_begin(const char *command, const char *option, bool make, st_data *data,
                  st_store **store);

/* The leeway and lives that the server of this store runs with, over the defaults. It
 * remembers them in the store whenever it takes up a configuration.
 */
bool st_data_settings(st_store *store, st_settings *settings, char *why);
bool st_data_remember_settings(st_store *store, const st_settings *settings, char *why);

/* The life that a token may be given: before whoever gives it signs the first, so that a revoked
 * sub stays listed for as long as any of its tokens may live. It never falls.
 */
bool st_data_remember_life(st_store *store, const st_settings *settings, char *why)
    __attribute__((warn_unused_result));

/* Put a new ring with one unnamed secret in place. */
bool st_ring_make(const char *path, char *why);

/* How long from now: a number with s, m, h or d. Without one it could be meant in days. */
bool st_span_read(const char *text, int64_t *seconds);

/* --leeway: seconds, or a number with s, m or h; SUBTOKEN_LEEWAY_MAX at most. */
#define ST_LEEWAY_USAGE "--leeway is seconds, or a number with s, m or h: an hour at most"
bool st_leeway_read(const char *text, int64_t *seconds);

/* --max-size: bytes, or a number with k, m or g (times 1024, and so on); at least 1. */
#define ST_SIZE_USAGE "--max-size is bytes, or a number with k, m or g"
bool st_size_read(const char *text, size_t *size);

/* A credential from standard input: white space around it is dropped. */
bool st_read_credential(char *out, size_t size, subtoken_text *credential, char *why);

/* A password from standard input, up to its end, with one end of line dropped from it; on a
 * terminal it is asked for, and not shown. 1 to ST_PASSWORD_MAX bytes on one line. out, of
 * ST_PASSWORD_MAX + 2 bytes or more, is the caller's to wipe.
 */
bool st_read_password(char *out, size_t size, subtoken_text *password, char *why);

/* Text that may come from anybody, to a terminal: control characters are escaped. */
void st_print_text(FILE *out, subtoken_text text);
/* The same as a JSON string, with its quotes. */
void st_print_json(FILE *out, subtoken_text text);
void st_print_time(FILE *out, int64_t seconds);

/* What was made with what has ended or been disabled, for others; nothing when there is none. */
void st_print_made(const st_made *made);
/* {"ok":true,"sequence":7,"made":{...}} and the end of the line. */
void st_print_change_json(int64_t sequence, const st_made *made);

/* A line above the rows of a list, for who reads it on a terminal; a program in a pipe gets the
 * rows alone. */
void st_print_heading(const char *heading);

/* What was printed has reached its file, or the exit code says that it has not. */
int st_flush(int code);

/* Who types a command, for the audit log: "user NAME", in who, and now. */
#define ST_WHO_MAX (ST_NAME_MAX + 16)
st_act st_operator_act(char who[ST_WHO_MAX]);

/* Draw a whole key, its id, its digest and its sub. */
void st_draw_key(char key[ST_KEY_LEN + 1], st_key *into, uint8_t digest[32]);
void st_draw_sub(char sub[ST_SUB_LEN + 1]);

/* A list with commas, for --permissions: valid, none twice, at most 64. out gets it as it is
 * kept, without the spaces and tabs around its items. */
bool st_permissions_read(const char *list, char out[ST_PERMISSIONS_TEXT_MAX + 1])
    __attribute__((warn_unused_result));
#define ST_PERMISSIONS_FORM                                                              \
  "permissions are a list with commas of at most 64 names, none twice, each of 1 to 64 " \
  "characters without space, quote, comma or backslash"

/* What is wrong with the files of a feed, as file->last says, with their name. */
void st_feed_why(const char *path, const subtoken_feed_file *file, char *why);
/* That it is too old. */
void st_feed_age_text(const subtoken_feed *feed, int64_t now, int64_t monotonic, char *why);
/* The monotonic seconds of revocations.h. */
int64_t st_feed_monotonic(void);

int st_cmd_serve(int argc, char **argv);
int st_cmd_key(int argc, char **argv);
int st_cmd_issue(int argc, char **argv);
int st_cmd_verify(int argc, char **argv);
int st_cmd_inspect(int argc, char **argv);
int st_cmd_secret(int argc, char **argv);
int st_cmd_backup(int argc, char **argv);
int st_cmd_policy(int argc, char **argv);
int st_cmd_pull(int argc, char **argv);
int st_cmd_feed(int argc, char **argv);
int st_cmd_revoke(int argc, char **argv);
int st_cmd_user(int argc, char **argv);
int st_cmd_audit(int argc, char **argv);
int st_cmd_import(int argc, char **argv);
int st_cmd_saltpass(int argc, char **argv);

#endif
