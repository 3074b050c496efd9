/* mod_subtoken: Apache httpd verifies subtokens in its own processes. The directives, their
 * merging, and the hooks; src/edge/README.md shows a configuration. Where the decision is made:
 * decide.c.
 */
#include "edge/apache/subtoken_apache.h"

#include <http_connection.h>
#include <scoreboard.h>

#define KIB INT64_C(1024)
#define CACHE_SIZE_DEFAULT ((size_t)(256 * KIB))

/* ---- configuration ---- */

static void *subtoken_create_server(apr_pool_t *pool, server_rec *server) {
  (void)server;
  mod_subtoken_server_conf *conf = apr_pcalloc(pool, sizeof *conf);
  conf->leeway = conf->max_age = conf->max_life = -1;
  conf->stale = -1;
  conf->cache_size = -1;
  return conf;
}

static void *subtoken_merge_server(apr_pool_t *pool, void *base, void *add) {
  const mod_subtoken_server_conf *outer = base, *inner = add;
  mod_subtoken_server_conf *conf = apr_pmemdup(pool, outer, sizeof *conf);
  if (inner->secrets != NULL) conf->secrets = inner->secrets;
  if (inner->revocations != NULL) conf->revocations = inner->revocations;
  if (inner->audience != NULL) conf->audience = inner->audience;
  if (inner->issuer != NULL) conf->issuer = inner->issuer;
  if (inner->leeway >= 0) conf->leeway = inner->leeway;
  if (inner->max_age >= 0) conf->max_age = inner->max_age;
  if (inner->max_life >= 0) conf->max_life = inner->max_life;
  if (inner->stale >= 0) conf->stale = inner->stale;
  if (outer->fallbacks == NULL) {
    conf->fallbacks = inner->fallbacks;
  } else if (inner->fallbacks != NULL) {
    conf->fallbacks = apr_array_append(pool, outer->fallbacks, inner->fallbacks);
  }
  return conf;
}

static void *subtoken_create_dir(apr_pool_t *pool, char *dir) {
  (void)dir;
  mod_subtoken_dir_conf *conf = apr_pcalloc(pool, sizeof *conf);
  conf->on = -1;
  return conf;
}

static void *subtoken_merge_dir(apr_pool_t *pool, void *base, void *add) {
  const mod_subtoken_dir_conf *outer = base, *inner = add;
  mod_subtoken_dir_conf *conf = apr_pmemdup(pool, outer, sizeof *conf);
  if (inner->on >= 0) conf->on = inner->on;
  if (inner->policy_set) conf->policy = inner->policy;
  if (inner->fallback_set) conf->fallback = inner->fallback;
  if (inner->needs != NULL) conf->needs = inner->needs;
  if (inner->forms != 0) conf->forms = inner->forms;
  conf->policy_set = outer->policy_set || inner->policy_set;
  conf->fallback_set = outer->fallback_set || inner->fallback_set;
  return conf;
}

static mod_subtoken_server_conf *subtoken_server_conf(const server_rec *server) {
  return ap_get_module_config(server->module_config, &subtoken_module);
}

/* ---- directives ---- */

/* For what may stand in any section: in <Limit> it would hold for all methods, and `off` would open
 * them all.
 */
static const char *subtoken_check_section(cmd_parms *cmd) {
  return ap_check_cmd_context(cmd, NOT_IN_LIMIT);
}

static const char *subtoken_set_on(cmd_parms *cmd, void *dir, int on) {
  ((mod_subtoken_dir_conf *)dir)->on = on;
  return subtoken_check_section(cmd);
}

static const char *subtoken_set_secrets(cmd_parms *cmd, void *dir, const char *path,
                                        const char *trust) {
  (void)dir;
  const char *full = ap_server_root_relative(cmd->pool, path);
  if (trust != NULL && strcmp(trust, "trust_group") != 0) {
    return "SubtokenSecrets: what follows the file must be trust_group";
  }
  if (full == NULL) return "SubtokenSecrets: the path cannot be used";
  subtoken_server_conf(cmd->server)->secrets =
      mod_subtoken_files_add_secrets(cmd->pool, full, trust != NULL);
  return NULL;
}

