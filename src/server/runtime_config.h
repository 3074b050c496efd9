/* runtime_config - the settings, the ring and the policy that are in force, and how they change
 * while requests are being answered: each request keeps what it began with.
 */
#ifndef ST_SERVER_RUNTIME_CONFIG_H
#define ST_SERVER_RUNTIME_CONFIG_H

#include <stdatomic.h>

#include "domain/config.h"
#include "os/file.h"
#include "subtoken/policy.h"

/* Read-only, in memory that is neither swapped nor dumped where the system allows. */
typedef struct st_runtime_config {
  atomic_int references; /* one is that it is in force; those of workers are not counted */
  struct st_runtime_config *next_retired;
  st_settings settings;
  struct st_runtime_config_policy *policy; /* NULL: none is set */
  subtoken_ring ring;
  st_file_stamp stamp; /* of the secrets file that the ring was read from */
} st_runtime_config;

/* secrets: the path of the ring; it is looked at on each request. */
bool st_runtime_config_start(const char *secrets, const st_settings *settings, char *error)
    __attribute__((warn_unused_result));
void st_runtime_config_stop(void);

/* A worker, whose first acquisition at a time takes no lock: at its start and end. */
void st_runtime_config_thread_start(void);
void st_runtime_config_thread_end(void);

/* The configuration in force; to be released after use, by the same thread. */
st_runtime_config *st_runtime_config_acquire(void);
void st_runtime_config_release(st_runtime_config *config);

/* The route policy that these settings name, or NULL. It is read when they are put in force and
 * stays as it was read, whatever happens to its file, until others are. */
const subtoken_policy *st_runtime_config_policy(const st_runtime_config *config);

/* Put other settings in force, with ring and policy as they are now: first all that can fail, then
 * st_runtime_config_activate, or st_runtime_config_release to change nothing.
 */
st_runtime_config *st_runtime_config_load(const st_settings *settings, char *error)
    __attribute__((warn_unused_result));
void st_runtime_config_activate(st_runtime_config *config);
bool st_runtime_config_change(const st_settings *settings, char *error)
    __attribute__((warn_unused_result));

#endif
