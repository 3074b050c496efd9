/* The module as nginx sees it: its directives, variables and phases. */
#include <openssl/sha.h>

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

/* `max=SIZE`, in the units of nginx. */
static char *set_max_size(ngx_str_t value, ngx_http_subtoken_loc_conf_t *mine) {
  if (value.len <= 4 || ngx_memcmp(value.data, "max=", 4) != 0) return "takes FILE and max=SIZE";
  ngx_str_t text = {value.len - 4, value.data + 4};
  off_t size = ngx_parse_offset(&text);
  if (size < 1) return "has a max= that is no size, such as 512m or 1g";
  mine->revocations_max = (size_t)size;
  return NGX_CONF_OK;
}

static char *set_revocations(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *mine = conf;
  ngx_str_t *value = cf->args->elts;
  (void)command;
  char *wrong = set_path(cf, &mine->revocations);
  if (wrong == NGX_CONF_OK && cf->args->nelts > 2) wrong = set_max_size(value[2], mine);
  if (wrong != NGX_CONF_OK || mine->revocations.len == 0) return wrong;
  if (ngx_conf_full_name(cf->cycle, &mine->revocations, 1) != NGX_OK) return NGX_CONF_ERROR;
  return mine->revocations.len > SUBTOKEN_FEED_PATH_MAX ? "names a path that is too long"
                                                        : NGX_CONF_OK;
}