static const char *subtoken_set_revocations(cmd_parms *cmd, void *dir, const char *path) {
  (void)dir;
  const char *full = ap_server_root_relative(cmd->pool, path);
  if (full == NULL) return "SubtokenRevocations: the path cannot be used";
  subtoken_server_conf(cmd->server)->revocations = strcmp(path, "off") == 0 ? "" : full;
  return NULL;
}

static const char *subtoken_set_policy(cmd_parms *cmd, void *dir, const char *path) {
  mod_subtoken_dir_conf *conf = dir;
  conf->policy_set = true;
  if (strcmp(path, "off") == 0) return subtoken_check_section(cmd);
  const char *full = ap_server_root_relative(cmd->pool, path);
  if (full == NULL) return "SubtokenPolicy: the path cannot be used";
  conf->policy = mod_subtoken_files_add_policy(cmd->pool, full);
  return subtoken_check_section(cmd);
}

static const char *subtoken_set_fallback(cmd_parms *cmd, void *dir, const char *location) {
  mod_subtoken_dir_conf *conf = dir;
  conf->fallback_set = true;
  if (strcmp(location, "off") == 0) return subtoken_check_section(cmd);
  if (location[0] != '/') return "SubtokenFallback: must be a location, which begins with a /";
  conf->fallback = location;
  mod_subtoken_server_conf *server = subtoken_server_conf(cmd->server);
  if (server->fallbacks == NULL) {
    server->fallbacks = apr_array_make(cmd->pool, 2, sizeof(const char *));
  }
  APR_ARRAY_PUSH(server->fallbacks, const char *) = location;
  return subtoken_check_section(cmd);
}

static const char *subtoken_add_need(cmd_parms *cmd, void *dir, const char *permission) {
  mod_subtoken_dir_conf *conf = dir;
  subtoken_text need = mod_subtoken_text(permission);
  if (!subtoken_permission_valid(need)) {
    return apr_pstrcat(cmd->pool, "SubtokenRequire: \"", permission, "\" is no permission", NULL);
  }
  if (conf->needs == NULL) conf->needs = apr_array_make(cmd->pool, 4, sizeof(subtoken_text));
  APR_ARRAY_PUSH(conf->needs, subtoken_text) = need;
  return subtoken_check_section(cmd);
}

static const char *subtoken_add_form(cmd_parms *cmd, void *dir, const char *name) {
  static const struct {
    const char *name;
    unsigned form;
  } forms[] = {{"bearer", SUBTOKEN_EDGE_BEARER},
               {"x-api-key", SUBTOKEN_EDGE_X_API_KEY},
               {"query", SUBTOKEN_EDGE_QUERY},
               {"basic", SUBTOKEN_EDGE_BASIC}};
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    if (strcmp(name, forms[i].name) != 0) continue;
    ((mod_subtoken_dir_conf *)dir)->forms |= forms[i].form;
    return subtoken_check_section(cmd);
  }
  return apr_pstrcat(cmd->pool, "SubtokenCredentials: \"", name,
                     "\" is none of bearer, x-api-key, query, basic", NULL);
}

/* Digits, and one of s m h d behind them or nothing. -1: neither. */
static int64_t subtoken_parse_seconds(const char *text) {
  static const char units[] = "smhd";
  static const int64_t seconds[] = {1, 60, 3600, 86400};
  int64_t value = 0;
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > 9) return -1;
  for (size_t i = 0; i < digits; i++) value = 10 * value + (text[i] - '0');
  if (text[digits] == '\0') return value;
  const char *unit = strchr(units, text[digits]);
  return unit != NULL && text[digits + 1] == '\0' ? value * seconds[unit - units] : -1;
}

/* cmd->info is the offset of the number. */
static const char *subtoken_set_seconds(cmd_parms *cmd, void *dir, const char *text) {
  (void)dir;
  int64_t value = subtoken_parse_seconds(text);
  if (value < 0) {
    return apr_pstrcat(cmd->pool, cmd->cmd->name, ": \"", text,
                       "\" must be seconds, or a number with s, m, h or d", NULL);
  }
  char *conf = (char *)subtoken_server_conf(cmd->server);
  memcpy(conf + (size_t)cmd->info, &value, sizeof value);
  return NULL;
}

