/* The module as nginx sees it: its directives, variables and phases. */
#include "edge/nginx/ngx_http_subtoken.h"

/* ---- directives ---- */

static char *set_secrets(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *mine = conf;
  ngx_str_t *value = cf->args->elts;
  (void)command;
  if (mine->secrets != NGX_CONF_UNSET_PTR) return "is duplicate";
  mine->secrets = ngx_http_subtoken_add_secrets(cf, &value[1]);
  return mine->secrets == NULL ? NGX_CONF_ERROR : NGX_CONF_OK;
}

static ngx_flag_t is_off(const ngx_str_t *value) {
  return value->len == 3 && ngx_memcmp(value->data, "off", 3) == 0;
}

static char *set_policy(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *mine = conf;
  ngx_str_t *value = cf->args->elts;
  (void)command;
  if (mine->policy != NGX_CONF_UNSET_PTR) return "is duplicate";
  mine->policy = NULL;
  if (is_off(&value[1])) return NGX_CONF_OK;
  mine->policy = ngx_http_subtoken_add_policy(cf, &value[1]);
  return mine->policy == NULL ? NGX_CONF_ERROR : NGX_CONF_OK;
}

/* `off` becomes an empty text, which is not an absent one. */
static char *set_path(ngx_conf_t *cf, ngx_str_t *into) {
  ngx_str_t *value = cf->args->elts;
  if (into->data != NULL) return "is duplicate";
  if (is_off(&value[1])) {
    ngx_str_set(into, "");
    return NGX_CONF_OK;
  }
  if (value[1].len == 0) return "needs a name";
  *into = value[1];
  return NGX_CONF_OK;
}

static char *set_revocations(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *mine = conf;
  (void)command;
  char *wrong = set_path(cf, &mine->revocations);
  if (wrong != NGX_CONF_OK || mine->revocations.len == 0) return wrong;
  if (ngx_conf_full_name(cf->cycle, &mine->revocations, 1) != NGX_OK) return NGX_CONF_ERROR;
  return mine->revocations.len > SUBTOKEN_FEED_PATH_MAX ? "names a path that is too long"
                                                        : NGX_CONF_OK;
}

static char *set_fallback(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *mine = conf;
  (void)command;
  char *wrong = set_path(cf, &mine->fallback);
  if (wrong != NGX_CONF_OK || mine->fallback.len == 0) return wrong;
  return mine->fallback.data[0] == '/' ? NGX_CONF_OK : "must be off, or start with a slash";
}

/* RFC 6749 section 3.3, without the comma, 1 to 64 characters. */
static ngx_flag_t is_permission(const ngx_str_t *value) {
  for (size_t i = 0; i < value->len; i++) {
    u_char c = value->data[i];
    if (c <= ' ' || c >= 0x7F || c == '"' || c == '\\' || c == ',') return 0;
  }
  return value->len >= 1 && value->len <= SUBTOKEN_PERMISSION_MAX;
}

static char *set_require(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *mine = conf;
  ngx_str_t *value = cf->args->elts;
  (void)command;
  if (mine->require != NGX_CONF_UNSET_PTR) return "is duplicate";
  if (cf->args->nelts - 1 > SUBTOKEN_PERMISSIONS_MAX) return "names more than 64 permissions";
  mine->require = ngx_array_create(cf->pool, cf->args->nelts - 1, sizeof(subtoken_text));
  if (mine->require == NULL) return NGX_CONF_ERROR;
  for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
    if (!is_permission(&value[i])) {
      ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "subtoken_require: \"%V\" is no permission",
                         &value[i]);
      return NGX_CONF_ERROR;
    }
    subtoken_text *need = ngx_array_push(mine->require);
    if (need == NULL) return NGX_CONF_ERROR;
    *need = ngx_http_subtoken_text(value[i]);
  }
  return NGX_CONF_OK;
}

