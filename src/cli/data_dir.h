/* data_dir - the data directory of a command. */
#ifndef ST_CLI_DATA_DIR_H
#define ST_CLI_DATA_DIR_H

#include "domain/config.h"
#include "domain/store.h"

/* What every command that has DATA takes: the values of --data and --config, or NULL. */
typedef struct st_data_options {
  const char *data, *config;
} st_data_options;
/* Their rows in a table of options. */
#define ST_DATA_OPTIONS(given)        \
  {"--data", NULL, &(given).data}, {  \
    "--config", NULL, &(given).config \
  }

/* DATA (the option, or SUBTOKEN_DATA, or ./var), and the settings that hold there. */
typedef struct st_data_dir {
  char dir[ST_PATH_TEXT_MAX];
  char secrets[ST_PATH_TEXT_MAX + 16];
  char database[ST_PATH_TEXT_MAX + 16]; /* of the store on SQLite */
  char config[ST_PATH_TEXT_MAX + 16];   /* config.json; it need not be there */
  st_settings settings;
} st_data_dir;

/* ST_EXIT_DONE, or error says what is wrong with DATA or its configuration, and the answer is the
 * exit code. The settings hold from then on, as far as they say how DATA and the store are opened.
 */
int st_data_dir_find(const st_data_options *given, st_data_dir *data, char *error)
    __attribute__((warn_unused_result));

/* How DATA and the store are opened from now on. cache: MiB for what requests need of the store; 0:
 * as few as a command needs. */
void st_data_dir_use_settings(const st_settings *settings, int64_t cache);

/* Where the store lies: the setting `store`, or the database in DATA. */
const char *st_data_dir_location(const st_data_dir *data);

/* Check that DATA is there, and private. The error says how to make or name it. */
bool st_data_dir_check(const st_data_dir *data, char *error) __attribute__((warn_unused_result));

/* Make DATA and its ring when it is new, for a store in it. A ring that is missing beside a
 * database is an error: making another would end every token.
 */
bool st_data_dir_make(const st_data_dir *data, char *error);

/* Open the store; with make, DATA, its ring and its store are made when they are new. */
st_store *st_data_dir_open(const st_data_dir *data, bool make, char *error);

/* Find DATA and open its database, for a command: ST_EXIT_DONE, or the error is printed in the
 * command's name and the answer is its exit code.
 */
int st_data_dir_begin(const char *command, const st_data_options *given, bool make,
                      st_data_dir *data, st_store **store);

/* Close the store (NULL: nothing happens) after a change of users, which is in force: what it has
 * left to do comes first (st_store_continue). If the command is ended before, a server does it.
 */
void st_data_dir_finish(st_store *store);

#endif
