/* data_dir - the data directory of a command. */
#ifndef ST_CLI_DATA_DIR_H
#define ST_CLI_DATA_DIR_H

#include "domain/config.h"
#include "domain/store.h"

/* The paths of DATA: option, or SUBTOKEN_DATA, or ./var. */
typedef struct st_data_dir {
  char dir[ST_PATH_TEXT_MAX];
  char secrets[ST_PATH_TEXT_MAX + 16];
  char database[ST_PATH_TEXT_MAX + 16];
  char config[ST_PATH_TEXT_MAX + 16]; /* config.json; it need not be there */
} st_data_dir;

/* If config.json says data_group, and nobody else can have written it, the group is trusted. */
bool st_data_dir_find(const char *option, st_data_dir *data, char *error);

/* Trust the group of DATA and of what is in it, or do not (the setting data_group). */
void st_data_dir_trust_group(bool trust);

/* Check that DATA is there, and private. The error says how to make or name it. */
bool st_data_dir_check(const st_data_dir *data, char *error) __attribute__((warn_unused_result));

/* Make DATA, its ring and its database when it is new. A ring that is missing beside
 * a database is an error: making another would end every token.
 */
bool st_data_dir_make(const st_data_dir *data, char *error);

/* Open the database; with make, after st_data_dir_make. */
st_store *st_data_dir_open(const st_data_dir *data, bool make, char *error);

/* Find DATA and open its database, for a command: ST_EXIT_DONE, or the error is printed in the
 * command's name and the answer is its exit code.
 */
int st_data_dir_begin(const char *command, const char *option, bool make, st_data_dir *data,
                      st_store **store);

#endif
