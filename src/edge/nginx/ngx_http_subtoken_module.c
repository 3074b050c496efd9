/* The module as nginx sees it: its directives, its configurations, and the order in which its
 * handlers run among those of other modules. The handlers themselves are in the files that the
 * table of phases names; ngx_http_subtoken.h tells how all files work together.
 */
#include "edge/nginx/ngx_http_subtoken.h"

typedef struct {
  ngx_http_phases phase;
  ngx_http_handler_pt handler;
} ngx_http_subtoken_phase_t;

static char *ngx_http_subtoken_set_secrets(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *ngx_http_subtoken_set_revocations(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *ngx_http_subtoken_set_policy(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *ngx_http_subtoken_set_require(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *ngx_http_subtoken_set_leeway(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *ngx_http_subtoken_set_fallback(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *ngx_http_subtoken_set_credentials(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *ngx_http_subtoken_set_cache(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *ngx_http_subtoken_set_audience(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *ngx_http_subtoken_set_issuer(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static void *ngx_http_subtoken_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_subtoken_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_subtoken_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);
static ngx_int_t ngx_http_subtoken_add_handlers(ngx_conf_t *cf);
static ngx_int_t ngx_http_subtoken_init_process(ngx_cycle_t *cycle);

static ngx_conf_enum_t ngx_http_subtoken_stale[] = {
    {ngx_string("deny"), NGX_HTTP_SUBTOKEN_STALE_DENY},
    {ngx_string("allow"), NGX_HTTP_SUBTOKEN_STALE_ALLOW},
    {ngx_null_string, 0},
};

#define NGX_HTTP_SUBTOKEN_CACHE_DEFAULT ((size_t)1024 * 1024)
#define NGX_HTTP_SUBTOKEN_CACHE_MAX ((off_t)1024 * 1024 * 1024)

#define NGX_HTTP_SUBTOKEN_CONF (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF)
#define NGX_HTTP_SUBTOKEN_DIRECTIVE(name, arguments, set, member, post)                    \
  {                                                                                        \
    ngx_string(name), NGX_HTTP_SUBTOKEN_CONF | (arguments), set, NGX_HTTP_LOC_CONF_OFFSET, \
        offsetof(ngx_http_subtoken_loc_conf_t, member), post                               \
  }

static ngx_command_t ngx_http_subtoken_commands[] = {
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken", NGX_CONF_FLAG, ngx_conf_set_flag_slot, enable, NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_secrets", NGX_CONF_TAKE12, ngx_http_subtoken_set_secrets,
                                secrets, NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_revocations", NGX_CONF_TAKE12,
                                ngx_http_subtoken_set_revocations, revocations, NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_max_age", NGX_CONF_TAKE1, ngx_conf_set_sec_slot, max_age,
                                NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_stale", NGX_CONF_TAKE1, ngx_conf_set_enum_slot, stale,
                                ngx_http_subtoken_stale),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_policy", NGX_CONF_TAKE1, ngx_http_subtoken_set_policy,
                                policy, NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_require", NGX_CONF_1MORE, ngx_http_subtoken_set_require,
                                require, NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_leeway", NGX_CONF_TAKE1, ngx_http_subtoken_set_leeway,
                                leeway, NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_max_life", NGX_CONF_TAKE1, ngx_conf_set_sec_slot,
                                max_life, NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_fallback", NGX_CONF_TAKE1, ngx_http_subtoken_set_fallback,
                                fallback, NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_credentials", NGX_CONF_1MORE,
                                ngx_http_subtoken_set_credentials, credentials, NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_identity", NGX_CONF_FLAG, ngx_conf_set_flag_slot,
                                identity, NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_merge_slashes", NGX_CONF_FLAG, ngx_conf_set_flag_slot,
                                merge_slashes, NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_read_body", NGX_CONF_FLAG, ngx_conf_set_flag_slot,
                                read_body, NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_audience", NGX_CONF_TAKE1, ngx_http_subtoken_set_audience,
                                audience, NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_issuer", NGX_CONF_TAKE1, ngx_http_subtoken_set_issuer,
                                issuer, NULL),
    NGX_HTTP_SUBTOKEN_DIRECTIVE("subtoken_cache", NGX_CONF_TAKE1, ngx_http_subtoken_set_cache,
                                cache, NULL),
    {ngx_string("subtoken_status"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
     ngx_http_subtoken_status_set, 0, 0, NULL},
    ngx_null_command,
};

/* nginx runs the handler that was added last first. So these run before those of the built-in
 * modules, and `rewrite` and `set` see neither access_token= nor a request that another directive
 * has changed.
 */
static const ngx_http_subtoken_phase_t ngx_http_subtoken_phases[] = {
    {NGX_HTTP_POST_READ_PHASE, ngx_http_subtoken_log_post_read_handler},
    {NGX_HTTP_SERVER_REWRITE_PHASE, ngx_http_subtoken_server_rewrite_handler},
    {NGX_HTTP_REWRITE_PHASE, ngx_http_subtoken_rewrite_handler},
    {NGX_HTTP_PREACCESS_PHASE, ngx_http_subtoken_preaccess_handler},
    {NGX_HTTP_ACCESS_PHASE, ngx_http_subtoken_access_handler},
    {NGX_HTTP_LOG_PHASE, ngx_http_subtoken_variables_log_handler},
};

static ngx_http_module_t ngx_http_subtoken_module_ctx = {
    ngx_http_subtoken_variables_add,    /* preconfiguration */
    ngx_http_subtoken_add_handlers,     /* postconfiguration */
    ngx_http_subtoken_create_main_conf, /* create main configuration */
    NULL,                               /* init main configuration */
    NULL,                               /* create server configuration */
    NULL,                               /* merge server configuration */
    ngx_http_subtoken_create_loc_conf,  /* create location configuration */
    ngx_http_subtoken_merge_loc_conf,   /* merge location configuration */
};

ngx_module_t ngx_http_subtoken_module = {
    NGX_MODULE_V1,
    &ngx_http_subtoken_module_ctx,  /* module context */
    ngx_http_subtoken_commands,     /* module directives */
    NGX_HTTP_MODULE,                /* module type */
    NULL,                           /* init master */
    NULL,                           /* init module */
    ngx_http_subtoken_init_process, /* init process */
    NULL,                           /* init thread */
    NULL,                           /* exit thread */
    NULL,                           /* exit process */
    NULL,                           /* exit master */
    NGX_MODULE_V1_PADDING,
};

/* What nginx looks for in a dynamic module; its names. */
#define NGX_HTTP_SUBTOKEN_EXPORT __attribute__((visibility("default")))
extern NGX_HTTP_SUBTOKEN_EXPORT ngx_module_t *ngx_modules[];
extern NGX_HTTP_SUBTOKEN_EXPORT char *ngx_module_names[];
extern NGX_HTTP_SUBTOKEN_EXPORT char *ngx_module_order[];
ngx_module_t *ngx_modules[] = {&ngx_http_subtoken_module, NULL};
char *ngx_module_names[] = {"ngx_http_subtoken_module", NULL};
char *ngx_module_order[] = {NULL};

/* ---- directives ---- */

static ngx_flag_t ngx_http_subtoken_is_off(const ngx_str_t *value) {
  return value->len == 3 && ngx_memcmp(value->data, "off", 3) == 0;
}

/* `off` becomes an empty text, which is not an absent one. */
static char *ngx_http_subtoken_set_path(ngx_conf_t *cf, ngx_str_t *path) {
  ngx_str_t *value = cf->args->elts;
  if (path->data != NULL) return "is duplicate";
  if (ngx_http_subtoken_is_off(&value[1])) {
    ngx_str_set(path, "");
    return NGX_CONF_OK;
  }
  if (value[1].len == 0) return "must not be empty";
  *path = value[1];
  return NGX_CONF_OK;
}

static char *ngx_http_subtoken_set_secrets(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *location = conf;
  ngx_str_t *value = cf->args->elts;
  (void)command;
  if (location->secrets != NGX_CONF_UNSET_PTR) return "is duplicate";
  bool trusted_group = cf->args->nelts > 2;
  if (trusted_group && ngx_strcmp(value[2].data, "trust_group") != 0) {
    return "takes FILE, and trust_group or nothing after it";
  }
  location->secrets = ngx_http_subtoken_secrets_add(cf, &value[1], trusted_group);
  return location->secrets == NULL ? NGX_CONF_ERROR : NGX_CONF_OK;
}

/* `max=SIZE`, in the units of nginx. */
static char *ngx_http_subtoken_set_max_size(ngx_str_t value,
                                            ngx_http_subtoken_loc_conf_t *location) {
  if (value.len <= 4 || ngx_memcmp(value.data, "max=", 4) != 0) return "takes FILE and max=SIZE";
  ngx_str_t text = {value.len - 4, value.data + 4};
  off_t size = ngx_parse_offset(&text);
  if (size < 1) return "has a max= that is no size, such as 512m or 1g";
  location->revocations_max = (size_t)size;
  return NGX_CONF_OK;
}

static char *ngx_http_subtoken_set_revocations(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *location = conf;
  ngx_str_t *value = cf->args->elts;
  (void)command;
  char *error = ngx_http_subtoken_set_path(cf, &location->revocations);
  if (error == NGX_CONF_OK && cf->args->nelts > 2) {
    error = ngx_http_subtoken_set_max_size(value[2], location);
  }
  if (error != NGX_CONF_OK || location->revocations.len == 0) return error;
  if (ngx_conf_full_name(cf->cycle, &location->revocations, 1) != NGX_OK) return NGX_CONF_ERROR;
  return location->revocations.len > SUBTOKEN_FEED_PATH_MAX ? "names a path that is too long"
                                                            : NGX_CONF_OK;
}

static char *ngx_http_subtoken_set_policy(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *location = conf;
  ngx_str_t *value = cf->args->elts;
  (void)command;
  if (location->policy != NGX_CONF_UNSET_PTR) return "is duplicate";
  location->policy = NULL;
  if (ngx_http_subtoken_is_off(&value[1])) return NGX_CONF_OK;
  location->policy = ngx_http_subtoken_policy_add(cf, &value[1]);
  return location->policy == NULL ? NGX_CONF_ERROR : NGX_CONF_OK;
}

static char *ngx_http_subtoken_set_require(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *location = conf;
  ngx_str_t *value = cf->args->elts;
  (void)command;
  if (location->require != NGX_CONF_UNSET_PTR) return "is duplicate";
  if (cf->args->nelts - 1 > SUBTOKEN_PERMISSIONS_MAX)
    return "names too many permissions (maximum 64)";
  location->require = ngx_array_create(cf->pool, cf->args->nelts - 1, sizeof(subtoken_text));
  if (location->require == NULL) return NGX_CONF_ERROR;
  for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
    subtoken_text permission = ngx_http_subtoken_text(value[i]);
    if (!subtoken_permission_valid(permission)) {
      ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "subtoken_require: \"%V\" is no permission",
                         &value[i]);
      return NGX_CONF_ERROR;
    }
    subtoken_text *need = ngx_array_push(location->require);
    if (need == NULL) return NGX_CONF_ERROR;
    *need = permission;
  }
  return NGX_CONF_OK;
}

/* An issuer keeps a revoked sub listed for a leeway of an hour, and no longer. */
static char *ngx_http_subtoken_set_leeway(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  const ngx_http_subtoken_loc_conf_t *location = conf;
  char *error = ngx_conf_set_sec_slot(cf, command, conf);
  if (error != NGX_CONF_OK) return error;
  return location->leeway > SUBTOKEN_LEEWAY_MAX ? "is longer than an hour" : NGX_CONF_OK;
}

static char *ngx_http_subtoken_set_fallback(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *location = conf;
  (void)command;
  char *error = ngx_http_subtoken_set_path(cf, &location->fallback);
  if (error != NGX_CONF_OK || location->fallback.len == 0) return error;
  return location->fallback.data[0] == '/' ? NGX_CONF_OK : "must be off, or start with a slash";
}

/* An empty text is no audience: `off` may be the name of one. */
static char *ngx_http_subtoken_set_audience(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *location = conf;
  const ngx_str_t *value = cf->args->elts;
  (void)command;
  if (location->audience.data != NULL) return "is duplicate";
  if (value[1].len > 0 && !subtoken_audience_valid(ngx_http_subtoken_text(value[1]))) {
    return "must be 1 to 32 letters, digits, - or _, or \"\"";
  }
  location->audience = value[1];
  return NGX_CONF_OK;
}

/* A URL that can stand between quotes, in JSON and in a header. */
static bool ngx_http_subtoken_is_issuer(const ngx_str_t *url) {
  static const char scheme[] = "https://";
  if (url->len < sizeof scheme || url->len > SUBTOKEN_ISSUER_MAX) return false;
  if (ngx_memcmp(url->data, scheme, sizeof scheme - 1) != 0) return false;
  for (size_t i = 0; i < url->len; i++) {
    u_char c = url->data[i];
    if (c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '?' || c == '#') return false;
  }
  return true;
}

static char *ngx_http_subtoken_set_issuer(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *location = conf;
  (void)command;
  char *error = ngx_http_subtoken_set_path(cf, &location->issuer);
  if (error != NGX_CONF_OK || location->issuer.len == 0) return error;
  return ngx_http_subtoken_is_issuer(&location->issuer)
             ? NGX_CONF_OK
             : "must be off, or a URL that begins with https:// and has no query";
}

static ngx_uint_t ngx_http_subtoken_find_form(const ngx_str_t *word) {
  static const struct {
    ngx_str_t word;
    ngx_uint_t form;
  } forms[] = {
      {ngx_string("bearer"), NGX_HTTP_SUBTOKEN_IN_BEARER},
      {ngx_string("x-api-key"), NGX_HTTP_SUBTOKEN_IN_KEY_HEADER},
      {ngx_string("query"), NGX_HTTP_SUBTOKEN_IN_QUERY},
      {ngx_string("basic"), NGX_HTTP_SUBTOKEN_IN_BASIC},
  };
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    if (word->len != forms[i].word.len) continue;
    if (ngx_memcmp(word->data, forms[i].word.data, word->len) == 0) return forms[i].form;
  }
  return 0;
}

static char *ngx_http_subtoken_set_credentials(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *location = conf;
  ngx_str_t *value = cf->args->elts;
  (void)command;
  if (location->credentials != NGX_CONF_UNSET_UINT) return "is duplicate";
  location->credentials = 0;
  for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
    ngx_uint_t form = ngx_http_subtoken_find_form(&value[i]);
    if (form == 0) {
      ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                         "subtoken_credentials: \"%V\" is none of bearer, x-api-key, query, basic",
                         &value[i]);
      return NGX_CONF_ERROR;
    }
    location->credentials |= form;
  }
  return NGX_CONF_OK;
}

static char *ngx_http_subtoken_set_cache(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *location = conf;
  ngx_str_t *value = cf->args->elts;
  (void)command;
  if (location->cache != NGX_CONF_UNSET_SIZE) return "is duplicate";
  off_t size = ngx_http_subtoken_is_off(&value[1]) ? 0 : ngx_parse_offset(&value[1]);
  if (size < 0) return "takes a size, such as 512k or 4m, or off";
  if (size > 0 && size < SUBTOKEN_CACHE_MIN) {
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "subtoken_cache: \"%V\" is too small: the minimum is %dk, and off is none",
                       &value[1], SUBTOKEN_CACHE_MIN / 1024);
    return NGX_CONF_ERROR;
  }
  if (size > NGX_HTTP_SUBTOKEN_CACHE_MAX) return "is larger than 1g";
  location->cache = (size_t)size;
  return NGX_CONF_OK;
}

/* ---- configurations ---- */

static void *ngx_http_subtoken_create_main_conf(ngx_conf_t *cf) {
  ngx_http_subtoken_main_conf_t *main = ngx_pcalloc(cf->pool, sizeof *main);
  if (main == NULL) return NULL;
  if (ngx_array_init(&main->secrets, cf->pool, 2, sizeof(void *)) != NGX_OK ||
      ngx_array_init(&main->policies, cf->pool, 2, sizeof(void *)) != NGX_OK ||
      ngx_array_init(&main->feeds, cf->pool, 2, sizeof(void *)) != NGX_OK ||
      ngx_array_init(&main->target_variables, cf->pool, 8, sizeof(ngx_uint_t)) != NGX_OK ||
      ngx_array_init(&main->identity_variables, cf->pool, 2, sizeof(ngx_uint_t)) != NGX_OK ||
      ngx_array_init(&main->own_variables, cf->pool, 8, sizeof(ngx_uint_t)) != NGX_OK) {
    return NULL;
  }
  return ngx_http_subtoken_worker_add(cf, main) == NGX_OK ? main : NULL;
}

static void *ngx_http_subtoken_create_loc_conf(ngx_conf_t *cf) {
  ngx_http_subtoken_loc_conf_t *location = ngx_pcalloc(cf->pool, sizeof *location);
  if (location == NULL) return NULL;
  location->enable = NGX_CONF_UNSET;
  location->identity = NGX_CONF_UNSET;
  location->merge_slashes = NGX_CONF_UNSET;
  location->read_body = NGX_CONF_UNSET;
  location->credentials = NGX_CONF_UNSET_UINT;
  location->secrets = NGX_CONF_UNSET_PTR;
  location->policy = NGX_CONF_UNSET_PTR;
  location->require = NGX_CONF_UNSET_PTR;
  location->stale = NGX_CONF_UNSET_UINT;
  location->max_age = NGX_CONF_UNSET;
  location->leeway = NGX_CONF_UNSET;
  location->max_life = NGX_CONF_UNSET;
  location->cache = NGX_CONF_UNSET_SIZE;
  return location;
}

static void ngx_http_subtoken_merge_values(ngx_http_subtoken_loc_conf_t *conf,
                                           ngx_http_subtoken_loc_conf_t *outer) {
  subtoken_verifier verifier = SUBTOKEN_VERIFIER_DEFAULT;
  subtoken_feed_settings feed = SUBTOKEN_FEED_SETTINGS_DEFAULT;
  ngx_conf_merge_value(conf->enable, outer->enable, 0);
  ngx_conf_merge_value(conf->identity, outer->identity, 1);
  ngx_conf_merge_value(conf->merge_slashes, outer->merge_slashes, 0);
  ngx_conf_merge_value(conf->read_body, outer->read_body, 1);
  ngx_conf_merge_uint_value(conf->credentials, outer->credentials, NGX_HTTP_SUBTOKEN_IN_ANY);
  ngx_conf_merge_ptr_value(conf->secrets, outer->secrets, NULL);
  ngx_conf_merge_ptr_value(conf->policy, outer->policy, NULL);
  ngx_conf_merge_ptr_value(conf->require, outer->require, NULL);
  ngx_conf_merge_uint_value(conf->stale, outer->stale, NGX_HTTP_SUBTOKEN_STALE_DENY);
  ngx_conf_merge_sec_value(conf->max_age, outer->max_age, feed.max_age);
  ngx_conf_merge_sec_value(conf->leeway, outer->leeway, verifier.leeway);
  ngx_conf_merge_sec_value(conf->max_life, outer->max_life, verifier.max_life);
  ngx_conf_merge_size_value(conf->cache, outer->cache, NGX_HTTP_SUBTOKEN_CACHE_DEFAULT);
  if (conf->fallback.data == NULL) conf->fallback = outer->fallback;
  if (conf->audience.data == NULL) conf->audience = outer->audience;
  if (conf->issuer.data == NULL) conf->issuer = outer->issuer;
  if (conf->revocations.data == NULL) {
    conf->revocations = outer->revocations;
    conf->revocations_max = outer->revocations_max;
  }
}

/* A location where subtoken is off may show $subtoken_feed_age, so it gets its feed. */
static char *ngx_http_subtoken_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child) {
  ngx_http_subtoken_loc_conf_t *conf = child;
  ngx_http_subtoken_main_conf_t *main =
      ngx_http_conf_get_module_main_conf(cf, ngx_http_subtoken_module);
  ngx_http_subtoken_merge_values(conf, parent);
  if (conf->secrets != NULL && conf->revocations.len > 0) {
    conf->feed = ngx_http_subtoken_feed_add(cf, conf);
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
  main->enabled = 1;
  if (conf->cache > conf->secrets->tokens.size) conf->secrets->tokens.size = conf->cache;
  if (conf->fallback.len > 0) main->fallback = 1;
  return NGX_CONF_OK;
}

/* ---- the order of the handlers ---- */

static ngx_http_module_t *ngx_http_subtoken_find_module(const ngx_conf_t *cf, const char *name) {
  for (ngx_module_t **each = cf->cycle->modules; *each != NULL; each++) {
    if ((*each)->type != NGX_HTTP_MODULE) continue;
    if (ngx_strcmp((*each)->name, name) == 0) return (*each)->ctx;
  }
  return NULL;
}

/* The handler of a built-in module in a phase, which has no public name: the module adds its
 * handlers once more, and they are removed again. NULL: there is none.
 */
static ngx_http_handler_pt ngx_http_subtoken_find_handler(ngx_conf_t *cf, const char *name,
                                                          ngx_http_phases phase) {
  ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
  ngx_http_module_t *module = ngx_http_subtoken_find_module(cf, name);
  ngx_uint_t before[NGX_HTTP_LOG_PHASE + 1];
  ngx_http_handler_pt handler = NULL;
  if (module == NULL || module->postconfiguration == NULL) return NULL;
  for (int i = 0; i <= NGX_HTTP_LOG_PHASE; i++) before[i] = core->phases[i].handlers.nelts;
  ngx_int_t rc = module->postconfiguration(cf);
  const ngx_array_t *handlers = &core->phases[phase].handlers;
  if (rc == NGX_OK && handlers->nelts == before[phase] + 1) {
    handler = ((ngx_http_handler_pt *)handlers->elts)[before[phase]];
  }
  for (int i = 0; i <= NGX_HTTP_LOG_PHASE; i++) core->phases[i].handlers.nelts = before[i];
  return handler;
}

/* Put the handler that was added last at this place. */
static void ngx_http_subtoken_move_handler(const ngx_array_t *handlers, ngx_uint_t place) {
  ngx_http_handler_pt *each = handlers->elts, last = each[handlers->nelts - 1];
  for (ngx_uint_t i = handlers->nelts - 1; i > place; i--) each[i] = each[i - 1];
  each[place] = last;
}

/* allow and deny decide by the address that set_real_ip_from of the location finds, so realip runs
 * before PREACCESS of this module.
 */
static void ngx_http_subtoken_move_behind_realip(ngx_conf_t *cf, const ngx_array_t *handlers) {
  ngx_http_handler_pt realip =
      ngx_http_subtoken_find_handler(cf, "ngx_http_realip_module", NGX_HTTP_PREACCESS_PHASE);
  const ngx_http_handler_pt *each = handlers->elts;
  for (ngx_uint_t i = 0; i < handlers->nelts; i++) {
    if (each[i] != realip) continue;
    ngx_http_subtoken_move_handler(handlers, i);
    return;
  }
}

static ngx_int_t ngx_http_subtoken_add_handlers(ngx_conf_t *cf) {
  ngx_http_subtoken_main_conf_t *main =
      ngx_http_conf_get_module_main_conf(cf, ngx_http_subtoken_module);
  ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
  if (!main->enabled) return NGX_OK;
  size_t count = sizeof ngx_http_subtoken_phases / sizeof ngx_http_subtoken_phases[0];
  for (size_t i = 0; i < count; i++) {
    const ngx_http_subtoken_phase_t *added = &ngx_http_subtoken_phases[i];
    ngx_http_handler_pt *handler = ngx_array_push(&core->phases[added->phase].handlers);
    if (handler == NULL) return NGX_ERROR;
    *handler = added->handler;
  }
  ngx_http_subtoken_move_behind_realip(cf, &core->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
  /* In LOG nginx runs the handler that was added first first. */
  ngx_http_subtoken_move_handler(&core->phases[NGX_HTTP_LOG_PHASE].handlers, 0);
  main->allow_deny =
      ngx_http_subtoken_find_handler(cf, "ngx_http_access_module", NGX_HTTP_ACCESS_PHASE);
  main->auth_basic =
      ngx_http_subtoken_find_handler(cf, "ngx_http_auth_basic_module", NGX_HTTP_ACCESS_PHASE);
  ngx_http_subtoken_identity_init();
  return ngx_http_subtoken_variables_find(cf, main);
}

/* Not in the processes that only look after caches. */
static ngx_int_t ngx_http_subtoken_init_process(ngx_cycle_t *cycle) {
  if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) return NGX_OK;
  ngx_http_subtoken_main_conf_t *main =
      ngx_http_cycle_get_module_main_conf(cycle, ngx_http_subtoken_module);
  if (main != NULL) ngx_http_subtoken_worker_start(cycle, main);
  return NGX_OK;
}
