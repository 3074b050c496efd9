/* config_file - the configuration of a command: the file that --config names, or
 * DATA/config.json.
 */
#ifndef ST_CLI_CONFIG_FILE_H
#define ST_CLI_CONFIG_FILE_H

#include "domain/config.h"

/* given: the file that is named, or NULL. beside: the one in DATA, which need not be there. The
 * defaults when there is none. error says which file, and where in it.
 */
bool st_config_file_read(const char *given, const char *beside, st_settings *settings, char *error)
    __attribute__((warn_unused_result));

#endif