static ngx_conf_enum_t stale_words[] = {
    {ngx_string("deny"), NGX_HTTP_SUBTOKEN_STALE_DENY},
    {ngx_string("allow"), NGX_HTTP_SUBTOKEN_STALE_ALLOW},
    {ngx_null_string, 0},
};

#define EVERYWHERE (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF)
#define DIRECTIVE(name, arguments, set, member, post)                          \
  {                                                                            \
    ngx_string(name), EVERYWHERE | (arguments), set, NGX_HTTP_LOC_CONF_OFFSET, \
        offsetof(ngx_http_subtoken_loc_conf_t, member), post                   \
  }

static ngx_command_t commands[] = {
    DIRECTIVE("subtoken", NGX_CONF_FLAG, ngx_conf_set_flag_slot, enable, NULL),
    DIRECTIVE("subtoken_secrets", NGX_CONF_TAKE1, set_secrets, secrets, NULL),
    DIRECTIVE("subtoken_revocations", NGX_CONF_TAKE1, set_revocations, revocations, NULL),
    DIRECTIVE("subtoken_max_age", NGX_CONF_TAKE1, ngx_conf_set_sec_slot, max_age, NULL),
    DIRECTIVE("subtoken_stale", NGX_CONF_TAKE1, ngx_conf_set_enum_slot, stale, stale_words),
    DIRECTIVE("subtoken_policy", NGX_CONF_TAKE1, set_policy, policy, NULL),
    DIRECTIVE("subtoken_require", NGX_CONF_1MORE, set_require, require, NULL),
    DIRECTIVE("subtoken_leeway", NGX_CONF_TAKE1, ngx_conf_set_sec_slot, leeway, NULL),
    DIRECTIVE("subtoken_max_life", NGX_CONF_TAKE1, ngx_conf_set_sec_slot, max_life, NULL),
    DIRECTIVE("subtoken_fallback", NGX_CONF_TAKE1, set_fallback, fallback, NULL),
    ngx_null_command,
};

/* ---- configurations ---- */

static void *create_main_conf(ngx_conf_t *cf) {
  ngx_http_subtoken_main_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
  if (conf == NULL) return NULL;
  if (ngx_array_init(&conf->secrets, cf->pool, 2, sizeof(void *)) != NGX_OK ||
      ngx_array_init(&conf->policies, cf->pool, 2, sizeof(void *)) != NGX_OK ||
      ngx_array_init(&conf->feeds, cf->pool, 2, sizeof(void *)) != NGX_OK) {
    return NULL;
  }
  return conf;
}

static void *create_loc_conf(ngx_conf_t *cf) {
  ngx_http_subtoken_loc_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
  if (conf == NULL) return NULL;
  conf->enable = NGX_CONF_UNSET;
  conf->secrets = NGX_CONF_UNSET_PTR;
  conf->policy = NGX_CONF_UNSET_PTR;
  conf->require = NGX_CONF_UNSET_PTR;
  conf->stale = NGX_CONF_UNSET_UINT;
  conf->max_age = NGX_CONF_UNSET;
  conf->leeway = NGX_CONF_UNSET;
  conf->max_life = NGX_CONF_UNSET;
  return conf;
}

static void merge_values(ngx_http_subtoken_loc_conf_t *conf, ngx_http_subtoken_loc_conf_t *outer) {
  subtoken_verifier standard = SUBTOKEN_VERIFIER_DEFAULT;
  subtoken_feed_settings fresh = SUBTOKEN_FEED_SETTINGS_DEFAULT;
  ngx_conf_merge_value(conf->enable, outer->enable, 0);
  ngx_conf_merge_ptr_value(conf->secrets, outer->secrets, NULL);
  ngx_conf_merge_ptr_value(conf->policy, outer->policy, NULL);
  ngx_conf_merge_ptr_value(conf->require, outer->require, NULL);
  ngx_conf_merge_uint_value(conf->stale, outer->stale, NGX_HTTP_SUBTOKEN_STALE_DENY);
  ngx_conf_merge_sec_value(conf->max_age, outer->max_age, fresh.max_age);
  ngx_conf_merge_sec_value(conf->leeway, outer->leeway, standard.leeway);
  ngx_conf_merge_sec_value(conf->max_life, outer->max_life, standard.max_life);
  if (conf->fallback.data == NULL) conf->fallback = outer->fallback;
  if (conf->revocations.data == NULL) conf->revocations = outer->revocations;
}