/* An issuer keeps a revoked sub listed for a leeway of an hour, and no longer. */
static const char *subtoken_set_leeway(cmd_parms *cmd, void *dir, const char *text) {
  const char *error = subtoken_set_seconds(cmd, dir, text);
  if (error != NULL) return error;
  bool good = subtoken_server_conf(cmd->server)->leeway <= SUBTOKEN_LEEWAY_MAX;
  return good ? NULL : "SubtokenLeeway: must not be longer than an hour";
}

static const char *subtoken_set_max_life(cmd_parms *cmd, void *dir, const char *text) {
  const char *error = subtoken_set_seconds(cmd, dir, text);
  if (error != NULL) return error;
  bool good = subtoken_server_conf(cmd->server)->max_life > 0;
  return good ? NULL : "SubtokenMaxLife: must be at least 1 second";
}

static const char *subtoken_set_stale(cmd_parms *cmd, void *dir, const char *word) {
  (void)dir;
  bool allow = strcmp(word, "allow") == 0;
  if (!allow && strcmp(word, "deny") != 0) return "SubtokenStale: must be deny or allow";
  subtoken_server_conf(cmd->server)->stale = allow;
  return NULL;
}

static const char *subtoken_set_audience(cmd_parms *cmd, void *dir, const char *audience) {
  (void)dir;
  subtoken_server_conf(cmd->server)->audience = audience;
  return NULL;
}

static const char *subtoken_set_issuer(cmd_parms *cmd, void *dir, const char *issuer) {
  (void)dir;
  if (strncmp(issuer, "https://", 8) != 0 || strlen(issuer) > SUBTOKEN_ISSUER_MAX) {
    return "SubtokenIssuer: must be an https URL, the server's setting issuer";
  }
  subtoken_server_conf(cmd->server)->issuer = issuer;
  return NULL;
}

/* Bytes, with K or M behind them; -1: neither, or more than 1024M. */
static apr_off_t subtoken_parse_bytes(const char *text) {
  const apr_off_t most = KIB * KIB * KIB;
  apr_off_t size, unit = 1;
  char *end;
  if (text[0] < '0' || text[0] > '9') return -1;
  if (apr_strtoff(&size, text, &end, 10) != APR_SUCCESS || size > most) return -1;
  if (*end == 'K' || *end == 'k') unit = KIB;
  if (*end == 'M' || *end == 'm') unit = KIB * KIB;
  if (end[unit > 1] != '\0') return -1;
  return size <= most / unit ? size * unit : -1;
}

static const char *subtoken_set_cache(cmd_parms *cmd, void *dir, const char *text) {
  (void)dir;
  apr_off_t size = subtoken_parse_bytes(text);
  const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);
  if (error != NULL) return error;
  if (size < 0) {
    return "SubtokenCache: must be bytes, or a number with K or M, 1024M at most; 0 is none";
  }
  if (size > 0 && size < SUBTOKEN_CACHE_MIN) return "SubtokenCache: must be at least 16K, or 0";
  subtoken_server_conf(cmd->server)->cache_size = size;
  return NULL;
}

#define SUBTOKEN_OFFSET(member) (void *)APR_OFFSETOF(mod_subtoken_server_conf, member)