/* An issuer keeps what is revoked listed for a leeway of an hour, and no longer. */
static char *set_leeway(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  const ngx_http_subtoken_loc_conf_t *mine = conf;
  char *wrong = ngx_conf_set_sec_slot(cf, command, conf);
  if (wrong != NGX_CONF_OK) return wrong;
  return mine->leeway > SUBTOKEN_LEEWAY_MAX ? "is longer than an hour" : NGX_CONF_OK;
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

static ngx_uint_t form_of(const ngx_str_t *word) {
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

static char *set_credentials(ngx_conf_t *cf, ngx_command_t *command, void *conf) {
  ngx_http_subtoken_loc_conf_t *mine = conf;
  ngx_str_t *value = cf->args->elts;
  (void)command;
  if (mine->credentials != NGX_CONF_UNSET_UINT) return "is duplicate";
  mine->credentials = 0;
  for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
    ngx_uint_t form = form_of(&value[i]);
    if (form == 0) {
      ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                         "subtoken_credentials: \"%V\" is none of bearer, x-api-key, query, basic",
                         &value[i]);
      return NGX_CONF_ERROR;
    }
    mine->credentials |= form;
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
    DIRECTIVE("subtoken_revocations", NGX_CONF_TAKE12, set_revocations, revocations, NULL),
    DIRECTIVE("subtoken_max_age", NGX_CONF_TAKE1, ngx_conf_set_sec_slot, max_age, NULL),
    DIRECTIVE("subtoken_stale", NGX_CONF_TAKE1, ngx_conf_set_enum_slot, stale, stale_words),
    DIRECTIVE("subtoken_policy", NGX_CONF_TAKE1, set_policy, policy, NULL),
    DIRECTIVE("subtoken_require", NGX_CONF_1MORE, set_require, require, NULL),
    DIRECTIVE("subtoken_leeway", NGX_CONF_TAKE1, set_leeway, leeway, NULL),
    DIRECTIVE("subtoken_max_life", NGX_CONF_TAKE1, ngx_conf_set_sec_slot, max_life, NULL),
    DIRECTIVE("subtoken_fallback", NGX_CONF_TAKE1, set_fallback, fallback, NULL),
    DIRECTIVE("subtoken_credentials", NGX_CONF_1MORE, set_credentials, credentials, NULL),
    DIRECTIVE("subtoken_identity", NGX_CONF_FLAG, ngx_conf_set_flag_slot, identity, NULL),
    DIRECTIVE("subtoken_merge_slashes", NGX_CONF_FLAG, ngx_conf_set_flag_slot, merge_slashes, NULL),
    ngx_null_command,
};

/* ---- configurations ---- */

static void *create_main_conf(ngx_conf_t *cf) {
  ngx_http_subtoken_main_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
  if (conf == NULL) return NULL;
  if (ngx_array_init(&conf->secrets, cf->pool, 2, sizeof(void *)) != NGX_OK ||
      ngx_array_init(&conf->policies, cf->pool, 2, sizeof(void *)) != NGX_OK ||
      ngx_array_init(&conf->feeds, cf->pool, 2, sizeof(void *)) != NGX_OK ||
      ngx_array_init(&conf->target_variables, cf->pool, 8, sizeof(ngx_uint_t)) != NGX_OK ||
      ngx_array_init(&conf->identity_variables, cf->pool, 2, sizeof(ngx_uint_t)) != NGX_OK) {
    return NULL;
  }
  return conf;
}

static void *create_loc_conf(ngx_conf_t *cf) {
  ngx_http_subtoken_loc_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
  if (conf == NULL) return NULL;
  conf->enable = NGX_CONF_UNSET;
  conf->identity = NGX_CONF_UNSET;
  conf->merge_slashes = NGX_CONF_UNSET;
  conf->credentials = NGX_CONF_UNSET_UINT;
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
  ngx_conf_merge_value(conf->identity, outer->identity, 1);
  ngx_conf_merge_value(conf->merge_slashes, outer->merge_slashes, 0);
  ngx_conf_merge_uint_value(conf->credentials, outer->credentials, NGX_HTTP_SUBTOKEN_IN_ANY);
  ngx_conf_merge_ptr_value(conf->secrets, outer->secrets, NULL);
  ngx_conf_merge_ptr_value(conf->policy, outer->policy, NULL);
  ngx_conf_merge_ptr_value(conf->require, outer->require, NULL);
  ngx_conf_merge_uint_value(conf->stale, outer->stale, NGX_HTTP_SUBTOKEN_STALE_DENY);
  ngx_conf_merge_sec_value(conf->max_age, outer->max_age, fresh.max_age);
  ngx_conf_merge_sec_value(conf->leeway, outer->leeway, standard.leeway);
  ngx_conf_merge_sec_value(conf->max_life, outer->max_life, standard.max_life);
  if (conf->fallback.data == NULL) conf->fallback = outer->fallback;
  if (conf->revocations.data == NULL) {
    conf->revocations = outer->revocations;
    conf->revocations_max = outer->revocations_max;
  }
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

enum { SUB, PERMISSIONS };

static ngx_int_t get_identity(ngx_http_request_t *r, ngx_http_variable_value_t *value,
                              uintptr_t which) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_look(r);
  if (ctx == NULL) return give_nothing(value);
  ngx_str_t text = which == SUB ? ctx->who.sub : ctx->who.permissions;
  return text.len == 0 ? give_nothing(value) : give(value, text);
}

static ngx_int_t get_result(ngx_http_request_t *r, ngx_http_variable_value_t *value,
                            uintptr_t data) {
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_look(r);
  (void)data;
  if (ctx == NULL || ctx->result == NULL) return give_nothing(value);
  ngx_str_t text;
  text.data = (u_char *)ctx->result;
  text.len = ngx_strlen(ctx->result);
  return give(value, text);
}

#define TAG_LEN 8 /* hex digits of the SHA-256, as in the server's log */

/* As the server does: none for HTTP Basic, which holds a password, nor for what cannot be read. */
static ngx_int_t get_credential(ngx_http_request_t *r, ngx_http_variable_value_t *value,
                                uintptr_t data) {
  ngx_http_subtoken_loc_conf_t *conf =
      ngx_http_get_module_loc_conf(r->main, ngx_http_subtoken_module);
  ngx_http_subtoken_credential_t credential;
  ngx_http_subtoken_ctx_t *ctx = ngx_http_subtoken_look(r);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  ngx_str_t text;
  (void)data;
  if (ctx == NULL) return give_nothing(value);
  ngx_http_subtoken_find_credential(r->main, ctx, conf->credentials, &credential);
  if (credential.found != NGX_HTTP_SUBTOKEN_ONE || credential.forms == NGX_HTTP_SUBTOKEN_IN_BASIC) {
    return give_nothing(value);
  }
  text.data = ngx_pnalloc(r->pool, TAG_LEN);
  if (text.data == NULL) return NGX_ERROR;
  (void)SHA256((const unsigned char *)credential.text.data, credential.text.len, digest);
  text.len = (size_t)(ngx_hex_dump(text.data, digest, TAG_LEN / 2) - text.data);
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
    {ngx_string("subtoken_sub"), NULL, get_identity, SUB, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_permissions"), NULL, get_identity, PERMISSIONS, NGX_HTTP_VAR_NOCACHEABLE,
     0},
    {ngx_string("subtoken_result"), NULL, get_result, 0, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("subtoken_credential"), NULL, get_credential, 0, NGX_HTTP_VAR_NOCACHEABLE, 0},
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
 * modules that are built in, so `rewrite` and `set` see no access_token, and what they change
 * is known as it was.
 */
static const struct {
  ngx_http_phases phase;
  ngx_http_handler_pt handler;
} phases[] = {
    {NGX_HTTP_POST_READ_PHASE, ngx_http_subtoken_clean_log},
    {NGX_HTTP_SERVER_REWRITE_PHASE, ngx_http_subtoken_note_origin},
    {NGX_HTTP_REWRITE_PHASE, ngx_http_subtoken_clean_target},
    {NGX_HTTP_PREACCESS_PHASE, ngx_http_subtoken_preaccess},
    {NGX_HTTP_ACCESS_PHASE, ngx_http_subtoken_access},
    {NGX_HTTP_LOG_PHASE, ngx_http_subtoken_clean_refused},
};

static ngx_http_module_t *find_module(const ngx_conf_t *cf, const char *name) {
  for (ngx_module_t **each = cf->cycle->modules; *each != NULL; each++) {
    if ((*each)->type != NGX_HTTP_MODULE) continue;
    if (ngx_strcmp((*each)->name, name) == 0) return (*each)->ctx;
  }
  return NULL;
}

/* The handler that a module of nginx's own has in a phase, which has no name outside of it: the
 * module adds its handlers once more, and they are taken off again. NULL: there is none.
 */
static ngx_http_handler_pt handler_of(ngx_conf_t *cf, const char *name, ngx_http_phases phase) {
  ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
  ngx_http_module_t *module = find_module(cf, name);
  ngx_uint_t before[NGX_HTTP_LOG_PHASE + 1];
  ngx_http_handler_pt found = NULL;
  if (module == NULL || module->postconfiguration == NULL) return NULL;
  for (int i = 0; i <= NGX_HTTP_LOG_PHASE; i++) before[i] = core->phases[i].handlers.nelts;
  ngx_int_t rc = module->postconfiguration(cf);
  const ngx_array_t *handlers = &core->phases[phase].handlers;
  if (rc == NGX_OK && handlers->nelts == before[phase] + 1) {
    found = ((ngx_http_handler_pt *)handlers->elts)[before[phase]];
  }
  for (int i = 0; i <= NGX_HTTP_LOG_PHASE; i++) core->phases[i].handlers.nelts = before[i];
  return found;
}

/* Ours has been added last, to run first; but the address has to be known that set_real_ip_from
 * of the location finds, before allow and deny are looked at.
 */
static void move_behind_realip(ngx_conf_t *cf) {
  ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
  ngx_http_handler_pt realip = handler_of(cf, "ngx_http_realip_module", NGX_HTTP_PREACCESS_PHASE);
  const ngx_array_t *handlers = &core->phases[NGX_HTTP_PREACCESS_PHASE].handlers;
  ngx_http_handler_pt *each = handlers->elts, ours = each[handlers->nelts - 1];
  ngx_uint_t at = 0;
  while (at < handlers->nelts && each[at] != realip) at++;
  if (at == handlers->nelts) return;
  for (ngx_uint_t i = handlers->nelts - 1; i > at; i--) each[i] = each[i - 1];
  each[at] = ours;
}

/* Of nginx's own variables, those that are made of the target, or of a caller's identity headers.
 */
static ngx_array_t *kind_of_variable(ngx_http_subtoken_main_conf_t *all, const ngx_str_t *name) {
  static const char *const targets[] = {"request_uri",  "request", "args",
                                        "query_string", "is_args", "arg_access_token"};
  static const char identity[] = "http_x_subtoken_";
  for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
    if (name->len != ngx_strlen(targets[i])) continue;
    if (ngx_memcmp(name->data, targets[i], name->len) == 0) return &all->target_variables;
  }
  bool is_identity = name->len >= sizeof identity - 1 &&
                     ngx_memcmp(name->data, identity, sizeof identity - 1) == 0;
  return is_identity ? &all->identity_variables : NULL;
}

static ngx_int_t find_variables(ngx_conf_t *cf, ngx_http_subtoken_main_conf_t *all) {
  ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
  const ngx_http_variable_t *each = core->variables.elts;
  for (ngx_uint_t i = 0; i < core->variables.nelts; i++) {
    ngx_array_t *kind = kind_of_variable(all, &each[i].name);
    ngx_uint_t *index = kind == NULL ? NULL : ngx_array_push(kind);
    if (kind != NULL && index == NULL) return NGX_ERROR;
    if (index != NULL) *index = i;
  }
  return NGX_OK;
}

/* In this phase the handlers run in the order in which they were added. */
static void move_before_logs(ngx_conf_t *cf) {
  ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
  const ngx_array_t *handlers = &core->phases[NGX_HTTP_LOG_PHASE].handlers;
  ngx_http_handler_pt *each = handlers->elts, ours = each[handlers->nelts - 1];
  for (ngx_uint_t i = handlers->nelts - 1; i > 0; i--) each[i] = each[i - 1];
  each[0] = ours;
}

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
  move_behind_realip(cf);
  move_before_logs(cf);
  all->allow_deny = handler_of(cf, "ngx_http_access_module", NGX_HTTP_ACCESS_PHASE);
  all->auth_basic = handler_of(cf, "ngx_http_auth_basic_module", NGX_HTTP_ACCESS_PHASE);
  ngx_http_subtoken_hash_identity();
  return find_variables(cf, all);
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