/* A location that is only told of the files can show what $subtoken_feed_age says. */
static char *merge_loc_conf(ngx_conf_t *cf, void *parent, void *child) {
  ngx_http_subtoken_loc_conf_t *conf = child;
  ngx_http_subtoken_main_conf_t *all =
      ngx_http_conf_get_module_main_conf(cf, ngx_http_subtoken_module);
  merge_values(conf, parent);
  if (conf->secrets != NULL && conf->revocations.len > 0) {
    conf->feed = ngx_http_subtoken_add_feed(cf, conf);
    if (conf->feed == NULL) return NGX_CONF_ERROR;
  }
  if (!conf->enable) return NGX_CONF_OK;
  if (conf->secrets == NULL) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"subtoken on\" needs subtoken_secrets");
    return NGX_CONF_ERROR;
  }
  if (conf->revocations.data == NULL) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"subtoken on\" needs subtoken_revocations, or \"subtoken_revocations "
                       "off\" to accept the subtokens of deleted keys until they expire");
    return NGX_CONF_ERROR;
  }
  all->enabled = 1;
  if (conf->fallback.len > 0) all->fallback = 1;
  return NGX_CONF_OK;
}

/* ---- variables ---- */

static ngx_int_t give(ngx_http_variable_value_t *value, ngx_str_t text) {
  value->valid = 1;
  value->no_cacheable = 1;
  value->not_found = 0;
  value->escape = 0;
  value->len = (unsigned)text.len & 0x0FFFFFFF;
  value->data = text.data;
  return NGX_OK;
}

static ngx_int_t give_nothing(ngx_http_variable_value_t *value) {
  value->not_found = 1;
  return NGX_OK;
}

static ngx_int_t get_sub(ngx_http_request_t *r, ngx_http_variable_value_t *value, uintptr_t data) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_ctx_if_any(r);
  (void)data;
  if (ctx == NULL || ctx->sub.len == 0) return give_nothing(value);
  return give(value, ctx->sub);
}

static ngx_int_t get_permissions(ngx_http_request_t *r, ngx_http_variable_value_t *value,
                                 uintptr_t data) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_ctx_if_any(r);
  (void)data;
  if (ctx == NULL || ctx->permissions.len == 0) return give_nothing(value);
  return give(value, ctx->permissions);
}

static ngx_int_t get_result(ngx_http_request_t *r, ngx_http_variable_value_t *value,
                            uintptr_t data) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_ctx_if_any(r);
  (void)data;
  if (ctx == NULL || ctx->result == NULL) return give_nothing(value);
  ngx_str_t text;
  text.data = (u_char *)ctx->result;
  text.len = ngx_strlen(ctx->result);
  return give(value, text);
}

enum { FEED_AGE, FEED_SEQUENCE, FEED_COUNT };

static ngx_int_t get_feed(ngx_http_request_t *r, ngx_http_variable_value_t *value,
                          uintptr_t which) {
  ngx_http_subtoken_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_subtoken_module);
  if (conf->feed == NULL || conf->feed->file == NULL) return give_nothing(value);
  const subtoken_feed *feed = &conf->feed->file->feed;
  if (feed->time == 0) return give_nothing(value);
  int64_t number = feed->sequence;
  if (which == FEED_AGE) {
    number = subtoken_feed_age(feed, ngx_time(), ngx_http_subtoken_monotonic());
  } else if (which == FEED_COUNT) {
    number = (int64_t)feed->snapshot.count;
  }
  ngx_str_t text;
  text.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
  if (text.data == NULL) return NGX_ERROR;
  text.len = (size_t)(ngx_sprintf(text.data, "%L", number) - text.data);
  return give(value, text);
}