static const command_rec subtoken_directives[] = {
    AP_INIT_FLAG("Subtoken", subtoken_set_on, NULL, RSRC_CONF | ACCESS_CONF,
                 "on: a request needs a good credential"),
    AP_INIT_TAKE12("SubtokenSecrets", subtoken_set_secrets, NULL, RSRC_CONF,
                   "the file of the ring; trust_group behind it: its group may write it"),
    AP_INIT_TAKE1("SubtokenRevocations", subtoken_set_revocations, NULL, RSRC_CONF,
                  "the file of the revocation data, as `subtoken pull` writes it, or off"),
    AP_INIT_TAKE1("SubtokenPolicy", subtoken_set_policy, NULL, RSRC_CONF | ACCESS_CONF,
                  "the file of the route policy, or off"),
    AP_INIT_ITERATE("SubtokenRequire", subtoken_add_need, NULL, RSRC_CONF | ACCESS_CONF,
                    "permissions that each request needs"),
    AP_INIT_TAKE1("SubtokenFallback", subtoken_set_fallback, NULL, RSRC_CONF | ACCESS_CONF,
                  "the location where the server is asked about whole keys, or off"),
    AP_INIT_ITERATE("SubtokenCredentials", subtoken_add_form, NULL, RSRC_CONF | ACCESS_CONF,
                    "which of bearer, x-api-key, query, basic are read"),
    AP_INIT_TAKE1("SubtokenLeeway", subtoken_set_leeway, SUBTOKEN_OFFSET(leeway), RSRC_CONF,
                  "by which clocks may differ; 60"),
    AP_INIT_TAKE1("SubtokenMaxAge", subtoken_set_seconds, SUBTOKEN_OFFSET(max_age), RSRC_CONF,
                  "after which revocation data is too old; 300"),
    AP_INIT_TAKE1("SubtokenMaxLife", subtoken_set_max_life, SUBTOKEN_OFFSET(max_life), RSRC_CONF,
                  "the longest life of a token; 365d"),
    AP_INIT_TAKE1("SubtokenStale", subtoken_set_stale, NULL, RSRC_CONF,
                  "deny or allow: whether old revocation data may decide"),
    AP_INIT_TAKE1("SubtokenAudience", subtoken_set_audience, NULL, RSRC_CONF,
                  "the audience that a token must name"),
    AP_INIT_TAKE1("SubtokenIssuer", subtoken_set_issuer, NULL, RSRC_CONF,
                  "the server's setting issuer, for the metadata that a 401 names"),
    AP_INIT_TAKE1("SubtokenCache", subtoken_set_cache, NULL, RSRC_CONF,
                  "memory for tokens that were seen, for each request at a time; 256K, 0 is none"),
    {.name = NULL}};

/* ---- hooks ---- */

static int subtoken_pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp) {
  (void)plog;
  (void)ptemp;
  mod_subtoken_files_begin(pconf);
  return OK;
}

static int subtoken_add_feed(apr_pool_t *pconf, mod_subtoken_server_conf *conf,
                             server_rec *server) {
  if (conf->revocations == NULL && conf->secrets != NULL) {
    ap_log_error(APLOG_MARK, APLOG_EMERG | APLOG_STARTUP, 0, server,
                 "SubtokenSecrets needs SubtokenRevocations: with off, revoked tokens pass");
    return HTTP_INTERNAL_SERVER_ERROR;
  }
  if (conf->revocations == NULL || conf->revocations[0] == '\0' || conf->feed != NULL) return OK;
  if (conf->secrets == NULL) {
    ap_log_error(APLOG_MARK, APLOG_EMERG | APLOG_STARTUP, 0, server,
                 "SubtokenRevocations needs SubtokenSecrets");
    return HTTP_INTERNAL_SERVER_ERROR;
  }
  mod_subtoken_feed wanted = {.path = conf->revocations,
                              .secrets = conf->secrets,
                              .leeway = conf->leeway >= 0 ? conf->leeway : 60,
                              .max_age = conf->max_age >= 0 ? conf->max_age : 300,
                              .allow_old = conf->stale == 1};
  conf->feed = mod_subtoken_files_add_feed(pconf, &wanted);
  return OK;
}

/* Also of `httpd -t`, which `apachectl graceful` asks first: httpd ends when it is told to read a
 * configuration that is wrong. What -S and its like show needs no files.
 */
static int subtoken_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                                 server_rec *server) {
  (void)plog;
  (void)ptemp;
  if (ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_DUMP) return OK;
  for (server_rec *each = server; each != NULL; each = each->next) {
    int status = subtoken_add_feed(pconf, subtoken_server_conf(each), each);
    if (status != OK) return status;
  }
  return mod_subtoken_files_check(server) ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

static void subtoken_child_init(apr_pool_t *pchild, server_rec *server) {
  apr_off_t size = subtoken_server_conf(server)->cache_size;
  mod_subtoken_files_start(pchild, server, size < 0 ? CACHE_SIZE_DEFAULT : (size_t)size);
}

/* Whatever is done with the request: nobody makes himself an identity, and no log has a token. */
static int subtoken_post_read(request_rec *r) {
  if (r->main != NULL || r->prev != NULL) return DECLINED;
  mod_subtoken_request_begin(r);
  mod_subtoken_request_remove_identity(r);
  mod_subtoken_request_hide_token(r);
  return DECLINED;
}

/* At a location or below it, as ProxyPass sees that: with `MergeSlashes off` it takes any number of
 * slashes for one.
 */
static bool subtoken_is_within(const char *uri, const char *location) {
  bool ends = false;
  while (*location != '\0') {
    ends = *location == '/';
    if (*uri++ != *location++) return false;
    while (ends && *location == '/') location++;
    while (ends && *uri == '/') uri++;
  }
  return ends || *uri == '\0' || *uri == '/';
}

/* Wherever in the host SubtokenFallback stands: its section need not be around its location. Below
 * it lies what ProxyPass hands on as well.
 */
static bool subtoken_is_fallback(const request_rec *r) {
  const apr_array_header_t *fallbacks = subtoken_server_conf(r->server)->fallbacks;
  for (int i = 0; fallbacks != NULL && r->uri != NULL && i < fallbacks->nelts; i++) {
    if (subtoken_is_within(r->uri, APR_ARRAY_IDX(fallbacks, i, const char *))) return true;
  }
  return false;
}

static bool subtoken_reads_query(const mod_subtoken_dir_conf *conf) {
  return conf->forms == 0 || (conf->forms & SUBTOKEN_EDGE_QUERY) != 0;
}

/* After a redirect inside the server it is decided anew, by what the client asked for. The location
 * of SubtokenFallback is the module's own.
 */
static int subtoken_check_access(request_rec *r) {
  const mod_subtoken_dir_conf *conf = ap_get_module_config(r->per_dir_config, &subtoken_module);
  mod_subtoken_ctx *ctx = mod_subtoken_request_ctx(r);
  if (ctx != NULL && ctx->asking && r->main != NULL) return OK;
  if (subtoken_is_fallback(r)) return HTTP_NOT_FOUND;
  if (conf->on != 1) return DECLINED;
  if (ctx == NULL) return HTTP_INTERNAL_SERVER_ERROR;
  int status = mod_subtoken_decide(r, ctx, subtoken_server_conf(r->server), conf);
  /* `Satisfy Any` may let in what is refused. */
  if (status != DONE && subtoken_reads_query(conf)) mod_subtoken_request_remove_token(r);
  return status;
}

/* Before any log. A request that httpd itself refused has seen no other hook; mod_status shows it
 * as the scoreboard has it.
 */
static int subtoken_before_log(request_rec *r) {
  request_rec *each = r;
  do {
    mod_subtoken_request_hide_token(each);
    mod_subtoken_request_remove_token(each);
    each = each->next;
  } while (each != NULL);
  if (r->connection->sbh != NULL) {
    (void)ap_update_child_status(r->connection->sbh, SERVER_BUSY_LOG, r);
  }
  return DECLINED;
}

static void subtoken_register_hooks(apr_pool_t *pool) {
  (void)pool;
  mod_subtoken_fallback_register();
  ap_hook_pre_config(subtoken_pre_config, NULL, NULL, APR_HOOK_REALLY_FIRST);
  ap_hook_check_config(subtoken_check_config, NULL, NULL, APR_HOOK_MIDDLE);
  ap_hook_child_init(subtoken_child_init, NULL, NULL, APR_HOOK_MIDDLE);
  ap_hook_post_read_request(subtoken_post_read, NULL, NULL, APR_HOOK_REALLY_FIRST);
  ap_hook_access_checker(subtoken_check_access, NULL, NULL, APR_HOOK_LAST);
  ap_hook_log_transaction(subtoken_before_log, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

module AP_MODULE_DECLARE_DATA subtoken_module = {
    STANDARD20_MODULE_STUFF, subtoken_create_dir, subtoken_merge_dir,      subtoken_create_server,
    subtoken_merge_server,   subtoken_directives, subtoken_register_hooks, 0};