static ngx_http_variable_t variables[] = {
    {ngx_string("subtoken_sub"), NULL, get_sub, 0, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_permissions"), NULL, get_permissions, 0, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_result"), NULL, get_result, 0, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_feed_age"), NULL, get_feed, FEED_AGE, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_feed_sequence"), NULL, get_feed, FEED_SEQUENCE, NGX_HTTP_VAR_NOCACHEABLE,
     0},
    {ngx_string("subtoken_feed_count"), NULL, get_feed, FEED_COUNT, NGX_HTTP_VAR_NOCACHEABLE, 0},
};

static ngx_int_t add_variables(ngx_conf_t *cf) {
  for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
    ngx_http_variable_t *added = ngx_http_add_variable(cf, &variables[i].name, variables[i].flags);
    if (added == NULL) return NGX_ERROR;
    added->get_handler = variables[i].get_handler;
    added->data = variables[i].data;
  }
  return NGX_OK;
}

/* ---- phases ---- */

/* A handler that is added later runs earlier in its phase: these run before those of the
 * modules that are built in, so `rewrite` and `set` see no access_token.
 */
static const struct {
  ngx_http_phases phase;
  ngx_http_handler_pt handler;
} phases[] = {
    {NGX_HTTP_POST_READ_PHASE, ngx_http_subtoken_clean_log},
    {NGX_HTTP_REWRITE_PHASE, ngx_http_subtoken_clean_target},
    {NGX_HTTP_PREACCESS_PHASE, ngx_http_subtoken_preaccess},
    {NGX_HTTP_ACCESS_PHASE, ngx_http_subtoken_access},
};

static ngx_int_t add_handlers(ngx_conf_t *cf) {
  ngx_http_subtoken_main_conf_t *all =
      ngx_http_conf_get_module_main_conf(cf, ngx_http_subtoken_module);
  ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
  if (!all->enabled) return NGX_OK;
  for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
    ngx_http_handler_pt *added = ngx_array_push(&core->phases[phases[i].phase].handlers);
    if (added == NULL) return NGX_ERROR;
    *added = phases[i].handler;
  }
  return NGX_OK;
}

/* Not in the processes that only look after caches. */
static ngx_int_t init_process(ngx_cycle_t *cycle) {
  if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) return NGX_OK;
  ngx_http_subtoken_main_conf_t *all =
      ngx_http_cycle_get_module_main_conf(cycle, ngx_http_subtoken_module);
  return all == NULL ? NGX_OK : ngx_http_subtoken_start(cycle, all);
}

static ngx_http_module_t hooks = {
    add_variables, add_handlers, create_main_conf, NULL,
    NULL,          NULL,         create_loc_conf,  merge_loc_conf,
};

ngx_module_t ngx_http_subtoken_module = {
    NGX_MODULE_V1, &hooks, commands, NGX_HTTP_MODULE,       NULL, NULL, init_process, NULL,
    NULL,          NULL,   NULL,     NGX_MODULE_V1_PADDING,
};

/* What nginx looks for in a dynamic module. */
#define SEEN_BY_NGINX __attribute__((visibility("default")))
extern SEEN_BY_NGINX ngx_module_t *ngx_modules[];
extern SEEN_BY_NGINX char *ngx_module_names[];
extern SEEN_BY_NGINX char *ngx_module_order[];
ngx_module_t *ngx_modules[] = {&ngx_http_subtoken_module, NULL};
char *ngx_module_names[] = {"ngx_http_subtoken_module", NULL};
char *ngx_module_order[] = {NULL};
